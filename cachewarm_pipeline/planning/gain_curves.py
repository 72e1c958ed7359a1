"""Expected hits a day by number of entries: the plan, what would come next, and two other orders to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.planning.candidate_row import CandidateRow
from cachewarm_pipeline.planning.entry_selection import Selected
from cachewarm_pipeline.planning.expected_demand import AgentDemand
from cachewarm_pipeline.planning.greedy_coverage import CoverageGraph, Floats, cumulative_gains, greedy
from cachewarm_pipeline.storage.schemas import PLAN_CURVE

BEYOND_PLAN = 100
"""Number of entries by which the curve continues past the plan."""

POINTS = 20
"""Approximate number of rows of the table: enough to see where the curve bends."""


@dataclass(frozen=True)
class GainCurves:
    """Expected hits a day of the first 1, 2, ... entries, in three orders."""

    entries: int
    """Entries of the plan."""
    plan: Floats
    """The plan, then up to BEYOND_PLAN further entries, whatever the budget and the floor."""
    frequency: Floats
    """Golden first, then by frequency."""
    random: Floats
    """A random order."""
    lookups: float
    """All expected lookups a day."""

    def hits(self, entries: int) -> float:
        """Expected hits a day of the plan's first entries."""
        return float(self.plan[min(entries, len(self.plan)) - 1]) if entries and len(self.plan) else 0.0

    @property
    def next_hits(self) -> float:
        """Hits a day that the entries beyond the plan would add."""
        return self.hits(len(self.plan)) - self.hits(self.entries)


def gain_curves(
    rows: Sequence[CandidateRow],
    graph: CoverageGraph,
    lookups: Floats,
    selected: Selected,
    demands: Sequence[AgentDemand],
    rng: np.random.Generator,
) -> GainCurves:
    """The curves of a selection. ``rows`` are ordered golden first, then by frequency; ``lookups`` (m,): expected
    lookups a day of each demand point of the ``graph``."""
    answered = graph.answered_by(selected.positions)
    rest = np.setdiff1d(np.arange(len(rows)), selected.positions)
    one_place_each = replace(graph, place=np.ones_like(graph.place))
    following = greedy(one_place_each, rest, BEYOND_PLAN, 0.0, answered, per_place=False)
    gaining = [position for position, gain in zip(following.positions, following.gains, strict=True) if gain > 0]
    random_order = rng.permutation(len(rows))
    return GainCurves(
        len(selected.positions),
        cumulative_gains(graph, [*selected.positions, *gaining], lookups),
        cumulative_gains(graph, np.arange(len(rows)), lookups),
        cumulative_gains(graph, random_order, lookups),
        sum(demand.total for demand in demands),
    )


def curve_table(found: GainCurves | None) -> pa.Table:
    """PLAN_CURVE at about POINTS sizes, from 1 entry to past the plan, the plan's own size among them. Empty without
    curves."""
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


def next_entries_sentence(found: GainCurves) -> str:
    """One sentence: how many hits a day the entries beyond the plan would add."""
    more = len(found.plan) - found.entries
    if not more:
        return "No further candidate would add a hit."
    share = f" ({found.next_hits / found.lookups:.1%} of the lookups)" if found.lookups else ""
    entries = f"next {more} entries" if more == BEYOND_PLAN else plural(more, "remaining candidate")
    return f"The {entries} would add {found.next_hits:,.1f} hits a day{share}."
