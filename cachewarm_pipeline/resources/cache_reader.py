"""How a cache is read, as steps without I/O of their own: written once, done by a sync and an async driver.

A lookup is a generator: it yields what is to be sent or embedded, receives the answer, and returns RedisVL's rows.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis

from cachewarm_pipeline.core import lookup, search
from cachewarm_pipeline.core.errors import CacheError
from cachewarm_pipeline.core.generation import app_prefix, generations_key, index_name
from cachewarm_pipeline.core.match import neighbours
from cachewarm_pipeline.core.records import LIVE_FIELD, GenerationRecord, parse_live
from cachewarm_pipeline.core.search import text
from cachewarm_pipeline.core.text import cut
from cachewarm_pipeline.resources.cache_counters import Counters
from cachewarm_pipeline.resources.cache_index import missing_index
from cachewarm_pipeline.resources.vectorizer import EmbedderVectorizer

if TYPE_CHECKING:
    from cachewarm_pipeline.resources.ports import Embedder

TRIES = 5
"""A lookup starts over when a generation is published under it; that often in a row is no accident."""


@dataclass(frozen=True)
class Send:
    """Commands for one round trip; the answer is the list of their replies, errors among them."""

    commands: Sequence[tuple[Any, ...]]
    atomic: bool = False


@dataclass(frozen=True)
class Embed:
    """A text to embed; the answer is its vector as float32 bytes."""

    vectorizer: EmbedderVectorizer
    text: str


Steps = Generator[Send | Embed, Any, Any]


@dataclass(frozen=True)
class Ask:
    """One lookup: a prompt, a vector (float32 bytes) or both."""

    prompt: str | None
    vector: bytes | None
    agent_type: str
    num_results: int
    strictest: float
    """Largest distance that the caller allows, on top of the match rule."""
    ttl: int | None = None
    """Seconds to live that a hit gives to an entry of the application's own; warmed entries keep theirs."""
    also: str = ""
    """One more filter in the query language; an exact key cannot be filtered, so there is no exact path with it."""


@dataclass(frozen=True)
class Live:
    """The generation that lookups go to, and what makes vectors that compare with its own."""

    record: GenerationRecord
    vectorizer: EmbedderVectorizer


class Reader:
    """Reads one cache name. ``live`` is replaced as a whole, so threads may share a reader."""

    live: Live

    def __init__(self, name: str, counters: Counters, embedder: "Embedder | None") -> None:
        self.name = name
        self.counters = counters
        self._embedder = embedder

    def adopt(self, generations: Mapping[Any, Any]) -> None:
        """Go to the live generation of a generations hash.

        The embedder is kept where the new generation has the same. Raises CacheError when nothing is live, or it
        needs a newer reader or another embedder than the one given.
        """
        record = parse_live({text(name): text(value) for name, value in generations.items()})
        if record is None:
            raise CacheError(f"nothing is published under the name {self.name!r} yet: run `cachewarm warm` first")
        before = getattr(self, "live", None)
        if before and before.vectorizer.same_as(record.embedder):
            self.live = Live(record, before.vectorizer)
        else:
            self.live = Live(record, EmbedderVectorizer(record.embedder, self._embedder))

    def refresh(self) -> Steps:
        """Read which generation is live now."""
        replies = yield Send([("HGETALL", generations_key(self.name))])
        self.adopt(search.as_mapping(_checked(replies)[0]))

    def lookup(self, ask: Ask) -> Steps:
        """Rows that may answer, best first: the exact entry alone, else the nearest that the match rule allows.

        Entries are asked of the generation's own index, never through the alias: what answers is then always of the
        generation whose rule and embedder are applied, whatever is published meanwhile.
        """
        vector, made_by = ask.vector, None
        for _ in range(TRIES):
            live = self.live
            exact = ask.prompt is not None and not ask.also
            keys = lookup.exact_keys(self.name, live.record.id, ask.prompt or "", ask.agent_type) if exact else []
            counts = self.counters.take()
            # The live field is read last. A generation that is live then was whole when its key was read before it.
            asked = [("HMGET", key, *search.STORED_FIELDS) for key in keys]
            try:
                replies = yield Send([*counts, *asked, ("HGET", generations_key(self.name), LIVE_FIELD)])
            except GeneratorExit:  # there is no answer: Redis was lost
                self.counters.failed(len(counts))
                raise
            self.counters.judge(replies[: len(counts)])
            *values, live_now = _checked([*map(_no_entry, replies[len(counts) : -1]), replies[-1]])
            if live_now is None or text(live_now) != live.record.id:
                yield from self.refresh()
                continue
            rows = [row for key, value in zip(keys, values, strict=True) if (row := lookup.exact_row(key, value))]
            if rows:
                self.counters.add("exact", ask.agent_type)
                return (yield from self._renew(rows[:1], ask.ttl))
            rule = live.record.match_rules.for_agent_type(ask.agent_type)
            found = search.Found(0, [], False)
            if k := neighbours(rule, ask.num_results):
                if ask.vector is None and made_by is not live.vectorizer:
                    vector, made_by = (yield Embed(live.vectorizer, cut(ask.prompt or ""))), live.vectorizer
                index = index_name(self.name, live.record.id)
                query = search.nearest(index, ask.agent_type, vector or b"", k, also=ask.also)
                (reply,) = yield Send([tuple(query)])
                if isinstance(reply, redis.ResponseError) and missing_index(reply):
                    yield from self.refresh()
                    continue
                found = _found(reply)
            rows = lookup.semantic_rows(self.name, rule, found, ask.strictest, ask.prompt, ask.num_results)
            self.counters.add("semantic" if rows else "miss", ask.agent_type)
            return (yield from self._renew(rows, ask.ttl))
        raise CacheError(f"the live generation of {self.name!r} changed {TRIES} times during one lookup: try again")

    def _renew(self, rows: list[dict[str, Any]], ttl: int | None) -> Steps:
        own = [row["id"] for row in rows if row["id"].startswith(app_prefix(self.name))]
        if ttl and own:
            _checked((yield Send([("EXPIRE", key, ttl) for key in own])))
        return rows

    def store(
        self,
        prompt: str,
        response: str,
        agent_type: str,
        vector: bytes | None,
        metadata: Mapping[str, Any] | None,
        ttl: int | None,
        at: float,
    ) -> Steps:
        """Keep an answer of the application's own; returns its key. ``at`` is the Unix time."""
        if vector is None:
            vector = yield Embed(self.live.vectorizer, cut(prompt))
        entry = lookup.own_entry_id(prompt, agent_type)
        key = app_prefix(self.name) + entry
        fields: dict[str, str | bytes] = {
            "entry_id": entry,
            "prompt": cut(prompt),
            "response": response,
            "prompt_vector": vector,
            "inserted_at": repr(at),
            "updated_at": repr(at),
            "agent_type": agent_type,
            **({"metadata": json.dumps(metadata)} if metadata else {}),
        }
        # HSET alone would keep what an older answer left: its metadata and its time to live.
        write: list[tuple[Any, ...]] = [
            ("DEL", key),
            ("HSET", key, *(part for pair in fields.items() for part in pair)),
        ]
        if ttl:
            write.append(("EXPIRE", key, ttl))
        _checked((yield Send(write, atomic=True)))
        return key


def _no_entry(reply: Any) -> Any:
    """An application may keep something else than a hash under its prefix: that is no entry, and no fault."""
    if isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE"):
        return [None] * len(search.STORED_FIELDS)
    return reply


def _checked(replies: Sequence[Any]) -> Sequence[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise CacheError(f"Redis refused a command of the cache: {reply}") from reply
    return replies


def _found(reply: Any) -> search.Found:
    """A search that Redis cut short found nothing: what it did not see could be nearer."""
    if isinstance(reply, redis.ResponseError) and "timeout" in str(reply).lower():
        return search.Found(0, [], True)
    found = search.parse_found(_checked([reply])[0])
    return search.Found(0, [], True) if found.partial else found
