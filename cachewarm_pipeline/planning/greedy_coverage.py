"""Which entries together answer the most demand: lazy greedy over a sparse facility-location objective. Pure numpy.

F(S) = sum over demand points p of weight[p] * max over entries s in S of share(s, p): monotone and submodular, so
greedy reaches 1 - 1/e of the best S of a size (Nemhauser, Wolsey, Fisher 1978). Gains only fall as S grows, so an
entry's old gain is an upper bound and most are never counted again (Minoux 1978). Where entries take different numbers
of places, the better of greedy by gain and greedy by gain per place is at least (1 - 1/e) / 2 of the best (Leskovec et
al. 2007).
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TIE = 1e-12
"""Gains that differ by less are equal: the earlier candidate comes first, whatever the order of additions."""


@dataclass(frozen=True)
class Graph:
    """Who would answer what. ``weight`` (m,): what answering a demand point is worth; ``place`` (n,) int: places of the
    budget that a candidate takes, at least 1. Candidate c answers the points ``point[start[c]:start[c + 1]]``, each
    with the probability ``share`` at the same position. Memory: 12 bytes a pair.
    """

    weight: Floats
    place: Ints
    start: Ints
    point: NDArray[np.int32]
    share: NDArray[np.float64]

    @property
    def candidates(self) -> int:
        return len(self.place)

    def gain(self, candidate: int, reached: Floats) -> float:
        """What a candidate adds where each point is ``reached`` (m,) with that probability already."""
        here = slice(self.start[candidate], self.start[candidate + 1])
        points = self.point[here]
        more = self.share[here] - reached[points]
        return float(self.weight[points] @ np.where(more > 0, more, 0.0))

    def add(self, candidate: int, reached: Floats) -> None:
        """Marks in ``reached`` what a candidate answers."""
        here = slice(self.start[candidate], self.start[candidate + 1])
        points = self.point[here]
        reached[points] = np.maximum(reached[points], self.share[here])

    def reached_by(self, candidates: Sequence[int] | Ints) -> Floats:
        """Probability that each point is answered by some of the candidates."""
        reached = np.zeros(len(self.weight))
        for candidate in candidates:
            self.add(int(candidate), reached)
        return reached

    def value(self, candidates: Sequence[int] | Ints) -> float:
        """F of a set of candidates."""
        return float(self.weight @ self.reached_by(candidates))


@dataclass
class Picked:
    """Candidates in the order of choice, and what each added to those before it."""

    places: list[int]
    gains: list[float]


def make_graph(
    weight: Floats, place: Ints, candidate: NDArray[np.integer], point: NDArray[np.integer], share: Floats
) -> Graph:
    """A graph of pairs (candidate, point, share) in any order; a pair that comes twice counts once, at its larger
    share.

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
    return Graph(
        np.asarray(weight, np.float64), np.asarray(place, np.int64), start, point[first].astype(np.int32), share[first]
    )


def greedy(
    graph: Graph,
    among: Sequence[int] | Ints,
    budget: float,
    floor: float,
    reached: Floats,
    *,
    per_place: bool = True,
) -> Picked:
    """Candidates ``among`` in the order of their gain, per place or not, while it is at least ``floor`` per place and
    the ``budget`` of places lasts. ``reached`` is what was answered before and is carried on.

    A candidate that does not fit any more is passed over for smaller ones. Equal gains: the first in ``among``.
    """
    picked = Picked([], [])

    def rate(candidate: int) -> float:
        return graph.gain(candidate, reached) / (graph.place[candidate] if per_place else 1)

    heap = [(-_rounded(rate(int(c))), position, int(c), 0) for position, c in enumerate(among)]
    heapq.heapify(heap)
    left = budget
    while heap and left > 0:
        negative, position, candidate, seen = heapq.heappop(heap)
        if graph.place[candidate] > left:
            continue
        if seen < len(picked.places):
            now = _rounded(rate(candidate))
            if heap and (-now, position) > heap[0][:2]:
                heapq.heappush(heap, (-now, position, candidate, len(picked.places)))
                continue
            negative = -now
        gain = -negative * (graph.place[candidate] if per_place else 1)
        if gain < floor * graph.place[candidate]:
            if per_place:
                break
            continue
        picked.places.append(candidate)
        picked.gains.append(float(gain))
        left -= int(graph.place[candidate])
        graph.add(candidate, reached)
    return picked


def _rounded(gain: float) -> float:
    return round(gain / TIE) * TIE if gain < 1e3 else gain


def greedy_by_places(graph: Graph, among: Sequence[int] | Ints, budget: float, floor: float, reached: Floats) -> Picked:
    """The better of greedy by gain and by gain per place; one run where all take the same number of places."""
    before = reached.copy()
    by_place = greedy(graph, among, budget, floor, reached)
    places = graph.place[np.asarray(among, np.int64)]
    if not len(places) or (places == places[0]).all():
        return by_place
    other = before.copy()
    by_gain = greedy(graph, among, budget, floor, other, per_place=False)
    if sum(by_gain.gains) <= sum(by_place.gains):
        return by_place
    reached[:] = other
    return by_gain


def along(graph: Graph, order: Sequence[int] | Ints, weight: Floats | None = None) -> Floats:
    """What the first 1, 2, ... of an order answer together, (len(order),); ``weight`` in place of the graph's."""
    weight = graph.weight if weight is None else weight
    reached, total, out = np.zeros(len(weight)), 0.0, np.empty(len(order))
    for position, candidate in enumerate(order):
        here = slice(graph.start[candidate], graph.start[candidate + 1])
        points = graph.point[here]
        more = np.maximum(graph.share[here] - reached[points], 0.0)
        total += float(weight[points] @ more)
        reached[points] += more
        out[position] = total
    return out
