"""What readers counted on a day, and which entries were live then, read from Redis. What it means is decided in
measurement.counter_rows and measurement.entry_hits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import redis
from cachewarm_client.counters import day_of, hour_of
from cachewarm_client.keys import arms_key, key_prefix, served_key, stats_key
from cachewarm_client.redis_index import redis_faults
from cachewarm_client.redis_search_commands import as_mapping, text

from cachewarm_pipeline.days import start_of
from cachewarm_pipeline.measurement import counter_rows as counted
from cachewarm_pipeline.measurement.entry_hits import Entry, LiveThen, entry_hits, with_costs
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.storage.datasets import DatasetStore

if TYPE_CHECKING:
    from cachewarm_pipeline.measurement.counter_rows import EntryHitCount

HOURS = 24


@dataclass(frozen=True)
class DayRead:
    """Counts of one UTC day over all readers. ``served``: hits of warmed entries by entry id."""

    arms: pa.Table
    """ARM_COUNTS: of readers that have a holdout."""
    hours: pa.Table
    """HOUR_COUNTS: of all readers."""
    served: "dict[str, EntryHitCount]"


def read_day(client: "redis.Redis", name: str, day: date) -> DayRead:
    """What the readers of a cache counted on a UTC day: one round trip, empty where they counted nothing.

    Fields that are not ours count nowhere. Memory: the day's fields, some 300 bytes for an entry and hour with hits.
    Raises CacheError when Redis is lost or refuses.
    """
    begins = [start_of(day) + timedelta(hours=hour) for hour in range(HOURS)]
    pipe: Any = client.pipeline(transaction=False)
    for begin in begins:
        pipe.hgetall(stats_key(name, hour_of(begin)))
    for begin in begins:
        pipe.hgetall(served_key(name, hour_of(begin)))
    pipe.hgetall(arms_key(name, day_of(start_of(day))))
    with redis_faults(f"reading the counters of {day}"):
        replies = [_fields(reply) for reply in pipe.execute(raise_on_error=False)]
    hours, served, arms = replies[:HOURS], replies[HOURS:-1], replies[-1]
    return DayRead(
        counted.arm_counts(arms),
        counted.hour_counts(_dated(begins, hours)),
        counted.served_by_entry(_dated(begins, served)),
    )


def _dated(begins: list[datetime], hashes: list[dict[str, str]]) -> list[tuple[datetime, dict[str, str]]]:
    return list(zip(begins, hashes, strict=True))


def _fields(reply: Any) -> dict[str, str]:
    """A hash as text. What somebody else keeps under such a key is no count, and no fault."""
    if isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE"):
        return {}
    if isinstance(reply, Exception):
        raise reply
    return {text(name): text(value) for name, value in as_mapping(reply).items()}


def entries_in(cache: CacheStore, generation: str, entry_ids: Iterable[str]) -> dict[str, Entry]:
    """What a generation in Redis holds of these entries, by entry id; those that it does not hold are left out.

    Memory: the prompts once, 2,000 characters each at most, and one block of replies. Raises CacheError when Redis is
    lost or refuses.
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
                    found[entry_id] = Entry(agent_type, prompt, source)
    return found


class DayEntries:
    """The entries that were live on a day: from the generations that Redis still has, from what was stored of the day
    before, and from the plans of the days before."""

    def __init__(self, cache: CacheStore, datasets: DatasetStore, day: date) -> None:
        self._cache = cache
        self._datasets = datasets
        self._day = day
        self._records = cache.generations()
        self.then = LiveThen.on(day, self._records)

    def hits(self, served: "Mapping[str, EntryHitCount]") -> pa.Table:
        """ENTRY_HITS of the day."""
        end = self.then.end
        live = entries_in(self._cache, end.id, self._cache.entry_ids(end.id)) if end else {}
        if end and live:
            live = with_costs(live, self._costs(end.as_of))
        others = self._others(set(served) - set(live))
        return entry_hits(end.id if end else None, live, self._all_day(set(live)), served, others)

    def _all_day(self, live: set[str]) -> set[str]:
        """Those of the ids that were live since the day began, in every generation that is known to have been live."""
        begin, end, day_before = self.then.begin, self.then.end, self._day - timedelta(days=1)
        if begin is None:
            if not self._datasets.exists("entry_hits", day_before):
                return set()
            stored = self._datasets.read("entry_hits", day_before, ["entry_id", "generation"])
            live &= set(stored.filter(pc.is_valid(stored["generation"]))["entry_id"].to_pylist())
        for record in (*([begin] if begin and begin is not end else []), *self.then.between):
            live &= self._cache.entry_ids(record.id)
        return live

    def _costs(self, as_of: date) -> dict[str, float | None]:
        if not self._datasets.exists("warming_plan", as_of):
            return {}
        plan = self._datasets.read("warming_plan", as_of, ["entry_id", "cost_usd"])
        return dict(zip(*(plan[name].to_pylist() for name in plan.column_names), strict=True))

    def _others(self, missing: set[str]) -> dict[str, Entry]:
        """What is known of entries that were served, but are in no generation that was live at the day's end."""
        found: dict[str, Entry] = {}
        days = [day for day in self._datasets.days("warming_plan") if day <= self._day] if missing else []
        for day in reversed(days[-_PLANS:]):
            if not missing:
                return found
            plan = self._datasets.read("warming_plan", day, _KNOWN)
            for row in plan.filter(pc.is_in(plan["entry_id"], pa.array(sorted(missing), pa.string()))).to_pylist():
                entry_id = row.pop("entry_id")
                found[entry_id] = Entry(**row)
            missing = missing - set(found)
        for record in self._records if missing else []:
            found |= entries_in(self._cache, record.id, missing - set(found))
        return found


_AT_ONCE = 500
"""Entries asked for in one round trip."""

_PLANS = 8
"""Plans that are looked through, newest first: entries do not live for longer."""

_KNOWN = ["entry_id", "agent_type", "prompt", "source", "cost_usd"]
