"""Selection by coverage: which candidates become entries under a budget, and the curve that says what more would bring.

Sources are admitted in their order, golden first: but only what earns its place. What a place is worth (its price) is
the gain of the last entry that all candidates together, sources forgotten, put into the budget. Where two candidates
answer the same demand, the one of the earlier source thus wins, and a golden answer that nobody asks for does not crowd
out what everybody asks. The order of sources may cost SOURCES_COST of the hits and no more: else it only breaks ties.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.match_rules.reach_curve import Reach
from cachewarm_pipeline.planning.expected_demand import ITSELF, SAME, UNKNOWN, AgentDemand
from cachewarm_pipeline.planning.greedy_coverage import Floats, Graph, along, greedy, greedy_by_places, make_graph
from cachewarm_pipeline.settings.selection_limits import Limits

SOURCES = ("golden", "query_log", "synthetic")
"""Order of admission, as the seed warms: best answers first, then what users ask, then what they may ask."""

NEXT = 100
"""Entries beyond the plan that the curve looks at."""

SOURCES_COST = 0.01
"""Share of the expected worth that golden before log before synthetic may cost."""

THIN = 30
"""Distinct queries of an agent_type under which its log does not tell yet what is asked: its golden answers are warmed
too, by confidence, in places that nobody else needs."""

LEAST_GAIN = 1e-9
"""Hits a day that are none: what rounding leaves of a gain."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Selected:
    """``places``: positions of the chosen rows by rank; ``gains``: what each adds to those before it, in hits a day of
    mean cost."""

    places: list[int]
    gains: list[float]
    excluded: Counts


def places_of(rows: Sequence[Row], entry_bytes: int) -> NDArray[np.int64]:
    """Places of the budget that each row takes: memory goes with the response, so a large one takes several."""
    sizes = [len(row["response"].encode("utf-8", "surrogatepass")) for row in rows]
    return np.maximum(1, -(-np.array(sizes, np.int64) // entry_bytes))


def graph_of(
    demands: Sequence[AgentDemand], place: NDArray[np.int64], reach: Callable[[str], Reach]
) -> tuple[Graph, Floats]:
    """Who would answer what under the ``reach`` of each agent_type's entries, and the lookups a day of each point.

    An entry answers its own text for certain; a text with the same answer with the chance of its reach; one whose
    answer may not be known here with that chance times the chance that the answers at such a cosine are the same.
    """
    parts = []
    first = 0
    for demand in demands:
        curve = reach(demand.agent_type)
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
        return make_graph(np.empty(0), place, np.empty(0, int), np.empty(0, int), np.empty(0)), np.empty(0)
    candidate, points, shares = (np.concatenate(column) for column in zip(*parts, strict=True))
    return make_graph(np.concatenate(value), place, candidate, points, shares), np.concatenate(lookups)


def select(rows: Sequence[Row], graph: Graph, demands: Sequence[AgentDemand], limits: Limits) -> Selected:
    """The rows that are warmed, in the order of their gain, and why the others are not.

    Agent types with a quota come first, each within its own; the others share what is left. An agent_type with a THIN
    log, or none (a cold start), has its golden answers in the order of ``rows``, by confidence, behind all others.
    Within a quota, and among those without one, the worth is at least 1 - SOURCES_COST of greedy's.
    Left out: NO_DEMAND (would answer nothing), BELOW_FLOOR (the entries before it answer that already), OVER_QUOTA,
    OVER_BUDGET.
    """
    own = {demand.agent_type: demand.candidates for demand in demands}
    thin = {demand.agent_type for demand in demands if demand.queries < THIN}
    floor = max(limits.floor, LEAST_GAIN)
    reached = np.zeros(len(graph.weight))
    chosen: list[int] = []

    def fill(candidates: NDArray[np.int64], unasked: NDArray[np.int64], budget: int) -> int:
        """Chooses what is asked, then the golden answers of thin logs; the places taken."""
        taken = _admit(graph, rows, candidates, budget, floor, reached)
        left = budget - int(graph.place[taken].sum())
        for candidate in np.setdiff1d(unasked, taken).tolist():
            if graph.place[candidate] <= left and rows[candidate]["source"] == SOURCES[0]:
                taken.append(candidate)
                graph.add(candidate, reached)
                left -= int(graph.place[candidate])
        chosen.extend(taken)
        return budget - left

    left = limits.budget
    for name, quota in sorted(limits.quotas.items()):
        if name in own:
            left -= fill(own[name], own[name] if name in thin else _NONE, quota)
    others = [name for name in own if name not in limits.quotas]
    # What is kept for an agent_type and not used is free for the others.
    fill(_joined([own[name] for name in others]), _joined([own[name] for name in others if name in thin]), left)
    ranked = greedy(graph, sorted(chosen), np.inf, -np.inf, np.zeros(len(graph.weight)), per_place=False)
    return Selected(ranked.places, ranked.gains, _why_not(rows, graph, set(chosen), thin, limits, reached))


_NONE = np.empty(0, np.int64)


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.sort(np.concatenate(parts)) if parts else _NONE


def _admit(
    graph: Graph, rows: Sequence[Row], among: NDArray[np.int64], budget: int, floor: float, reached: Floats
) -> list[int]:
    """Source by source at the price of a place, then all together for what is left; ``reached`` is carried on."""
    if budget < 1 or not len(among):
        return []
    sources = np.array([SOURCES.index(rows[candidate]["source"]) for candidate in among.tolist()])
    among, sources = among[np.argsort(sources, kind="stable")], np.sort(sources)
    after = reached.copy()
    together = greedy_by_places(graph, among, budget, floor, after)
    rates = np.array(together.gains) / graph.place[together.places]
    # Nobody pays for a place where all find room that are worth one.
    wanting = any(graph.gain(c, after) >= floor * graph.place[c] for c in np.setdiff1d(among, together.places).tolist())
    price = max(floor, float(rates.min())) if wanting and len(rates) else floor
    by_source, chosen, left, worth = reached.copy(), list[int](), budget, 0.0
    for source in (*range(len(SOURCES)), None):
        rest = among[~np.isin(among, chosen) & (True if source is None else sources == source)]
        found = greedy_by_places(graph, rest, left, floor if source is None else price, by_source)
        chosen += found.places
        left -= int(graph.place[found.places].sum())
        worth += sum(found.gains)
    if worth < (1 - SOURCES_COST) * sum(together.gains):
        chosen, by_source = together.places, after
    reached[:] = by_source
    return chosen


def _why_not(
    rows: Sequence[Row], graph: Graph, chosen: set[int], thin: set[str], limits: Limits, reached: Floats
) -> Counts:
    excluded = Counts()
    nothing = np.zeros_like(reached)
    for candidate, row in enumerate(rows):
        if candidate in chosen:
            continue
        over = ExclusionReason.OVER_QUOTA if row["agent_type"] in limits.quotas else ExclusionReason.OVER_BUDGET
        if row["agent_type"] in thin and row["source"] == SOURCES[0]:
            excluded[over] += 1
        elif graph.gain(candidate, nothing) < LEAST_GAIN:
            excluded[ExclusionReason.NO_DEMAND] += 1
        elif graph.gain(candidate, reached) < max(limits.floor, LEAST_GAIN) * graph.place[candidate]:
            excluded[ExclusionReason.BELOW_FLOOR] += 1
        else:
            excluded[over] += 1
    return +excluded


@dataclass(frozen=True)
class Curves:
    """Expected hits a day of the first 1, 2, ... entries. ``plan`` goes on for NEXT entries beyond the plan's own
    ``entries``, whatever the budget and the floor; ``frequency``: golden first, then those asked most; ``random``:
    drawn. ``lookups``: all that are expected a day."""

    entries: int
    plan: Floats
    frequency: Floats
    random: Floats
    lookups: float

    def hits(self, entries: int) -> float:
        """Expected hits a day of the plan's first entries."""
        return float(self.plan[min(entries, len(self.plan)) - 1]) if entries and len(self.plan) else 0.0

    @property
    def next_hits(self) -> float:
        """What the next NEXT entries would add, in hits a day."""
        return self.hits(len(self.plan)) - self.hits(self.entries)


def curves(
    rows: Sequence[Row],
    graph: Graph,
    lookups: Floats,
    selected: Selected,
    demands: Sequence[AgentDemand],
    rng: np.random.Generator,
) -> Curves:
    """The curves of a selection; ``rows`` are in the seed's order."""
    reached = graph.reached_by(selected.places)
    rest = np.setdiff1d(np.arange(len(rows)), selected.places)
    one_place = replace(graph, place=np.ones_like(graph.place))
    beyond = greedy(one_place, rest, NEXT, 0.0, reached, per_place=False)
    on = [place for place, gain in zip(beyond.places, beyond.gains, strict=True) if gain > 0]
    drawn = rng.permutation(len(rows))
    return Curves(
        len(selected.places),
        along(graph, [*selected.places, *on], lookups),
        along(graph, np.arange(len(rows)), lookups),
        along(graph, drawn, lookups),
        sum(demand.total for demand in demands),
    )
