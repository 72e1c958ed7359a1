"""The stored daily counts of a window, for every stage that reads the log: read and decide, never write."""

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa

from cachewarm_pipeline.days import window
from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.ports import SOURCE_CHARS, Ports
from cachewarm_pipeline.storage.datasets import DatasetStore

PARTIAL = "the day is not over"
"""Fingerprint of counts of a day that was not over when it was mined."""


DAILY = "daily_query_counts"


def mined_days(ports: Ports, day: date, days: int) -> list[date]:
    """The days of a window that ends at ``day`` whose counts were made from this source, oldest first.

    Counts from before a file changed are used too: a log that is appended to all day changes its file all day. Those of
    a day that was not over count for that day alone.
    Raises DatasetError when the day itself is not among them.
    """
    source = ports.source.fingerprint(day)[:SOURCE_CHARS]
    stored = {d: ports.datasets.fingerprint(DAILY, d) or "" for d in window(day, days)}
    there = [d for d, found in stored.items() if found[:SOURCE_CHARS] == source or (d == day and found == PARTIAL)]
    if day not in there:
        raise DatasetError(f"{DAILY} of {day} is not there for this source: materialise it for that day first")
    return there


def read_days(datasets: DatasetStore, days: Sequence[date], columns: Sequence[str]) -> Iterator[tuple[date, pa.Table]]:
    for day in days:
        yield day, datasets.read(DAILY, day, columns)
