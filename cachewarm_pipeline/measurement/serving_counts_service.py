"""The counts of a day, read from Redis before they expire there, and which of them replace what is stored."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import pyarrow as pa
from cachewarm_client.counters import KEEP_SECONDS, SERVED_SECONDS

from cachewarm_pipeline.days import start_of
from cachewarm_pipeline.measurement.entry_hits import worth
from cachewarm_pipeline.measurement.redis_counted_days import DayEntries, DayRead, read_day
from cachewarm_pipeline.publishing.cache_ports import CachePorts

HOURS, BUCKETS, HITS = "hour_counts", "arm_counts", "entry_hits"


def readable(ports: CachePorts, day: date) -> DayRead | str:
    """The day's counts, or why they are not to be had."""
    if not ports.settled(day):
        return "the day is not over; its counters are read when it is"
    if ports.now() >= _expiry(day, KEEP_SECONDS):
        return f"counters live {KEEP_SECONDS // 86_400} days, so what is left of it in Redis is not the whole day"
    return read_day(ports.cache.client, ports.cache.name, day)


def _expiry(day: date, seconds: int) -> datetime:
    """From when on counters of the day may be gone."""
    return start_of(day) + timedelta(seconds=seconds)


def hits_of(ports: CachePorts, day: date, found: DayRead) -> pa.Table | None:
    """Hits by entry; None where those were not kept for so long."""
    if ports.now() >= _expiry(day, SERVED_SECONDS):
        return None
    return DayEntries(ports.cache, ports.datasets, day).hits(found.served)


def store(ports: CachePorts, day: date, tables: dict[str, pa.Table | None]) -> Iterator[str]:
    """Store what is no less than what is stored; yields why a table was not."""
    for name, table in tables.items():
        if table is None:
            yield f"{name} of {day} was not written: hits of entries are counted for {SERVED_SECONDS // 86_400} days"
            continue
        stored = ports.datasets.read(name, day, _WORTH.get(name)) if ports.datasets.exists(name, day) else None
        if stored is not None and any(
            new < old for new, old in zip(worth(name, table), worth(name, stored), strict=True)
        ):
            yield f"{name} of {day} stays as stored: Redis knows less of that day now"
            continue
        ports.datasets.write(name, day, table)


_WORTH = {HOURS: ["exact", "semantic", "misses"]}
"""Columns that tell what a stored table is worth, where older ones lack some."""
