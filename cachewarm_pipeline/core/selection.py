"""Selection by coverage: which candidates become entries under a budget, and the curve that says what more would bring.

Sources are admitted in their order, golden first: but only what earns its place. What a place is worth (its price) is
the gain of the last entry that all candidates together, sources forgotten, put into the budget. Where two candidates
answer the same demand, the one of the earlier source thus wins, and a golden answer that nobody asks for does not crowd
out what everybody asks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.core.coverage import Floats, Graph, along, greedy, greedy_by_places, make_graph
from cachewarm_pipeline.core.demand import ITSELF, SAME, UNKNOWN, AgentDemand
from cachewarm_pipeline.core.limits import Limits
from cachewarm_pipeline.core.reach import Curve
from cachewarm_pipeline.core.reasons import Counts, LeftOut

SOURCES = ("golden", "query_log", "synthetic")
"""Order of admission, as the seed warms: best answers first, then what users ask, then what they may ask."""

NEXT = 100
"""Entries beyond the plan that the curve looks at."""

LEAST_GAIN = 1e-9
"""Hits a day that are none: what rounding leaves of a gain."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Selected:
    """``places``: positions of the chosen rows by rank; ``gains``: hits a day that each adds to those before it."""

    places: list[int]
    gains: list[float]
    left_out: Counts


def places_of(rows: Sequence[Row], entry_bytes: int) -> NDArray[np.int64]:
    """Places of the budget that each row takes: memory goes with the response, so a large one takes several."""
    sizes = [len(row["response"].encode("utf-8", "surrogatepass")) for row in rows]
    return np.maximum(1, -(-np.array(sizes, np.int64) // entry_bytes))


def graph_of(
    demands: Sequence[AgentDemand], place: NDArray[np.int64], reach: Callable[[str], Curve]
) -> tuple[Graph, Floats]:
    """Who would answer what under the ``reach`` of each agent_type's entries, and the look-ups a day of each point.

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

    Agent types with a quota come first, each within its own; the others share what is left. An agent_type without any
    demand (a cold start) has its candidates in the order of ``rows`` behind all others: golden by confidence.
    Left out: NO_DEMAND (would answer nothing), BELOW_FLOOR (the entries before it answer that already), OVER_QUOTA,
    OVER_BUDGET.
    """
    own = {demand.agent_type: demand.candidates for demand in demands}
    floor = max(limits.floor, LEAST_GAIN)
    cold = {demand.agent_type for demand in demands if not demand.value.any()}
    reached = np.zeros(len(graph.weight))
    left = limits.budget
    chosen: list[int] = []
    for name, quota in sorted(limits.quotas.items()):
        if name in own:
            if name in cold:
                taken = _first(graph, own[name], quota)
            else:
                taken = _admit(graph, rows, own[name], quota, floor, reached)
            chosen += taken
            left -= int(graph.place[taken].sum())
    warm = [places for name, places in own.items() if name not in limits.quotas and name not in cold]
    shared = np.sort(np.concatenate(warm)) if warm else np.empty(0, np.int64)
    # What is kept for an agent_type and not used is free for the others.
    taken = _admit(graph, rows, shared, left, floor, reached)
    chosen += taken
    left -= int(graph.place[taken].sum())
    unasked = [places for name, places in own.items() if name in cold and name not in limits.quotas]
    chosen += _first(graph, np.sort(np.concatenate(unasked)) if unasked else np.empty(0, np.int64), left)
    ranked = greedy(graph, sorted(chosen), np.inf, -np.inf, np.zeros(len(graph.weight)), per_place=False)
    return Selected(ranked.places, ranked.gains, _why_not(rows, graph, set(chosen), cold, limits, reached))


def _first(graph: Graph, among: NDArray[np.int64], budget: int) -> list[int]:
    """As many as the places last for, in their order."""
    taken = []
    for candidate in among.tolist():
        if graph.place[candidate] <= budget:
            taken.append(candidate)
            budget -= int(graph.place[candidate])
    return taken


def _admit(
    graph: Graph, rows: Sequence[Row], among: NDArray[np.int64], budget: int, floor: float, reached: Floats
) -> list[int]:
    """Source by source at the price of a place, then all together for what is left; ``reached`` is carried on."""
    if budget < 1 or not len(among):
        return []
    all_together = greedy_by_places(graph, among, budget, floor, reached.copy())
    full = graph.place[all_together.places].sum() >= budget
    rates = np.array(all_together.gains) / graph.place[all_together.places]
    price = max(floor, float(rates.min())) if full and len(rates) else floor
    chosen: list[int] = []
    sources = np.array([SOURCES.index(rows[candidate]["source"]) for candidate in among.tolist()])
    for source in (*range(len(SOURCES)), None):
        members = among if source is None else among[sources == source]
        rest = np.setdiff1d(members, chosen)
        found = greedy_by_places(graph, rest, budget, floor if source is None else price, reached)
        chosen += found.places
        budget -= int(graph.place[found.places].sum())
    return chosen


def _why_not(
    rows: Sequence[Row], graph: Graph, chosen: set[int], cold: set[str], limits: Limits, reached: Floats
) -> Counts:
    left_out = Counts()
    nothing = np.zeros_like(reached)
    for candidate, row in enumerate(rows):
        if candidate in chosen:
            continue
        over = LeftOut.OVER_QUOTA if row["agent_type"] in limits.quotas else LeftOut.OVER_BUDGET
        if row["agent_type"] in cold:
            left_out[over] += 1
        elif graph.gain(candidate, nothing) < LEAST_GAIN:
            left_out[LeftOut.NO_DEMAND] += 1
        elif graph.gain(candidate, reached) < max(limits.floor, LEAST_GAIN) * graph.place[candidate]:
            left_out[LeftOut.BELOW_FLOOR] += 1
        else:
            left_out[over] += 1
    return +left_out


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
    beyond = greedy(graph, rest, NEXT, 0.0, reached, per_place=False)
    on = [place for place, gain in zip(beyond.places, beyond.gains, strict=True) if gain > 0]
    drawn = rng.permutation(len(rows))
    return Curves(
        len(selected.places),
        along(graph, [*selected.places, *on], lookups),
        along(graph, np.arange(len(rows)), lookups),
        along(graph, drawn, lookups),
        sum(demand.total for demand in demands),
    )
