"""The answers of one query in pairs: how far apart in time, for the same user or not, and how likely they differ.

An observation is a response on one day to one user. Pairs of n observations are not n (n - 1) / 2 independent facts:
whoever has one odd answer sees it in n - 1 pairs. So all pairs of a query together count as n - 1 facts.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.answers.response_choice import LoggedAnswer

MAX_OBSERVATIONS = 40
"""Observations of a query at most: 780 pairs. Of more, a sample by hash is taken."""

DISTANCES = (1, 2, 4, 8, 16)
"""Days from which two answers are far apart in time, for queries whose answers change all the time."""
CUTS = 8
"""Days at most on which an answer may have changed once."""
SHAPES = len(DISTANCES) + CUTS
"""Ways in which an answer may change over time."""

NEAR_DAYS, FAR_DAYS = 1, 7
"""Most days between two near answers, and fewest days between two far ones, in what is reported."""

UNKNOWN, SAME, OTHER = 0, 1, 2
_GAP_ENDS = np.array([0, 1, 3, 7, 15])
"""Last gap of each bin but the last, within which pairs get one weight."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class QueryPairs:
    """What the change model needs of one query. A cell is (facts, sum of disagreement over them)."""

    total: Floats
    """(2,) cell of all pairs."""
    shapes: Floats
    """(SHAPES, 2, 2) near and far cell for each shape of change; zeros where the query cannot have the shape."""
    users: Floats
    """(2, 2) cell of pairs of one user, and of pairs of two; zeros where no pair is of one user."""
    pairs: Floats
    """(4, 2) number of pairs and sum of disagreement: near, far, same user, other user. For reports."""
    near_different: int
    """The near ones of these pairs that the judge calls different where it labels."""
    scatter: Floats
    """(2,) squared deviation of the disagreement within its cells, and what it were if pairs were only 0 or 1."""
    cuts: tuple[int, ...]
    """Ordinals of the first days after the possible single changes."""


def query_pairs(answers: Sequence[LoggedAnswer], probability: Floats, label_point: float = 0.5) -> QueryPairs:
    """The pairs of a query's observations. ``probability`` (n, n): that two of the answers are equivalent.
    ``label_point``: probability from which the judge labels a pair as equivalent."""
    answer, day, user = _observations(answers)
    n = len(answer)
    left, right = np.triu_indices(n, 1)
    differ = 1.0 - probability[answer[left], answer[right]]
    differ[answer[left] == answer[right]] = 0.0
    low, high = np.minimum(day[left], day[right]), np.maximum(day[left], day[right])
    gap = high - low
    relation = np.where((user[left] < 0) | (user[right] < 0), UNKNOWN, np.where(user[left] == user[right], SAME, OTHER))
    weight, scatter = _weights(n, left, right, np.searchsorted(_GAP_ENDS, gap) * 3 + relation, differ)
    cuts = _possible_cuts(day)
    shapes, users = np.zeros((SHAPES, 2, 2)), np.zeros((2, 2))
    same = relation == SAME
    if differ.any():  # answers that all agree have changed in no way
        far = np.zeros((SHAPES, len(gap)), bool)
        for place, distance in enumerate(DISTANCES):
            far[place] = gap >= distance
        for place, cut in enumerate(cuts, len(DISTANCES)):
            far[place] = (low < cut) & (high >= cut)
        shapes = np.stack([_cells(~far, weight, differ), _cells(far, weight, differ)], axis=1)
        shapes[(shapes[:, :, 0] <= 0).any(axis=1)] = 0.0
    if differ.any() and same.any() and not same.all():
        users = _cells(np.stack([same, ~same]), weight, differ)
    kinds = np.stack([gap <= NEAR_DAYS, gap >= FAR_DAYS, same, relation == OTHER])
    return QueryPairs(
        _cells(np.ones((1, len(gap)), bool), weight, differ)[0],
        shapes,
        users,
        _cells(kinds, np.ones(len(gap)), differ),
        int((kinds[0] & (1.0 - differ < label_point)).sum()),
        scatter,
        tuple(cuts),
    )


def _observations(answers: Sequence[LoggedAnswer]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Answer, day and user (-1: unknown) of each observation. The same answer to unknown users on one day counts up to
    twice, so that a repeated answer is seen to be repeated."""
    users: dict[str, int] = {}
    found = []
    for place, answer in enumerate(answers):
        for seen in answer.seen:
            names = [*seen.users, *[None] * min(2, seen.anonymous)]
            for copy, name in enumerate(names):
                key = zlib.crc32(f"{seen.day} {name or copy} {answer.text}".encode())
                number = -1 if name is None else users.setdefault(name, len(users))
                found.append((key, place, seen.day, number))
    if len(found) > MAX_OBSERVATIONS:
        found = sorted(found)[:MAX_OBSERVATIONS]
    columns = np.array([row[1:] for row in found], np.int64).reshape(-1, 3)
    return columns[:, 0], columns[:, 1], columns[:, 2]


def _weights(
    n: int, left: NDArray[np.int64], right: NDArray[np.int64], cell: NDArray[np.int64], differ: Floats
) -> tuple[Floats, Floats]:
    """The facts that each pair stands for, n - 1 altogether; and the scatter.

    A cell of pairs counts by its observations: a few pairs close in time say as much as many pairs far apart.
    """
    weight, scatter = np.zeros(len(cell)), np.zeros(2)
    for kind in np.unique(cell):
        own = cell == kind
        pairs = int(own.sum())
        seen = np.zeros(n, bool)
        seen[left[own]] = seen[right[own]] = True
        weight[own] = min(pairs, seen.sum() - 1) / pairs
        if pairs > 2:
            mean = differ[own].mean()
            scatter += ((differ[own] - mean) ** 2).sum() * pairs / (pairs - 1), pairs * mean * (1 - mean)
    total = weight.sum()
    return (weight * (n - 1) / total if total else weight), scatter


def _possible_cuts(day: NDArray[np.int64]) -> list[int]:
    """Days that leave at least two observations on either side, at most CUTS, spread evenly."""
    ordered = np.sort(day)
    days = [int(d) for d in np.unique(day)[1:] if 2 <= np.searchsorted(ordered, d) <= len(day) - 2]
    if len(days) <= CUTS:
        return days
    return [days[round(place)] for place in np.linspace(0, len(days) - 1, CUTS)]


def _cells(chosen: NDArray[np.bool_], weight: Floats, differ: Floats) -> Floats:
    return np.stack([chosen @ weight, chosen @ (weight * differ)], axis=1)
