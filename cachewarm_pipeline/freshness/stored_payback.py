"""What the stored ``entry_payback`` says of entries, for the plans and checks that rest on it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.freshness.idle_entries import second_chance
from cachewarm_pipeline.storage.datasets import DatasetStore


def stored_payback(datasets: DatasetStore, day: date, columns: Sequence[str]) -> pa.Table | None:
    """The newest ``entry_payback`` at or before a day, which rests on no later one; None where there is none.

    One that cannot be read is passed over: measuring stops no warming, and who reads that table itself is told.
    """
    for there in sorted((one for one in datasets.days("entry_payback") if one <= day), reverse=True):
        with suppress(DatasetError):
            return datasets.read("entry_payback", there, columns)
    return None


def idle_entries(table: pa.Table) -> set[str]:
    """Entries that plans leave out since they earned nothing. ``table``: entry_id and left_on of ENTRY_PAYBACK."""
    rows = zip(table["entry_id"].to_pylist(), table["left_on"].to_pylist(), strict=True)
    return {entry for entry, left_on in rows if left_on is not None}


def idle_entry_row(row: Mapping[str, Any], idle_days: int) -> dict[str, Any]:
    """An entry that left as a person reads it: since when, and when it comes back. ``row``: of ENTRY_PAYBACK."""
    times, left = row["times_left"], row["left_on"]
    back, waits = (left + timedelta(days=second_chance(n, idle_days)) for n in (times, times - 1))
    asked = "when asked" if times == 1 else f"when asked from {waits} on"
    shown = {name: row[name] for name in ("prompt", "agent_type", "source", "last_hit")}
    return {
        **shown,
        "days without a hit": row["idle_days"],
        "hits of an average entry": round(row["average_hits"], 1),
        "left on": row["left_on"],
        "comes back": f"{asked}, or on {back}",
    }


def measured_hits(table: pa.Table) -> dict[str, float]:
    """Hits a day of the entries of which they are measured. ``table``: entry_id and hits_a_day of ENTRY_PAYBACK."""
    rows = zip(table["entry_id"].to_pylist(), table["hits_a_day"].to_pylist(), strict=True)
    return {entry: hits for entry, hits in rows if hits is not None}
