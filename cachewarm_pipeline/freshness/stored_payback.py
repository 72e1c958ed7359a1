"""Reads the stored dataset ``entry_payback``, which measurement writes, for plans and checks: which entries have left
the plan, and the measured hits of entries."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.freshness.idle_entries import days_until_return
from cachewarm_pipeline.storage.datasets import DatasetStore


def stored_payback(datasets: DatasetStore, day: date, columns: Sequence[str]) -> pa.Table | None:
    """These columns of the newest ``entry_payback`` at or before a day, which uses no later data. None where there is
    none.

    A file that cannot be read is skipped, because a failed measurement must not stop warming; the pages that show
    that file report the error.
    """
    for newest in sorted((of for of in datasets.days("entry_payback") if of <= day), reverse=True):
        with suppress(DatasetError):
            return datasets.read("entry_payback", newest, columns)
    return None


def idle_entry_ids(table: pa.Table) -> set[str]:
    """The entries that plans exclude because they earned nothing. ``table``: entry_id and left_on of ENTRY_PAYBACK."""
    rows = zip(table["entry_id"].to_pylist(), table["left_on"].to_pylist(), strict=True)
    return {entry for entry, left_on in rows if left_on is not None}


def idle_entry_row(row: Mapping[str, Any], idle_days: int) -> dict[str, Any]:
    """An entry that left the plan as a page shows it: since when, and when it comes back. ``row``: of ENTRY_PAYBACK."""
    times, left = row["times_left"], row["left_on"]
    back, from_day = (left + timedelta(days=days_until_return(n, idle_days)) for n in (times, times - 1))
    asked = "when asked" if times == 1 else f"when asked from {from_day} on"
    shown = {name: row[name] for name in ("prompt", "agent_type", "source", "last_hit")}
    return {
        **shown,
        "days without a hit": row["idle_days"],
        "hits of an average entry": round(row["average_hits"], 1),
        "left on": row["left_on"],
        "comes back": f"{asked}, or on {back}",
    }


def measured_hits_a_day(table: pa.Table) -> dict[str, float]:
    """Hits a day, by entry_id, of the entries for which they are measured. ``table``: entry_id and hits_a_day of
    ENTRY_PAYBACK."""
    rows = zip(table["entry_id"].to_pylist(), table["hits_a_day"].to_pylist(), strict=True)
    return {entry: hits for entry, hits in rows if hits is not None}
