"""What an application imports: a RedisVL SemanticCache that reads what `cachewarm warm` published.

    cache = WarmedSemanticCache(name="cachewarm", redis_url="redis://localhost:6379")
    hits = cache.check(prompt="How do I rotate a key?", agent_type="security_auditor")

A lookup asks for its exact key first, which needs no vector; on a miss it embeds once and asks for the nearest entries
of its own agent_type, and the match rule that was published with them decides. Nothing here writes a generation.
"""

import asyncio
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import redis

from cachewarm_client import redis_search_commands as search
from cachewarm_client.app_entries import AppEntriesOnly
from cachewarm_client.counters import CacheStats
from cachewarm_client.errors import CacheError, ConfigurationError
from cachewarm_client.holdout import Holdout, HoldoutKey
from cachewarm_client.keys import check_name, generations_key
from cachewarm_client.reader import Reader
from cachewarm_client.reader_requests import LookupRequest, LookupSteps
from cachewarm_client.redis_connection import Connection
from cachewarm_client.redis_counters import Counters, Listener, read_stats
from cachewarm_client.redis_index import CacheIndex, redis_faults
from cachewarm_client.redis_wrong_hit_reports import Reported, report

if TYPE_CHECKING:
    from redisvl.query.filter import FilterExpression

    from cachewarm_client.embedders.embedder import Embedder

Hits = list[dict[str, Any]]

NO_LIMIT = 2.0
"""The largest cosine distance there is: match rules are not narrowed."""

_FILTERS: list[dict[str, Any]] = [
    {"name": "agent_type", "type": "tag", "attrs": {"separator": search.TAG_SEPARATOR, "case_sensitive": True}},
    {"name": "source", "type": "tag"},
    {"name": "quality_score", "type": "numeric"},
]


class WarmedSemanticCache(AppEntriesOnly):
    """A semantic cache over the live generation and the application's own entries. Safe to use from several threads.

    What else RedisVL's class offers acts on the application's own entries only: ``clear`` leaves warmed entries alone,
    and ``drop``, ``update`` and ``expire`` raise CacheError for the key of one.
    """

    def __init__(
        self,
        name: str,
        redis_url: str = "redis://localhost:6379",
        *,
        redis_client: "redis.Redis | None" = None,
        connection_kwargs: dict[str, Any] | None = None,
        embedder: "Embedder | None" = None,
        distance_threshold: float = NO_LIMIT,
        ttl: int | None = None,
        holdout: float = 0.0,
        holdout_key: HoldoutKey | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Open the cache of that name.

        Args:
            name: The name that it was warmed under (CACHEWARM_NAME).
            redis_url: The server; ``connection_kwargs`` go to redis-py.
            redis_client: A client to use instead; it stays yours to close.
            embedder: To use instead of the one that the live generation names; it must be the same model.
            distance_threshold: Narrows the match rules of semantic hits; it cannot widen them.
            ttl: Seconds to live of the application's own entries, renewed by a hit. Warmed entries keep theirs.
            holdout: Share of users (0 to 1) who never see a warmed entry, only the application's own: what warming
                brings is measured against them, as if everybody filled a cold cache
                (cachewarm_client.cold_cache_shadow). Give the same to every process; raising it keeps who is held out.
            holdout_key: Names whom the present lookup is for, such as a ContextVar's ``get``: a user or session, who
                then stays in one arm. Without it, or where it gives None, "" or an error, the prompt is held out.
            clock: The present in UTC, for the counters.

        Raises CacheError when Redis cannot be reached, nothing is published under the name, or what is published
        needs a newer version of this package or another embedder; ConfigurationError for an unusable name or holdout.
        """
        check_name(name)
        self._connection = Connection(redis_url, redis_client, connection_kwargs or {})
        self._now = clock
        self._counters = Counters(self._connection.client, name, clock)
        self._holdout = Holdout(name, holdout, holdout_key, self._counters)
        self._reader = Reader(name, self._counters, embedder)
        try:
            with redis_faults(f"opening the cache {name!r}"):
                generations: Any = self._connection.client.hgetall(generations_key(name))
        except CacheError as error:
            raise CacheError(
                f"{error} (the embedded server's address is `redis_url` in `cachewarm stats --json`)"
            ) from error
        self._reader.adopt(generations)
        super().__init__(
            name=name,
            distance_threshold=distance_threshold,
            ttl=ttl,
            vectorizer=self._reader.live.vectorizer,
            filterable_fields=_FILTERS,
            redis_client=redis_client,
            redis_url=redis_url,
            connection_kwargs=connection_kwargs,
            create_index=False,
        )
        # Also runs when the interpreter ends, so that the last lookup is counted.
        self._at_end = weakref.finalize(self, self._counters.flush)

    def check(
        self,
        prompt: str | None = None,
        vector: list[float] | None = None,
        num_results: int = 1,
        return_fields: list[str] | None = None,
        filter_expression: "FilterExpression | None" = None,
        distance_threshold: float | None = None,
        *,
        agent_type: str,
        explain: bool = False,
        holdout_key: str | None = None,
    ) -> Hits:
        """Entries that may answer a prompt, best first; empty on a miss.

        As RedisVL's ``check``, with these differences. ``agent_type`` is required: only its entries match. An exact
        hit (same canonical prompt) comes alone, at distance 0. Else the published match rule decides which entry is
        surely enough right, and that need not be the nearest; ``distance_threshold`` can only be stricter. A learned
        rule reads words, so by ``vector`` alone only a certified distance can hit. With a ``filter_expression`` there
        is no exact path. Hits have RedisVL's keys and agent_type, source, quality_score, answer_group and match
        (``exact`` or ``semantic``); with ``explain`` a semantic hit also has ``explanation``, see ``explain()``. A
        search that Redis cut short is a miss. ``holdout_key`` names whom this lookup is for; the holdout gets entries
        of the application's own only.

        Raises CacheError when Redis is lost or refuses, EmbeddingError when the prompt cannot be embedded,
        ConfigurationError for an unusable agent_type, and RedisVL's ValueError and TypeError for other arguments.
        """
        ask = self._ask(
            prompt,
            vector,
            num_results,
            return_fields,
            filter_expression,
            distance_threshold,
            agent_type,
            explain,
            holdout_key,
        )
        return self._hits(self._connection.run(self._reader.lookup(ask)), return_fields)

    async def acheck(
        self,
        prompt: str | None = None,
        vector: list[float] | None = None,
        num_results: int = 1,
        return_fields: list[str] | None = None,
        filter_expression: "FilterExpression | None" = None,
        distance_threshold: float | None = None,
        *,
        agent_type: str,
        explain: bool = False,
        holdout_key: str | None = None,
    ) -> Hits:
        """``check`` without blocking the event loop; the prompt is embedded in a thread."""
        ask = self._ask(
            prompt,
            vector,
            num_results,
            return_fields,
            filter_expression,
            distance_threshold,
            agent_type,
            explain,
            holdout_key,
        )
        return self._hits(await self._connection.arun(self._reader.lookup(ask)), return_fields)

    def explain(self, prompt: str, *, agent_type: str, holdout_key: str | None = None) -> dict[str, Any]:
        """Why a prompt is answered as it is, hit or miss; it is not counted as a lookup.

        ``arm``: the one that ``check`` would look it up in, for the same ``holdout_key``, which is explained.
        ``match`` (exact, semantic, withdrawn or miss; withdrawn is a miss, too: the answer that would be served was
        taken out of service), ``rule`` and what it rests on, ``confidence``, as log-odds ``score`` and
        ``threshold``, ``picked`` (key of the entry that was decided on), ``parts`` (each feature, its value and what it
        added to the score, largest effect first) and ``neighbours`` (prompt, distance, answer_group). Raises as
        ``check`` does.
        """
        ask = self._ask(prompt, None, 1, None, None, None, agent_type, True, holdout_key)
        why: dict[str, Any] = self._connection.run(self._reader.explain(ask))
        return why

    def store(
        self,
        prompt: str,
        response: str,
        vector: list[float] | None = None,
        metadata: dict[str, Any] | None = None,
        filters: dict[str, Any] | None = None,
        ttl: int | None = None,
        *,
        agent_type: str | None = None,
    ) -> str:
        """Keep an answer of the application's own; returns its key. It replaces the one of the same canonical prompt.

        The agent_type may also come as ``filters={"agent_type": ...}``, as RedisVL has it; the index has no other
        filter to store. Raises as ``check`` does.
        """
        key: str = self._connection.run(self._storing(prompt, response, vector, metadata, filters, ttl, agent_type))
        return key

    async def astore(
        self,
        prompt: str,
        response: str,
        vector: list[float] | None = None,
        metadata: dict[str, Any] | None = None,
        filters: dict[str, Any] | None = None,
        ttl: int | None = None,
        *,
        agent_type: str | None = None,
    ) -> str:
        """``store`` without blocking the event loop."""
        storing = self._storing(prompt, response, vector, metadata, filters, ttl, agent_type)
        key: str = await self._connection.arun(storing)
        return key

    def report_wrong_hit(self, hit_or_key: dict[str, Any] | str, *, reporter: str | None = None, why: str = "") -> bool:
        """Tell that a hit was answered wrongly; whether it was counted.

        ``hit_or_key``: a hit of ``check``, or its ``key``. A hit is better: it holds the answer that was seen. An
        answer that enough different ``reporter`` s call wrong is taken out of service; they are kept hashed, and
        reports without one count as one person together. ``why`` is kept without personal data, 200 characters of it.
        False, and nothing is changed, for an entry of the application's own, for one that is gone, and where 10,000
        answers are reported already. Never fails for Redis: such faults are counted in ``stats_errors``.

        Raises TypeError and ValueError for something that is no hit and no key of this cache.
        """
        wrong = Reported.of(hit_or_key, reporter, why, self._now())
        try:
            return report(self._connection.client, self.name, wrong)
        except redis.RedisError:
            self._counters.failed(1)
            return False

    async def areport_wrong_hit(
        self, hit_or_key: dict[str, Any] | str, *, reporter: str | None = None, why: str = ""
    ) -> bool:
        """``report_wrong_hit`` without blocking the event loop."""
        return await asyncio.to_thread(self.report_wrong_hit, hit_or_key, reporter=reporter, why=why)

    @property
    def vectorizer(self) -> Any:
        """The live generation's embedder as a RedisVL vectorizer: what a stock reader of the same entries needs."""
        return self._reader.live.vectorizer

    @property
    def generation(self) -> str:
        """The generation that the last lookup went to."""
        return self._reader.live.record.id

    @property
    def stats_errors(self) -> int:
        """Counter commands that were lost, and calls of ``holdout_key`` that failed; no lookup fails for them."""
        return self._counters.errors

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` of each lookup from now on; see `serving_metrics`. What it raises is swallowed."""
        self._counters.listen(listener)

    def flush(self) -> None:
        """Send the counts that wait for the next lookup. Never raises."""
        self._counters.flush()

    def get_stats(self, hours: int = 24) -> CacheStats:
        """What all readers of this cache counted in the last ``hours`` hours, the present one included: both arms
        together, and in ``arms`` each.

        Raises CacheError when Redis is lost or refuses.
        """
        self.flush()
        with redis_faults("reading the counters"):
            return read_stats(CacheIndex(self._connection.client, self.name), hours, self._now())

    async def aget_stats(self, hours: int = 24) -> CacheStats:
        """``get_stats`` without blocking the event loop."""
        return await asyncio.to_thread(self.get_stats, hours)

    def disconnect(self) -> None:
        """Send what was counted and close the connections that this object opened; they open again when used."""
        self.flush()
        super().disconnect()
        self._connection.close()

    async def adisconnect(self) -> None:
        """``disconnect`` without blocking the event loop; closes the async connections too."""
        await asyncio.to_thread(self.flush)
        await super().adisconnect()
        await self._connection.aclose()

    # Inside

    def _ask(
        self,
        prompt: str | None,
        vector: list[float] | None,
        num_results: int,
        return_fields: list[str] | None,
        filter_expression: "FilterExpression | None",
        distance_threshold: float | None,
        agent_type: str,
        explain: bool = False,
        holdout_key: str | None = None,
    ) -> LookupRequest:
        if not prompt and not vector:
            raise ValueError("Either prompt or vector must be specified.")
        if prompt is not None and not isinstance(prompt, str):
            raise TypeError("Prompt must be a string.")
        if return_fields and not isinstance(return_fields, list):
            raise TypeError("Return fields must be a list of values.")
        if num_results < 1:
            raise ValueError(f"num_results must be at least 1, got {num_results}")
        also = "" if filter_expression is None else str(filter_expression)
        buffer = self._buffer(vector)
        return LookupRequest(
            prompt=prompt or None,
            vector=buffer,
            agent_type=_usable(agent_type),
            num_results=num_results,
            strictest=self.distance_threshold if distance_threshold is None else distance_threshold,
            ttl=self.ttl,
            also="" if also == "*" else also,
            explain=explain,
            place=self._holdout.place(prompt, buffer, holdout_key),
        )

    def _hits(self, rows: list[dict[str, Any]], return_fields: list[str] | None) -> Hits:
        _, hits = self._process_cache_results(rows, return_fields)
        return list(hits)

    def _storing(
        self,
        prompt: str,
        response: str,
        vector: list[float] | None,
        metadata: dict[str, Any] | None,
        filters: dict[str, Any] | None,
        ttl: int | None,
        agent_type: str | None,
    ) -> LookupSteps:
        given = {**(filters or {}), **({"agent_type": agent_type} if agent_type is not None else {})}
        if set(given) != {"agent_type"}:
            raise ConfigurationError(f"store needs an agent_type and takes no other filter, got {sorted(given)}")
        if not prompt or not isinstance(prompt, str) or not isinstance(response, str):
            raise TypeError("Prompt and response must be strings, and the prompt not empty.")
        if metadata is not None and not isinstance(metadata, dict):
            raise TypeError("Metadata must be a dictionary.")
        at = self._now().timestamp()
        owner = _usable(given["agent_type"])
        return self._reader.store(prompt, response, owner, self._buffer(vector), metadata, ttl or self.ttl, at)

    def _buffer(self, vector: list[float] | None) -> bytes | None:
        if not vector:
            return None
        self._check_vector_dims(vector)
        return np.asarray(vector, dtype="<f4").tobytes()

    def _check_vector_dims(self, vector: list[float]) -> None:
        dimensions = self._reader.live.record.dimensions  # of the generation that is live now, not when it was opened
        if len(vector) != dimensions:
            raise ValueError(f"the vector has {len(vector)} dimensions, the cache has {dimensions}")


def _usable(agent_type: str) -> str:
    stripped = agent_type.strip() if isinstance(agent_type, str) else ""
    if not search.usable_agent_type(stripped):
        raise ConfigurationError(
            f"agent_type {agent_type!r:.80} cannot be looked up: it is empty, too long or holds control characters"
        )
    return stripped
