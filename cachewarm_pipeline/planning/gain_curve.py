"""The marginal-gain curve as a table and a sentence."""

import numpy as np
import pyarrow as pa

from cachewarm_pipeline.planning.entry_selection import NEXT, Curves
from cachewarm_pipeline.storage.schemas import PLAN_CURVE

POINTS = 20
"""Rows of the table, about: enough to see where the curve bends."""


def curve_table(found: Curves | None) -> pa.Table:
    """PLAN_CURVE at about POINTS sizes from 1 to beyond the plan, its own size among them; empty without a curve."""
    if found is None or not len(found.frequency):
        return PLAN_CURVE.empty_table()
    last = max(len(found.plan), found.entries, 1)
    sizes = sorted({*np.linspace(1, last, POINTS).round().astype(int).tolist(), found.entries} - {0})

    def at(values: np.ndarray, size: int) -> float | None:
        return float(values[size - 1]) if size <= len(values) else None

    rows = [
        {
            "entries": size,
            "plan": at(found.plan, size),
            "frequency": at(found.frequency, size),
            "random": at(found.random, size),
            "lookups": found.lookups,
            "planned": size <= found.entries,
        }
        for size in sizes
    ]
    return pa.Table.from_pylist(rows, schema=PLAN_CURVE)


def next_entries(found: Curves) -> str:
    """One sentence: what the next NEXT entries would bring."""
    more = len(found.plan) - found.entries
    if not more:
        return "No further candidate would bring a hit."
    share = f" ({found.next_hits / found.lookups:.1%} of the lookups)" if found.lookups else ""
    few = f"next {more} entries" if more == NEXT else f"{more} candidates that are left"
    return f"The {few} would bring {found.next_hits:,.1f} hits a day more{share}."
