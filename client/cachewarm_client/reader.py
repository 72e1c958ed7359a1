"""How a cache is read, as steps without I/O of their own: written once, done by a sync and an async driver.

A lookup is a generator: it yields what is to be sent or embedded, receives the answer, and returns RedisVL's rows.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import redis

from cachewarm_client import lookup
from cachewarm_client import redis_search_commands as search
from cachewarm_client.cold_cache_shadow import Marks, Shadow
from cachewarm_client.errors import CacheError
from cachewarm_client.generation_record import LIVE_FIELD, parse_live
from cachewarm_client.keys import app_prefix, generations_key, whole_key
from cachewarm_client.lookup import LookupResult
from cachewarm_client.match_rules import NEIGHBOURS, neighbours
from cachewarm_client.nearest_entries import NearestEntries, nearest_entries
from cachewarm_client.personal_data import find_personal_data
from cachewarm_client.reader_requests import (
    EmbedPrompt,
    LiveGeneration,
    LookupRequest,
    LookupSteps,
    SendCommands,
    checked,
)
from cachewarm_client.redis_counters import Counters, Ended
from cachewarm_client.redis_search_commands import text
from cachewarm_client.text import cut
from cachewarm_client.vectorizer import EmbedderVectorizer

if TYPE_CHECKING:
    from cachewarm_client.embedders.embedder import Embedder

TRIES = 5
"""A lookup starts over when a generation is published under it; that often in a row is no accident."""


class Reader:
    """Reads one cache name. ``live`` is replaced as a whole, so threads may share a reader."""

    live: LiveGeneration

    def __init__(self, name: str, counters: Counters, embedder: "Embedder | None") -> None:
        self.name = name
        self.counters = counters
        self._embedder = embedder
        self._marks = Marks(name)

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
            self.live = LiveGeneration(record, before.vectorizer)
        else:
            self.live = LiveGeneration(record, EmbedderVectorizer(record.embedder, self._embedder))

    def refresh(self) -> LookupSteps:
        """Read which generation is live now."""
        replies = yield SendCommands([("HGETALL", generations_key(self.name))])
        self.adopt(search.as_mapping(checked(replies)[0]))

    def lookup(self, ask: LookupRequest) -> LookupSteps:
        """Rows that may answer, best first: the exact entry alone, else the nearest that the match rule allows.

        Entries are asked of the generation's own index, never through the alias: what answers is then always of the
        generation whose rule and embedder are applied, whatever is published meanwhile.

        The holdout asks for no key and no neighbour of a warmed entry; all else is the same. A lookup that raises or is
        given up is counted too: else the arm that embeds more would seem to miss less.
        """
        shadow = Shadow.of(self.name, ask)
        ended = self.counters.began(ask.agent_type, ask.place, shadow)
        try:
            return (yield from self._lookup(ask, shadow, ended))
        except BaseException:
            ended("error")
            raise

    def _lookup(self, ask: LookupRequest, shadow: Shadow | None, ended: Ended) -> LookupSteps:
        vector, made_by = ask.vector, None
        for _ in range(TRIES):
            live = self.live
            exact = ask.prompt is not None and not ask.also
            keys = self._exact_keys(live, ask) if exact else []
            counts = self.counters.take()
            question = [shadow.question()] if shadow else []
            # The live field is read last. A generation that is live then was whole when its key was read before it.
            asked = [("HMGET", key, *search.STORED_FIELDS) for key in keys]
            whole_mark = whole_key(self.name, live.record.id, ask.agent_type)
            state = [("EXISTS", whole_mark), ("HGET", generations_key(self.name), LIVE_FIELD)]
            try:
                replies = yield SendCommands([*counts, *question, *asked, *state])
            except GeneratorExit:  # there is no answer: Redis was lost
                self.counters.failed(len(counts))
                raise
            self.counters.judge(replies[: len(counts)])
            first = len(counts) + len(question)
            if shadow and not shadow.heard(replies[len(counts)]):
                self.counters.fault()
            *values, whole, live_now = checked([*map(_no_entry, replies[first:-2]), *replies[-2:]])
            if live_now is None or text(live_now) != live.record.id:
                yield from self.refresh()
                continue
            rows = [row for key, value in zip(keys, values, strict=True) if (row := lookup.exact_row(key, value))]
            if rows:
                ended("exact", lookup.served_entry(self.name, rows))
                return (yield from self._renew(rows[:1], ask.ttl))
            if any(lookup.is_withdrawn(self.name, *pair) for pair in zip(keys, values, strict=True)):
                ended("miss")
                return []  # what is near may be the same wrong answer
            rule = live.record.match_rules.for_agent_type(ask.agent_type)
            k = neighbours(rule, ask.num_results) if whole or not rule.certified else 0
            if ask.held_out and rule.distance_threshold is None:
                k = 0  # own entries are served by a plain distance or not at all
            # Certificates do not speak of prompts with personal data, and what is somebody's own is answered afresh.
            if k == 0 or (ask.prompt and find_personal_data(cut(ask.prompt))):
                ended("miss")
                return []
            if ask.vector is None and made_by is not live.vectorizer:
                vector, made_by = (yield EmbedPrompt(live.vectorizer, cut(ask.prompt or ""))), live.vectorizer
            near = yield from nearest_entries(self.name, live, ask, vector or b"", k)
            if near is None:
                yield from self.refresh()
                continue
            looked = near.decide(ask, vector or b"")
            ended("semantic" if looked.rows else "miss", lookup.served_entry(self.name, looked.rows))
            if ask.explain:
                why = self._why(live, ask, looked, near)
                for row in looked.rows:
                    row["explanation"] = why
            return (yield from self._renew(looked.rows, ask.ttl))
        raise CacheError(f"the live generation of {self.name!r} changed {TRIES} times during one lookup: try again")

    def explain(self, ask: LookupRequest) -> LookupSteps:
        """Why a lookup is served or not (``cachewarm_client.lookup.explanation``). It is not counted and renews
        nothing."""
        for _ in range(TRIES):
            yield from self.refresh()
            live = self.live
            keys = self._exact_keys(live, ask)
            values = checked(
                [*map(_no_entry, (yield SendCommands([("HMGET", k, *search.STORED_FIELDS) for k in keys])))]
            )
            exact = [row for key, value in zip(keys, values, strict=True) if (row := lookup.exact_row(key, value))]
            vector = yield EmbedPrompt(live.vectorizer, cut(ask.prompt or ""))
            if (near := (yield from nearest_entries(self.name, live, ask, vector, NEIGHBOURS))) is None:
                continue
            why = self._why(live, ask, near.decide(ask, vector), near)
            if exact:
                return {**why, "match": "exact", "picked": exact[0]["id"]}
            out = [key for key, value in zip(keys, values, strict=True) if lookup.is_withdrawn(self.name, key, value)]
            return {**why, "match": "withdrawn", "picked": out[0]} if out else why
        raise CacheError(f"the live generation of {self.name!r} changed {TRIES} times during one lookup: try again")

    def _exact_keys(self, live: LiveGeneration, ask: LookupRequest) -> list[str]:
        return lookup.exact_keys(self.name, live.record.id, ask.prompt or "", ask.agent_type, ask.held_out)

    def _why(
        self, live: LiveGeneration, ask: LookupRequest, looked: LookupResult, near: NearestEntries
    ) -> dict[str, Any]:
        why = lookup.explanation(live.record.match_rules, ask.agent_type, looked, near.found)
        return {**why, "arm": ask.place.arm}

    def _renew(self, rows: list[dict[str, Any]], ttl: int | None) -> LookupSteps:
        own = [row["id"] for row in rows if row["id"].startswith(app_prefix(self.name))]
        if ttl and own:
            checked((yield SendCommands([("EXPIRE", key, ttl) for key in own])))
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
    ) -> LookupSteps:
        """Keep an answer of the application's own; returns its key. ``at`` is the Unix time."""
        if vector is None:
            vector = yield EmbedPrompt(self.live.vectorizer, cut(prompt))
        entry = lookup.app_entry_id(prompt, agent_type)
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
        mark = self._marks.due(agent_type, ttl, at)
        if mark is not None:
            yield SendCommands([mark])  # by itself, unchecked: what is kept for counting fails no store
        # HSET alone would keep what an older answer left: its metadata and its time to live.
        write: list[tuple[Any, ...]] = [
            ("DEL", key),
            ("HSET", key, *(part for pair in fields.items() for part in pair)),
        ]
        if ttl:
            write.append(("EXPIRE", key, ttl))
        checked((yield SendCommands(write, atomic=True)))
        return key


def _no_entry(reply: Any) -> Any:
    """An application may keep something else than a hash under its prefix: that is no entry, and no fault."""
    if isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE"):
        return [None] * len(search.STORED_FIELDS)
    return reply
