"""Which entries together answer the most demand: lazy greedy on a sparse facility-location objective. Pure numpy.

F(S) = sum over demand points p of weight[p] * max over entries s in S of share(s, p). F is monotone and submodular, so
greedy reaches 1 - 1/e of the best S of the same size (Nemhauser, Wolsey, Fisher 1978). Gains only fall as S grows, so
an earlier gain is an upper bound, and most gains are never computed again (Minoux 1978). Where entries take different
numbers of places, the better of greedy by gain and greedy by gain per place reaches at least (1 - 1/e) / 2 of the best
(Leskovec et al. 2007).
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TIE = 1e-12
"""Gains that differ by less count as equal, so that the earlier candidate wins whatever the rounding of a sum."""


@dataclass(frozen=True)
class CoverageGraph:
    """Which candidate would answer which demand point, and how likely.

    Candidate c answers the points ``point[start[c]:start[c + 1]]``, each with the probability ``share`` at the same
    position. Memory: 12 bytes a pair.
    """

    weight: Floats
    """(m,): worth of answering each demand point."""
    place: Ints
    """(n,): places of the budget that each candidate takes, at least 1."""
    start: Ints
    """(n + 1,): where each candidate's pairs begin."""
    point: NDArray[np.int32]
    """Demand point of each pair."""
    share: NDArray[np.float64]
    """Probability of each pair, above 0 and at most 1."""

    @property
    def candidates(self) -> int:
        return len(self.place)

    def gain(self, candidate: int, answered: Floats) -> float:
        """What a candidate adds when each point is already answered with probability ``answered`` (m,)."""
        here = slice(self.start[candidate], self.start[candidate + 1])
        points = self.point[here]
        more = self.share[here] - answered[points]
        return float(self.weight[points] @ np.where(more > 0, more, 0.0))

    def add(self, candidate: int, answered: Floats) -> None:
        """Raises ``answered`` in place to what a candidate answers."""
        here = slice(self.start[candidate], self.start[candidate + 1])
        points = self.point[here]
        answered[points] = np.maximum(answered[points], self.share[here])

    def answered_by(self, candidates: Sequence[int] | Ints) -> Floats:
        """(m,): probability that the best of the candidates answers each point."""
        answered = np.zeros(len(self.weight))
        for candidate in candidates:
            self.add(int(candidate), answered)
        return answered

    def value(self, candidates: Sequence[int] | Ints) -> float:
        """F of a set of candidates."""
        return float(self.weight @ self.answered_by(candidates))


@dataclass
class GreedyChoice:
    """The chosen candidates in order, and the gain of each over those before it."""

    positions: list[int]
    gains: list[float]


def graph_of_pairs(
    weight: Floats, place: Ints, candidate: NDArray[np.integer], point: NDArray[np.integer], share: Floats
) -> CoverageGraph:
    """The graph of pairs (candidate, point, share) in any order. Of a repeated pair, the larger share counts.

    Raises ValueError for shares outside [0, 1], weights that are negative or not finite, and places below 1.
    """
    if len(place) and place.min() < 1:
        raise ValueError("an entry takes at least 1 place")
    if len(weight) and not (np.isfinite(weight).all() and weight.min() >= 0):
        raise ValueError("weights must be finite and not negative")
    if len(share) and not (share.min() >= 0 and share.max() <= 1):
        raise ValueError("shares must be within 0 and 1")
    keep = share > 0
    candidate, point, share = candidate[keep], point[keep], share[keep]
    order = np.lexsort((-share, point, candidate))
    candidate, point, share = candidate[order], point[order], share[order]
    first = np.ones(len(order), bool)
    first[1:] = (candidate[1:] != candidate[:-1]) | (point[1:] != point[:-1])
    counts = np.bincount(candidate[first], minlength=len(place))
    start = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    return CoverageGraph(
        np.asarray(weight, np.float64), np.asarray(place, np.int64), start, point[first].astype(np.int32), share[first]
    )


def greedy(
    graph: CoverageGraph,
    among: Sequence[int] | Ints,
    budget: float,
    floor: float,
    answered: Floats,
    *,
    per_place: bool = True,
) -> GreedyChoice:
    """Chooses among the candidates ``among`` by gain, or by gain per place, until the ``budget`` of places is spent or
    no gain reaches ``floor`` per place.

    ``answered`` (m,): what is answered already; updated in place. A candidate that no longer fits is skipped for
    smaller ones. Of equal gains, the first in ``among`` wins.
    """
    chosen = GreedyChoice([], [])

    def rate(candidate: int) -> float:
        return graph.gain(candidate, answered) / (graph.place[candidate] if per_place else 1)

    heap = [(-_rounded(rate(int(c))), position, int(c), 0) for position, c in enumerate(among)]
    heapq.heapify(heap)
    left = budget
    while heap and left > 0:
        negative, position, candidate, seen = heapq.heappop(heap)
        if graph.place[candidate] > left:
            continue
        if seen < len(chosen.positions):
            now = _rounded(rate(candidate))
            if heap and (-now, position) > heap[0][:2]:
                heapq.heappush(heap, (-now, position, candidate, len(chosen.positions)))
                continue
            negative = -now
        gain = -negative * (graph.place[candidate] if per_place else 1)
        if gain < floor * graph.place[candidate]:
            if per_place:
                break
            continue
        chosen.positions.append(candidate)
        chosen.gains.append(float(gain))
        left -= int(graph.place[candidate])
        graph.add(candidate, answered)
    return chosen


def _rounded(gain: float) -> float:
    return round(gain / TIE) * TIE if gain < 1e3 else gain


def greedy_by_places(
    graph: CoverageGraph, among: Sequence[int] | Ints, budget: float, floor: float, answered: Floats
) -> GreedyChoice:
    """The better of greedy by gain and greedy by gain per place. Runs once where all take the same number of places."""
    before = answered.copy()
    by_place = greedy(graph, among, budget, floor, answered)
    places = graph.place[np.asarray(among, np.int64)]
    if not len(places) or (places == places[0]).all():
        return by_place
    other = before.copy()
    by_gain = greedy(graph, among, budget, floor, other, per_place=False)
    if sum(by_gain.gains) <= sum(by_place.gains):
        return by_place
    answered[:] = other
    return by_gain


def cumulative_gains(graph: CoverageGraph, order: Sequence[int] | Ints, weight: Floats | None = None) -> Floats:
    """Worth of what the first 1, 2, ... candidates of an order answer together, (len(order),).

    ``weight`` (m,) replaces the graph's own.
    """
    weight = graph.weight if weight is None else weight
    answered, total, out = np.zeros(len(weight)), 0.0, np.empty(len(order))
    for position, candidate in enumerate(order):
        here = slice(graph.start[candidate], graph.start[candidate + 1])
        points = graph.point[here]
        more = np.maximum(graph.share[here] - answered[points], 0.0)
        total += float(weight[points] @ more)
        answered[points] += more
        out[position] = total
    return out
