"""What an application imports: a RedisVL SemanticCache that reads what `cachewarm warm` published.

    cache = WarmedSemanticCache(name="cachewarm", redis_url="redis://localhost:6379")
    hits = cache.check(prompt="How do I rotate a key?", agent_type="security_auditor")

A lookup first reads the exact key, which needs no vector. On a miss it embeds the prompt once, reads the nearest
entries of its agent_type, and applies the match rule that was published with them. Nothing here writes a generation.
"""

import asyncio
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import redis

from cachewarm_client import redis_search_commands as search
from cachewarm_client.app_entries import AppEntriesOnly
from cachewarm_client.cache_arguments import CheckArguments, StoreArguments, clean_agent_type, vector_buffer
from cachewarm_client.counters import CacheStats
from cachewarm_client.errors import CacheError
from cachewarm_client.holdout import Holdout, HoldoutKey
from cachewarm_client.keys import check_name, generations_key
from cachewarm_client.reader import Reader
from cachewarm_client.reader_requests import LookupRequest, LookupSteps
from cachewarm_client.redis_connection import Connection
from cachewarm_client.redis_counters import Counters, Listener, read_stats
from cachewarm_client.redis_index import CacheIndex, redis_faults
from cachewarm_client.redis_wrong_hit_reports import WrongHit, store_report

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
    """A semantic cache over the live generation and the app entries: what the application stored itself. Thread-safe.

    The other methods of RedisVL's class act on app entries only: ``clear`` leaves warmed entries alone, and ``drop``,
    ``update`` and ``expire`` raise CacheError for the key of a warmed entry.
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
            redis_url: The server; ``connection_kwargs`` are passed to redis-py.
            redis_client: A client to use instead of ``redis_url``. Closing it stays your task.
            embedder: An embedder to use instead of the one that the live generation names. It must be the same model.
            distance_threshold: Narrows the match rules of semantic hits (cosine distance, 0 to 2); it cannot widen
                them.
            ttl: Seconds to live of app entries, renewed by a hit. Warmed entries keep their own.
            holdout: Share of users (0 to 1) who never see a warmed entry, only app entries. The lift of warming is
                measured against them, as if all users filled a cold cache
                (cachewarm_client.cold_cache_shadow). Set the same share in every process. Users who are held out stay
                held out when the share is raised.
            holdout_key: Returns the user or session of the current lookup, such as a ContextVar's ``get``. A user then
                stays in one arm. Without it, or where it returns None or "" or raises, the arm depends on the prompt.
            clock: The current time in UTC, for the counters.

        Raises CacheError when Redis cannot be reached, when nothing is published under the name, or when what is
        published needs a newer cachewarm-client or another embedder; ConfigurationError for an unusable name or
        holdout.
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
        self._reader.use_live_generation(generations)
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

        As RedisVL's ``check``, with these differences:

        - ``agent_type`` is required: only entries of the same agent_type match.
        - An exact hit (same canonical prompt) is returned alone, at distance 0. Otherwise the published match rule
          decides which entry is certain enough to be right; that need not be the nearest one.
        - ``distance_threshold`` can only make the rule stricter.
        - A learned rule needs the words of the prompt: with ``vector`` alone, only a certified distance can hit.
        - With a ``filter_expression`` there are no exact hits.
        - Hits have RedisVL's keys and agent_type, source, quality_score, answer_group and match (``exact`` or
          ``semantic``). With ``explain``, a semantic hit also has ``explanation``; see ``explain()``.
        - A search that Redis cut short is a miss.
        - ``holdout_key`` names the user or session of this lookup. Users who are held out see app entries only.

        Raises CacheError when Redis is lost or refuses a command, EmbeddingError when the prompt cannot be embedded,
        EmbeddedError or ConfigurationError when the embedder's extra is not installed, ConfigurationError for an
        unusable agent_type, and RedisVL's ValueError and TypeError for other arguments.
        """
        request = self._request(
            CheckArguments(prompt, vector, num_results, return_fields, filter_expression, distance_threshold),
            agent_type,
            explain,
            holdout_key,
        )
        return self._hits(self._connection.run(self._reader.lookup(request)), return_fields)

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
        request = self._request(
            CheckArguments(prompt, vector, num_results, return_fields, filter_expression, distance_threshold),
            agent_type,
            explain,
            holdout_key,
        )
        return self._hits(await self._connection.arun(self._reader.lookup(request)), return_fields)

    def explain(self, prompt: str, *, agent_type: str, holdout_key: str | None = None) -> dict[str, Any]:
        """Why a prompt is a hit or a miss; it is not counted as a lookup.

        Returns these keys:

        - ``match``: exact, semantic, withdrawn or miss. Withdrawn is a miss too: the answer that would have been served
          was taken out of service.
        - ``rule``, and ``rule_rests_on``: its evidence in words.
        - ``confidence`` (0 to 1), ``score`` (the same as log-odds), ``threshold`` and ``distance_threshold``.
        - ``picked``: key of the entry that the rule decided on.
        - ``base``, and ``parts``: each feature, its value and its effect on the score, largest effect first; ``words``:
          the weights of differing words.
        - ``neighbours``: id, prompt, distance, answer_group and withdrawn of the nearest entries.
        - ``arm``: the arm in which ``check`` would look the prompt up for this ``holdout_key``.

        Raises what ``check`` raises.
        """
        request = self._request(CheckArguments(prompt), agent_type, True, holdout_key)
        explanation: dict[str, Any] = self._connection.run(self._reader.explain(request))
        return explanation

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
        """Store an app entry, and return its key.

        It replaces the app entry of the same canonical prompt. The agent_type may also be given as
        ``filters={"agent_type": ...}``, as RedisVL does; the index has no other filter to store. Raises what ``check``
        raises.
        """
        arguments = StoreArguments(prompt, response, vector, metadata, filters, ttl, agent_type)
        key: str = self._connection.run(self._store_steps(arguments))
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
        arguments = StoreArguments(prompt, response, vector, metadata, filters, ttl, agent_type)
        key: str = await self._connection.arun(self._store_steps(arguments))
        return key

    def report_wrong_hit(self, hit_or_key: dict[str, Any] | str, *, reporter: str | None = None, why: str = "") -> bool:
        """Report that a hit was wrong; returns whether the report was counted.

        ``hit_or_key``: a hit of ``check``, or its ``key``. Prefer the hit: it contains the answer that the user saw. An
        answer that enough different ``reporter``s call wrong is taken out of service. Reporters are stored hashed, and
        all reports without a reporter count as one person. Of ``why``, 200 characters without personal data are kept.

        Returns False, and changes nothing, for an app entry, for an entry that is gone, and when 10,000 answers are
        reported already. Never fails because of Redis: such faults are counted in ``stats_errors``.

        Raises TypeError and ValueError for an argument that is neither a hit nor a key of this cache.
        """
        wrong = WrongHit.of(hit_or_key, reporter, why, self._now())
        try:
            return store_report(self._connection.client, self.name, wrong)
        except redis.RedisError:
            self._counters.count_lost(1)
            return False

    async def areport_wrong_hit(
        self, hit_or_key: dict[str, Any] | str, *, reporter: str | None = None, why: str = ""
    ) -> bool:
        """``report_wrong_hit`` without blocking the event loop."""
        return await asyncio.to_thread(self.report_wrong_hit, hit_or_key, reporter=reporter, why=why)

    @property
    def vectorizer(self) -> Any:
        """The live generation's embedder as a RedisVL vectorizer, for a stock reader of the same entries."""
        return self._reader.live.vectorizer

    @property
    def generation(self) -> str:
        """Id of the generation that the last lookup read."""
        return self._reader.live.record.id

    @property
    def stats_errors(self) -> int:
        """Counter commands that were lost, and calls of ``holdout_key`` that failed. Neither makes a lookup fail."""
        return self._counters.errors

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` after each lookup from now on; see ``prometheus_metrics``. Its exceptions are ignored."""
        self._counters.listen(listener)

    def flush(self) -> None:
        """Send the counts that would be sent with the next lookup. Never raises."""
        self._counters.flush()

    def get_stats(self, hours: int = 24) -> CacheStats:
        """What all readers of this cache counted in the last ``hours`` hours, the current one included.

        The totals are of both arms together; ``arms`` has each arm. Raises CacheError when Redis is lost or refuses.
        """
        self.flush()
        with redis_faults("reading the counters"):
            return read_stats(CacheIndex(self._connection.client, self.name), hours, self._now())

    async def aget_stats(self, hours: int = 24) -> CacheStats:
        """``get_stats`` without blocking the event loop."""
        return await asyncio.to_thread(self.get_stats, hours)

    def disconnect(self) -> None:
        """Send the pending counts and close the connections that this object opened. Using it opens them again."""
        self.flush()
        super().disconnect()
        self._connection.close()

    async def adisconnect(self) -> None:
        """``disconnect`` without blocking the event loop; also closes the async connections."""
        await asyncio.to_thread(self.flush)
        await super().adisconnect()
        await self._connection.aclose()

    # Inside

    def _request(
        self, arguments: CheckArguments, agent_type: str, explain: bool = False, holdout_key: str | None = None
    ) -> LookupRequest:
        vector = self._vector_buffer(arguments.vector)
        threshold = arguments.distance_threshold
        return LookupRequest(
            prompt=arguments.prompt or None,
            vector=vector,
            agent_type=clean_agent_type(agent_type),
            num_results=arguments.num_results,
            max_distance=self.distance_threshold if threshold is None else threshold,
            ttl=self.ttl,
            extra_filter=arguments.filter_text,
            explain=explain,
            assignment=self._holdout.assign(arguments.prompt, vector, holdout_key),
        )

    def _store_steps(self, arguments: StoreArguments) -> LookupSteps:
        vector = self._vector_buffer(arguments.vector)
        return self._reader.store(arguments, vector, arguments.ttl or self.ttl, self._now().timestamp())

    def _vector_buffer(self, vector: list[float] | None) -> bytes | None:
        # The dimensions of the generation that is live now, not of the one that was live when this object was made.
        return vector_buffer(vector, self._reader.live.record.dimensions)

    def _hits(self, rows: list[dict[str, Any]], return_fields: list[str] | None) -> Hits:
        _, hits = self._process_cache_results(rows, return_fields)
        return list(hits)
