"""How a cache is read, as steps without I/O: written once, run by a blocking and an async driver (redis_connection).

A lookup is a generator. It yields what is to be sent or embedded, receives the answer, and returns RedisVL's rows.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import redis

from cachewarm_client import lookup
from cachewarm_client import redis_search_commands as search
from cachewarm_client.cache_arguments import StoreArguments
from cachewarm_client.cold_cache_shadow import Shadow, StoreMarks
from cachewarm_client.errors import CacheError
from cachewarm_client.generation_record import LIVE_FIELD, parse_live
from cachewarm_client.keys import app_prefix, generations_key, whole_key
from cachewarm_client.lookup import LookupResult
from cachewarm_client.match_rules import NEIGHBOURS, neighbours_needed
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
from cachewarm_client.redis_counters import Counters, FinishLookup
from cachewarm_client.redis_search_commands import text
from cachewarm_client.text import cut
from cachewarm_client.vectorizer import EmbedderVectorizer

if TYPE_CHECKING:
    from cachewarm_client.embedders.embedder import Embedder

ATTEMPTS = 5
"""A lookup starts over when a generation is published during it. Five times in a row is not chance but a fault."""


class Reader:
    """Reads one cache name. ``live`` is replaced as a whole, so threads may share a reader."""

    live: LiveGeneration

    def __init__(self, name: str, counters: Counters, embedder: "Embedder | None") -> None:
        self.name = name
        self.counters = counters
        self._embedder = embedder
        self._marks = StoreMarks(name)

    def use_live_generation(self, generations: Mapping[Any, Any]) -> None:
        """Read the live generation of a generations hash from now on.

        The vectorizer is kept where the new generation has the same embedder. Raises CacheError when nothing is live,
        or when the live generation needs a newer reader or another embedder than the given one.
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
        """Read which generation is live now, and use it."""
        replies = yield SendCommands([("HGETALL", generations_key(self.name))])
        self.use_live_generation(search.as_mapping(checked(replies)[0]))

    def lookup(self, request: LookupRequest) -> LookupSteps:
        """Rows that may answer, best first: the exact entry alone, or else the nearest that the match rule allows.

        The search goes to the generation's own index, never through the alias. So the entries always belong to the
        generation whose rule and embedder are applied, even when another one is published meanwhile.

        The holdout reads no key and no neighbour of a warmed entry; all else is the same. A lookup that raises or is
        abandoned is counted too: otherwise the arm that embeds more would seem to miss less.
        """
        shadow = Shadow.of(self.name, request)
        finish = self.counters.start_lookup(request.agent_type, request.assignment, shadow)
        try:
            return (yield from self._lookup(request, shadow, finish))
        except BaseException:
            finish("error")
            raise

    def _lookup(self, request: LookupRequest, shadow: Shadow | None, finish: FinishLookup) -> LookupSteps:
        vector, made_by = request.vector, None
        for _ in range(ATTEMPTS):
            live = self.live
            exact = request.prompt is not None and not request.extra_filter
            keys = self._exact_keys(live, request) if exact else []
            counts = self.counters.take_commands()
            shadow_commands = [shadow.command()] if shadow else []
            exact_commands = [("HMGET", key, *search.STORED_FIELDS) for key in keys]
            whole_mark = whole_key(self.name, live.record.id, request.agent_type)
            # The live field is read last: a generation that is still live then was whole when its keys were read.
            state_commands = [("EXISTS", whole_mark), ("HGET", generations_key(self.name), LIVE_FIELD)]
            try:
                replies = yield SendCommands([*counts, *shadow_commands, *exact_commands, *state_commands])
            except GeneratorExit:  # there are no replies: Redis was lost
                self.counters.count_lost(len(counts))
                raise
            self.counters.check_replies(replies[: len(counts)])
            first = len(counts) + len(shadow_commands)
            if shadow and not shadow.read_reply(replies[len(counts)]):
                self.counters.count_fault()
            *values, whole, live_now = checked([*map(_no_entry, replies[first:-2]), *replies[-2:]])
            if live_now is None or text(live_now) != live.record.id:
                yield from self.refresh()
                continue
            rows = [row for key, value in zip(keys, values, strict=True) if (row := lookup.exact_row(key, value))]
            if rows:
                finish("exact", lookup.served_entry(self.name, rows))
                return (yield from self._renew(rows[:1], request.ttl))
            if any(lookup.is_withdrawn(self.name, *pair) for pair in zip(keys, values, strict=True)):
                finish("miss")
                return []  # an entry nearby may give the same wrong answer
            rule = live.record.match_rules.for_agent_type(request.agent_type)
            k = neighbours_needed(rule, request.num_results) if whole else 0
            if request.held_out and rule.distance_threshold is None:
                k = 0  # app entries are served by a plain distance or not at all
            # Certificates do not cover prompts with personal data, and a person's own matter is answered afresh.
            if k == 0 or (request.prompt and find_personal_data(cut(request.prompt))):
                finish("miss")
                return []
            if request.vector is None and made_by is not live.vectorizer:
                vector = yield EmbedPrompt(live.vectorizer, cut(request.prompt or ""))
                made_by = live.vectorizer
            near = yield from nearest_entries(self.name, live, request, vector or b"", k)
            if near is None:
                yield from self.refresh()
                continue
            result = near.decide(request, vector or b"")
            finish("semantic" if result.rows else "miss", lookup.served_entry(self.name, result.rows))
            if request.explain:
                explanation = self._explanation(live, request, result, near)
                for row in result.rows:
                    row["explanation"] = explanation
            return (yield from self._renew(result.rows, request.ttl))
        raise self._changing()

    def explain(self, request: LookupRequest) -> LookupSteps:
        """Why a lookup is a hit or a miss (``cachewarm_client.lookup.explanation``). It counts and renews nothing."""
        for _ in range(ATTEMPTS):
            yield from self.refresh()
            live = self.live
            keys = self._exact_keys(live, request)
            replies = yield SendCommands([("HMGET", key, *search.STORED_FIELDS) for key in keys])
            values = checked([*map(_no_entry, replies)])
            exact = [row for key, value in zip(keys, values, strict=True) if (row := lookup.exact_row(key, value))]
            vector = yield EmbedPrompt(live.vectorizer, cut(request.prompt or ""))
            if (near := (yield from nearest_entries(self.name, live, request, vector, NEIGHBOURS))) is None:
                continue
            explanation = self._explanation(live, request, near.decide(request, vector), near)
            if exact:
                return {**explanation, "match": "exact", "picked": exact[0]["id"]}
            withdrawn = [
                key for key, value in zip(keys, values, strict=True) if lookup.is_withdrawn(self.name, key, value)
            ]
            return {**explanation, "match": "withdrawn", "picked": withdrawn[0]} if withdrawn else explanation
        raise self._changing()

    def _changing(self) -> CacheError:
        return CacheError(f"the live generation of {self.name!r} changed {ATTEMPTS} times during one lookup: try again")

    def _exact_keys(self, live: LiveGeneration, request: LookupRequest) -> list[str]:
        return lookup.exact_keys(
            self.name, live.record.id, request.prompt or "", request.agent_type, app_only=request.held_out
        )

    def _explanation(
        self, live: LiveGeneration, request: LookupRequest, result: LookupResult, near: NearestEntries
    ) -> dict[str, Any]:
        explanation = lookup.explanation(live.record.match_rules, request.agent_type, result, near.found)
        return {**explanation, "arm": request.assignment.arm}

    def _renew(self, rows: list[dict[str, Any]], ttl: int | None) -> LookupSteps:
        """Give the app entries among the rows their time to live again."""
        keys = [row["id"] for row in rows if lookup.is_app_entry(self.name, row["id"])]
        if ttl and keys:
            checked((yield SendCommands([("EXPIRE", key, ttl) for key in keys])))
        return rows

    def store(self, arguments: StoreArguments, vector: bytes | None, ttl: int | None, at: float) -> LookupSteps:
        """Store an app entry; returns its key. ``ttl`` in seconds; ``at`` is the Unix time."""
        prompt, agent_type = arguments.prompt, arguments.owner
        if vector is None:
            vector = yield EmbedPrompt(self.live.vectorizer, cut(prompt))
        entry = lookup.app_entry_id(prompt, agent_type)
        key = app_prefix(self.name) + entry
        fields: dict[str, str | bytes] = {
            "entry_id": entry,
            "prompt": cut(prompt),
            "response": arguments.response,
            "prompt_vector": vector,
            "inserted_at": repr(at),
            "updated_at": repr(at),
            "agent_type": agent_type,
            **({"metadata": json.dumps(arguments.metadata)} if arguments.metadata else {}),
        }
        mark = self._marks.due_command(agent_type, ttl, at)
        if mark is not None:
            yield SendCommands([mark])  # sent alone and unchecked: a mark for the counters must not fail a store
        # HSET alone would keep the metadata and the time to live of an older answer.
        write: list[tuple[Any, ...]] = [
            ("DEL", key),
            ("HSET", key, *(part for pair in fields.items() for part in pair)),
        ]
        if ttl:
            write.append(("EXPIRE", key, ttl))
        checked((yield SendCommands(write, atomic=True)))
        return key


def _no_entry(reply: Any) -> Any:
    """The reply, or that of a missing hash: an application may keep another type under its prefix, which is neither an
    entry nor a fault."""
    if isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE"):
        return [None] * len(search.STORED_FIELDS)
    return reply
