"""The stored daily counts of a window, for every stage that reads the log. Reads only; nothing is mined here."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from cachewarm_pipeline.days import window
from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.ports import SOURCE_CHARS, Ports

if TYPE_CHECKING:
    from cachewarm_pipeline.storage.datasets import DatasetStore

DAILY = "daily_query_counts"
"""The asset and the dataset of one day's counts."""

PARTIAL = "the day is not over"
"""Fingerprint of counts that were mined before their day was over."""


def mined_days(ports: Ports, day: date, days: int) -> list[date]:
    """The days with stored counts of this source, in the window of ``days`` days that ends at ``day``; oldest first.

    Counts are used even if their file has changed since: a log that is appended to all day changes its file all day.
    Counts of a day that was not over (PARTIAL) are used only for ``day`` itself.
    Raises DatasetError if ``day`` itself has no counts.
    """
    source = ports.source.fingerprint(day)[:SOURCE_CHARS]
    stored = {d: ports.datasets.fingerprint(DAILY, d) or "" for d in window(day, days)}
    usable = [d for d, found in stored.items() if found[:SOURCE_CHARS] == source or (d == day and found == PARTIAL)]
    if day not in usable:
        raise DatasetError(f"{DAILY} of {day} is missing for this source: materialise it for that day first")
    return usable


def read_days(
    datasets: "DatasetStore", days: Sequence[date], columns: Sequence[str]
) -> Iterator[tuple[date, pa.Table]]:
    """Each day with these columns of its counts, read one day at a time."""
    for day in days:
        yield day, datasets.read(DAILY, day, columns)
