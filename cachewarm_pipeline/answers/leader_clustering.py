"""Leader clustering: each item joins the first head that it is equivalent to, else it becomes a head itself.

Items are positions: nothing here knows about text. A callback decides which pairs are equivalent. It is called with
many pairs at once, so that a judge behind a network can work in parallel.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Positions: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

Candidates: TypeAlias = Callable[[Positions, Positions], tuple[Positions, Positions]]
"""Takes items and others, both ascending. Returns the pairs (item, other), other < item, that can be equivalent."""

Ask: TypeAlias = Callable[[Positions, Positions], Flags]
"""Takes the items and the others of some pairs. Returns which pairs are equivalent."""

BLOCK = 256
"""Items settled at once. Small, because items of one block need one round for each new head among them."""

HEADS = 8_192
"""Heads that a block is compared with at once: at most 2 million pairs in memory, 32 MB."""

_PAIRS = 8_192
"""Pairs whose vectors are multiplied at once: 100 MB at 1,536 dimensions."""

_MARGIN = 1e-4
"""Pairs up to this far under the floor are candidates too, and are then decided exactly: the rounding of a matrix
product depends on its shape."""


def leader_groups(n: int, candidates: Candidates, ask: Ask, block: int = BLOCK, at_once: int = HEADS) -> Positions:
    """The group of each of ``n`` items (n,), as the position of the group's head: its first item.

    In order, each item joins the earliest head that it is equivalent to, else it becomes a head. Pairs that are not
    candidates are different. The groups are the same as those of a plain loop over all items, for any relation.
    ``block`` (items at once) and ``at_once`` (heads at once) only bound memory. Each call of ``ask`` covers all pairs
    with the heads known by then.
    """
    groups = np.arange(n, dtype=np.int64)
    heads: Positions = np.empty(0, np.int64)
    for start in range(0, n, block):
        items = np.arange(start, min(start + block, n), dtype=np.int64)
        for part in range(0, len(heads), at_once):
            open_items = items[groups[items] == items]
            _join(groups, *candidates(open_items, heads[part : part + at_once]), ask)
        open_items = items[groups[items] == items]
        _settle(groups, *candidates(open_items, open_items), ask)
        heads = np.concatenate([heads, items[groups[items] == items]])
    return groups


def _join(groups: Positions, item: Positions, head: Positions, ask: Ask) -> Positions:
    """Asks about the pairs, and gives each item its earliest head. Returns the items that now have one."""
    if not len(item):
        return item
    same = ask(item, head)
    np.minimum.at(groups, item[same], head[same])
    return item[same]


def _settle(groups: Positions, item: Positions, other: Positions, ask: Ask) -> None:
    """Groups items that are in no group yet. The pairs are all candidates among them.

    An item becomes a head when all its earlier candidates are settled and it is equivalent to none of the heads among
    them. An item that is equivalent to some head cannot become a head, but an earlier head may still take it.
    """
    unsettled = np.zeros(len(groups), bool)
    unsettled[item] = True
    while len(item):
        ready = ~unsettled[other]
        asked = ready & (groups[other] == other) & (other < groups[item])
        unsettled[_join(groups, item[asked], other[asked], ask)] = False
        item, other = item[~ready], other[~ready]
        waits = np.zeros(len(groups), bool)
        waits[item[unsettled[other]]] = True
        unsettled &= waits  # items that wait for nothing are heads


def near_pairs(vectors: NDArray[np.float32], buckets: Positions, floor: float) -> Candidates:
    """Candidates: the pairs within one bucket whose cosine may reach the floor.

    ``vectors`` (n, d) have unit length. ``buckets`` (n,): items of different buckets are never equivalent. Memory: one
    matrix of items x others.
    """

    def candidates(items: Positions, others: Positions) -> tuple[Positions, Positions]:
        items, others = (side[np.argsort(buckets[side], kind="stable")] for side in (items, others))
        kinds = np.unique(buckets[items])
        of_items = [np.searchsorted(buckets[items], kinds, side) for side in ("left", "right")]
        of_others = [np.searchsorted(buckets[others], kinds, side) for side in ("left", "right")]
        found: list[tuple[Positions, Positions]] = []
        for first, last, start, stop in zip(*of_items, *of_others, strict=True):
            rows, columns = items[first:last], others[start:stop]
            if not len(columns) or columns[0] >= rows[-1]:
                continue
            close = vectors[rows] @ vectors[columns].T >= floor - _MARGIN
            close &= columns[None, :] < rows[:, None]
            row, column = np.nonzero(close)
            found.append((rows[row], columns[column]))
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate([pair[0] for pair in found]), np.concatenate([pair[1] for pair in found])

    return candidates


def cosines(vectors: NDArray[np.float32], left: Positions, right: Positions) -> NDArray[np.float64]:
    """Cosine of each pair (n,) of rows of unit length.

    Bit-identical in either order of the two, alone or together with other pairs.
    """
    result = np.empty(len(left))
    for start in range(0, len(left), _PAIRS):
        part = slice(start, start + _PAIRS)
        result[part] = np.multiply(vectors[left[part]], vectors[right[part]], dtype=np.float64).sum(axis=1)
    return result


def nearest_first(items: Positions, similarity: NDArray[np.float64], ask: Callable[[Positions], Flags]) -> Flags:
    """Which pairs (n,) are equivalent, with few calls of ``ask``, which may cost money.

    Pair k is (``items[k]``, another item) with ``similarity[k]``. For each item ``ask`` gets the most similar pair
    first, then the next two, the next four, and so on, until there is a yes. Pairs that were not asked are False.
    Nothing is lost if equivalence is transitive and an item's pairs are with heads of different groups: at most one
    head matches. ``ask`` takes positions of pairs.
    """
    order = np.lexsort((-similarity, items))
    first_of_item = np.searchsorted(items[order], items[order])
    wave = np.frexp(np.arange(len(order)) - first_of_item + 1)[1]  # 1, 2 2, 4 4 4 4, ...
    same = np.zeros(len(items), bool)
    for number in range(1, int(wave.max(initial=0)) + 1):
        pairs = order[wave == number]
        pairs = pairs[~np.isin(items[pairs], items[same])]
        if len(pairs):
            same[pairs] = ask(pairs)
    return same


def merge_equal(forms: Sequence[Hashable]) -> tuple[Positions, Positions]:
    """(position of the first of each distinct form, for each form its place among the distinct ones)."""
    seen: dict[Hashable, int] = {}
    places = np.fromiter((seen.setdefault(form, len(seen)) for form in forms), np.int64, len(forms))
    firsts = np.full(len(seen), len(forms), np.int64)
    np.minimum.at(firsts, places, np.arange(len(forms)))
    return firsts, places
