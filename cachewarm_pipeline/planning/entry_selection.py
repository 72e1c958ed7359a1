"""Selection by coverage: which candidates become entries under a budget.

Sources are admitted in order, golden first, but each candidate must earn its place. The price of a place is the gain of
the last entry that fits into the budget when the source is ignored. So of two candidates that answer the same demand,
the one from the earlier source wins, and a golden answer that nobody asks for does not displace what everybody asks.
The order of sources may cost at most MAX_SOURCE_ORDER_COST of the expected worth; beyond that it only breaks ties.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.match_rules.hit_probability_curve import HitProbability
from cachewarm_pipeline.planning.candidate_row import CandidateRow
from cachewarm_pipeline.planning.expected_demand import ITSELF, SAME, UNKNOWN, AgentDemand
from cachewarm_pipeline.planning.greedy_coverage import CoverageGraph, Floats, graph_of_pairs, greedy, greedy_by_places
from cachewarm_pipeline.settings.selection_limits import Limits

SOURCES = ("golden", "query_log", "synthetic")
"""Order of admission: verified answers first, then what users ask, then what they might ask."""

MAX_SOURCE_ORDER_COST = 0.01
"""Share of the expected worth that admitting golden before log before synthetic may cost."""

THIN_LOG_QUERIES = 30
"""Below this number of distinct queries the log of an agent_type does not show yet what users ask. Its golden answers
are then warmed too, by confidence, in places that no other entry needs."""

NEGLIGIBLE_GAIN = 1e-9
"""Hits a day that count as none: what rounding leaves of a gain."""


@dataclass(frozen=True)
class Selected:
    """The rows that become entries."""

    positions: list[int]
    """Positions of the chosen rows, by rank."""
    gains: list[float]
    """Hits a day (of a call of mean cost) that each adds to those before it."""
    excluded: Counts


def budget_places(rows: Sequence[CandidateRow], entry_bytes: int) -> NDArray[np.int64]:
    """Places of the budget that each row takes: memory grows with the response, so a large one takes several."""
    sizes = [len(row["response"].encode("utf-8", "surrogatepass")) for row in rows]
    return np.maximum(1, -(-np.array(sizes, np.int64) // entry_bytes))


def coverage_graph(
    demands: Sequence[AgentDemand], place: NDArray[np.int64], hit_probability: Callable[[str], HitProbability]
) -> tuple[CoverageGraph, Floats]:
    """Which candidate would answer which demand point, and the expected lookups a day of each point (m,).

    ``place`` (n,): budget places of each candidate; ``hit_probability``: the curve of an agent_type. An entry answers
    its own text with probability 1, and a text with the same answer with the probability of the curve. Where the answer
    of a text may not be used (see expected_demand), that probability is multiplied by the chance that two answers at
    this cosine are the same.
    """
    parts = []
    first = 0
    for demand in demands:
        curve = hit_probability(demand.agent_type)
        share = curve(demand.cosine)
        share = np.where(
            demand.same == SAME, share, np.where(demand.same == UNKNOWN, share * demand.right(demand.cosine), 0)
        )
        share = np.where(demand.same == ITSELF, 1.0, share)
        point, slot = np.nonzero(share)
        parts.append((demand.candidates[demand.near[point, slot]], point + first, share[point, slot]))
        first += len(demand.lookups)
    value = [demand.value for demand in demands]
    lookups = [demand.lookups for demand in demands]
    if not parts:
        return graph_of_pairs(np.empty(0), place, np.empty(0, int), np.empty(0, int), np.empty(0)), np.empty(0)
    candidate, points, shares = (np.concatenate(column) for column in zip(*parts, strict=True))
    return graph_of_pairs(np.concatenate(value), place, candidate, points, shares), np.concatenate(lookups)


def select(
    rows: Sequence[CandidateRow], graph: CoverageGraph, demands: Sequence[AgentDemand], limits: Limits
) -> Selected:
    """The rows to warm, ordered by gain, and the reasons why the others are excluded.

    Agent types with a quota come first, each within its own quota; the others share the rest of the budget. If the log
    of an agent_type has fewer than THIN_LOG_QUERIES queries, or none (a cold start), its golden answers follow all
    others, in the order of ``rows`` (by confidence). Within a quota, and among the agent types without one, the total
    value is at least (1 - MAX_SOURCE_ORDER_COST) of greedy's.

    Reasons: NO_DEMAND (would answer nothing), BELOW_FLOOR (the entries before it already answer its demand),
    OVER_QUOTA, OVER_BUDGET.
    """
    own = {demand.agent_type: demand.candidates for demand in demands}
    thin = {demand.agent_type for demand in demands if demand.queries < THIN_LOG_QUERIES}
    floor = max(limits.floor, NEGLIGIBLE_GAIN)
    answered = np.zeros(len(graph.weight))
    chosen: list[int] = []

    def fill(candidates: NDArray[np.int64], unasked: NDArray[np.int64], budget: int) -> int:
        """Chooses by demand, then adds the golden answers of thin logs. Returns the number of places taken."""
        taken = _admit(graph, rows, candidates, budget, floor, answered)
        left = budget - int(graph.place[taken].sum())
        for candidate in np.setdiff1d(unasked, taken).tolist():
            if graph.place[candidate] <= left and rows[candidate]["source"] == SOURCES[0]:
                taken.append(candidate)
                graph.add(candidate, answered)
                left -= int(graph.place[candidate])
        chosen.extend(taken)
        return budget - left

    left = limits.budget
    for name, quota in sorted(limits.quotas.items()):
        if name in own:
            left -= fill(own[name], own[name] if name in thin else _NONE, quota)
    others = [name for name in own if name not in limits.quotas]
    # Quota places that an agent_type does not use are free for the others.
    fill(_joined([own[name] for name in others]), _joined([own[name] for name in others if name in thin]), left)
    ranked = greedy(graph, sorted(chosen), np.inf, -np.inf, np.zeros(len(graph.weight)), per_place=False)
    return Selected(ranked.positions, ranked.gains, _exclusions(rows, graph, set(chosen), thin, limits, answered))


_NONE = np.empty(0, np.int64)


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.sort(np.concatenate(parts)) if parts else _NONE


def _admit(
    graph: CoverageGraph,
    rows: Sequence[CandidateRow],
    among: NDArray[np.int64],
    budget: int,
    floor: float,
    answered: Floats,
) -> list[int]:
    """Admits source by source at the price of a place, then all sources together into the places left. Updates
    ``answered``."""
    if budget < 1 or not len(among):
        return []
    sources = np.array([SOURCES.index(rows[candidate]["source"]) for candidate in among.tolist()])
    among, sources = among[np.argsort(sources, kind="stable")], np.sort(sources)
    answered_together = answered.copy()
    together = greedy_by_places(graph, among, budget, floor, answered_together)
    rates = np.array(together.gains) / graph.place[together.positions]
    # Where every candidate worth a place finds room, a place costs no more than the floor.
    scarce = any(
        graph.gain(c, answered_together) >= floor * graph.place[c]
        for c in np.setdiff1d(among, together.positions).tolist()
    )
    price = max(floor, float(rates.min())) if scarce and len(rates) else floor
    answered_by_source, chosen, left, worth = answered.copy(), list[int](), budget, 0.0
    for source in (*range(len(SOURCES)), None):
        rest = among[~np.isin(among, chosen) & (True if source is None else sources == source)]
        found = greedy_by_places(graph, rest, left, floor if source is None else price, answered_by_source)
        chosen += found.positions
        left -= int(graph.place[found.positions].sum())
        worth += sum(found.gains)
    if worth < (1 - MAX_SOURCE_ORDER_COST) * sum(together.gains):
        chosen, answered_by_source = together.positions, answered_together
    answered[:] = answered_by_source
    return chosen


def _exclusions(
    rows: Sequence[CandidateRow],
    graph: CoverageGraph,
    chosen: set[int],
    thin: set[str],
    limits: Limits,
    answered: Floats,
) -> Counts:
    excluded = Counts()
    nothing = np.zeros_like(answered)
    for candidate, row in enumerate(rows):
        if candidate in chosen:
            continue
        over = ExclusionReason.OVER_QUOTA if row["agent_type"] in limits.quotas else ExclusionReason.OVER_BUDGET
        if row["agent_type"] in thin and row["source"] == SOURCES[0]:
            excluded[over] += 1
        elif graph.gain(candidate, nothing) < NEGLIGIBLE_GAIN:
            excluded[ExclusionReason.NO_DEMAND] += 1
        elif graph.gain(candidate, answered) < max(limits.floor, NEGLIGIBLE_GAIN) * graph.place[candidate]:
            excluded[ExclusionReason.BELOW_FLOOR] += 1
        else:
            excluded[over] += 1
    return +excluded
