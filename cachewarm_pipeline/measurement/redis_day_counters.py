"""Reads the counters of a day, and the entries that were live on it, from Redis.

`counter_rows` and `entry_hits` turn them into tables.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import redis
from cachewarm_client.counters import day_of, hour_of
from cachewarm_client.keys import arms_key, key_prefix, served_key, stats_key
from cachewarm_client.redis_index import redis_faults
from cachewarm_client.redis_search_commands import as_mapping, text

from cachewarm_pipeline.days import start_of
from cachewarm_pipeline.measurement.counter_rows import (
    EntryHitCount,
    arm_counts_table,
    hits_by_entry,
    hour_counts_table,
)
from cachewarm_pipeline.measurement.entry_hits import EntryDetails, LiveGenerations, entry_hits_table, with_costs
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.storage.datasets import DatasetStore

HOURS_A_DAY = 24


@dataclass(frozen=True)
class DayCounters:
    """Counters of one UTC day."""

    arms: pa.Table
    """ARM_COUNTS, of readers with a holdout."""
    hours: pa.Table
    """HOUR_COUNTS, of all readers."""
    served: dict[str, EntryHitCount]
    """Hits of warmed entries by entry id, of all readers."""


def read_day_counters(client: "redis.Redis", name: str, day: date) -> DayCounters:
    """The counters of a cache on a UTC day, in one round trip; empty tables if nothing was counted.

    Unknown fields are ignored. Memory: the fields of the day, about 300 bytes for each entry and hour with hits.
    Raises CacheError if the connection to Redis is lost or Redis refuses.
    """
    begins = [start_of(day) + timedelta(hours=hour) for hour in range(HOURS_A_DAY)]
    pipe: Any = client.pipeline(transaction=False)
    for begin in begins:
        pipe.hgetall(stats_key(name, hour_of(begin)))
    for begin in begins:
        pipe.hgetall(served_key(name, hour_of(begin)))
    pipe.hgetall(arms_key(name, day_of(start_of(day))))
    with redis_faults(f"reading the counters of {day}"):
        replies = [_fields(reply) for reply in pipe.execute(raise_on_error=False)]
    hours, served, arms = replies[:HOURS_A_DAY], replies[HOURS_A_DAY:-1], replies[-1]
    return DayCounters(
        arm_counts_table(arms),
        hour_counts_table(_dated(begins, hours)),
        hits_by_entry(_dated(begins, served)),
    )


def _dated(begins: list[datetime], hashes: list[dict[str, str]]) -> list[tuple[datetime, dict[str, str]]]:
    return list(zip(begins, hashes, strict=True))


def _fields(reply: Any) -> dict[str, str]:
    """A hash as text; empty for a key of another type, which readers of this project did not write."""
    if isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE"):
        return {}
    if isinstance(reply, Exception):
        raise reply
    return {text(name): text(value) for name, value in as_mapping(reply).items()}


def read_entry_details(cache: CacheStore, generation: str, entry_ids: Iterable[str]) -> dict[str, EntryDetails]:
    """Details of these entries from a generation in Redis, by entry id, without those that it does not have.

    Memory: each prompt once, at most 2,000 characters, and one block of replies. Raises CacheError if the connection to
    Redis is lost or Redis refuses.
    """
    ids, prefix, found = sorted(entry_ids), key_prefix(cache.name, generation), {}
    with redis_faults("reading the entries"):
        for start in range(0, len(ids), _AT_ONCE):
            block = ids[start : start + _AT_ONCE]
            pipe: Any = cache.client.pipeline(transaction=False)
            for entry_id in block:
                pipe.hmget(prefix + entry_id, "agent_type", "prompt", "source")
            for entry_id, values in zip(block, pipe.execute(), strict=True):
                if None not in values:
                    agent_type, prompt, source = map(text, values)
                    found[entry_id] = EntryDetails(agent_type, prompt, source)
    return found


class DayEntries:
    """The entries that were live on a day, from the generations that Redis still has, the stored hits of the day before
    and earlier plans."""

    def __init__(self, cache: CacheStore, datasets: DatasetStore, day: date) -> None:
        self._cache = cache
        self._datasets = datasets
        self._day = day
        self._records = cache.generations()
        self._live = LiveGenerations.on(day, self._records)

    def hits(self, served: Mapping[str, EntryHitCount]) -> pa.Table:
        """ENTRY_HITS of the day; ``served``: hits by entry id."""
        end = self._live.end
        live = read_entry_details(self._cache, end.id, self._cache.entry_ids(end.id)) if end else {}
        if end and live:
            live = with_costs(live, self._costs(end.as_of))
        others = self._others(set(served) - set(live))
        return entry_hits_table(end.id if end else None, live, self._all_day(set(live)), served, others)

    def _all_day(self, live: set[str]) -> set[str]:
        """Those of the ``live`` ids that were in every generation known to have been live on the day."""
        begin, end, day_before = self._live.begin, self._live.end, self._day - timedelta(days=1)
        if begin is None:
            if not self._datasets.exists("entry_hits", day_before):
                return set()
            stored = self._datasets.read("entry_hits", day_before, ["entry_id", "generation"])
            live &= set(stored.filter(pc.is_valid(stored["generation"]))["entry_id"].to_pylist())
        for record in (*([begin] if begin and begin is not end else []), *self._live.between):
            live &= self._cache.entry_ids(record.id)
        return live

    def _costs(self, as_of: date) -> dict[str, float | None]:
        if not self._datasets.exists("warming_plan", as_of):
            return {}
        plan = self._datasets.read("warming_plan", as_of, ["entry_id", "cost_usd"])
        return dict(zip(*(plan[name].to_pylist() for name in plan.column_names), strict=True))

    def _others(self, missing: set[str]) -> dict[str, EntryDetails]:
        """Details of entries that were served but are not in the generation that was live at the end of the day."""
        found: dict[str, EntryDetails] = {}
        days = [day for day in self._datasets.days("warming_plan") if day <= self._day] if missing else []
        for day in reversed(days[-_PLANS:]):
            if not missing:
                return found
            plan = self._datasets.read("warming_plan", day, _KNOWN)
            for row in plan.filter(pc.is_in(plan["entry_id"], pa.array(sorted(missing), pa.string()))).to_pylist():
                entry_id = row.pop("entry_id")
                found[entry_id] = EntryDetails(**row)
            missing = missing - set(found)
        for record in self._records if missing else []:
            found |= read_entry_details(self._cache, record.id, missing - set(found))
        return found


_AT_ONCE = 500
"""Entries read in one round trip."""

_PLANS = 8
"""Plans that are searched, newest first: no entry is live for longer."""

_KNOWN = ["entry_id", "agent_type", "prompt", "source", "cost_usd"]
