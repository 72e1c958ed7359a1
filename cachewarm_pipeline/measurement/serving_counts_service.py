"""Reads the counters of a day from Redis before they expire, and stores them unless more is stored already."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.counters import KEEP_SECONDS, SERVED_SECONDS

from cachewarm_pipeline.days import start_of
from cachewarm_pipeline.measurement.redis_day_counters import DayCounters, DayEntries, read_day_counters
from cachewarm_pipeline.publishing.cache_ports import CachePorts

HOURS, ARM_BUCKETS, HITS = "hour_counts", "arm_counts", "entry_hits"
"""Datasets of a day's counters: HOUR_COUNTS, ARM_COUNTS and ENTRY_HITS."""


def day_counters_or_reason(ports: CachePorts, day: date) -> DayCounters | str:
    """The counters of the day, or the reason why they cannot be read."""
    if not ports.settled(day):
        return "the day is not over; its counters are read after it has ended"
    if ports.now() >= _expiry(day, KEEP_SECONDS):
        return f"counters live {KEEP_SECONDS // 86_400} days in Redis, so those of this day are not complete any more"
    return read_day_counters(ports.cache.client, ports.cache.name, day)


def _expiry(day: date, seconds: int) -> datetime:
    """When the first counters of the day expire, ``seconds`` after they were written."""
    return start_of(day) + timedelta(seconds=seconds)


def entry_hits_of_day(ports: CachePorts, day: date, found: DayCounters) -> pa.Table | None:
    """ENTRY_HITS of the day; None if its hits by entry have expired."""
    if ports.now() >= _expiry(day, SERVED_SECONDS):
        return None
    return DayEntries(ports.cache, ports.datasets, day).hits(found.served)


def store_counts(ports: CachePorts, day: date, tables: dict[str, pa.Table | None]) -> Iterator[str]:
    """Stores each table unless the stored one has more counts; yields why a table was not stored."""
    for name, table in tables.items():
        if table is None:
            yield f"{name} of {day} was not written: hits by entry live {SERVED_SECONDS // 86_400} days in Redis"
            continue
        stored = ports.datasets.read(name, day, _TOTAL_COLUMNS.get(name)) if ports.datasets.exists(name, day) else None
        if stored is not None and any(
            new < old for new, old in zip(_totals(name, table), _totals(name, stored), strict=True)
        ):
            yield f"{name} of {day} stays as stored: Redis has fewer counts of that day now"
            continue
        ports.datasets.write(name, day, table)


def _totals(dataset: str, table: pa.Table) -> tuple[int, ...]:
    """Totals of a table of counts. Stored counts are never replaced by a table that has less in any of these totals."""
    if dataset == ARM_BUCKETS:
        return (_sum(table["lookups"]),)
    if dataset == HOURS:
        return (sum(_sum(table[name]) for name in _OUTCOMES),)
    live = table.num_rows - table["generation"].null_count
    return _sum(table["hits"]), live, _sum(table["whole_day"])


def _sum(column: pa.ChunkedArray) -> int:
    return int(pc.sum(column).as_py() or 0)


_OUTCOMES = ["exact", "semantic", "misses"]
"""Columns of HOUR_COUNTS that count lookups."""

_TOTAL_COLUMNS = {HOURS: _OUTCOMES}
"""Columns to read for the totals of a stored table: tables of older versions lack some of the other columns."""
