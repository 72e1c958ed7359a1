"""Leader clustering gives the groups of its plain definition, for any relation, blocks and order of questions."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.answers.leader_clustering import (
    Flags,
    Positions,
    cosines,
    leader_groups,
    merge_equal,
    near_pairs,
    nearest_first,
)

Relation = Callable[[int, int], bool]


def plainly(n: int, candidate: Relation, same: Relation) -> list[int]:
    """The definition: in order, each item joins the earliest head that is a candidate and equivalent."""
    groups: list[int] = []
    for item in range(n):
        heads = [head for head in range(item) if groups[head] == head]
        groups.append(next((head for head in heads if candidate(item, head) and same(item, head)), item))
    return groups


class Asked:
    """A relation as a judge that records the pairs it was asked about."""

    def __init__(self, same: Relation) -> None:
        self.same = same
        self.calls: list[list[tuple[int, int]]] = []

    def __call__(self, item: Positions, other: Positions) -> Flags:
        self.calls.append(list(zip(item.tolist(), other.tolist(), strict=True)))
        return np.array([self.same(*pair) for pair in self.calls[-1]], bool)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return [pair for call in self.calls for pair in call]


def candidates_of(candidate: Relation) -> Callable[[Positions, Positions], tuple[Positions, Positions]]:
    def candidates(items: Positions, others: Positions) -> tuple[Positions, Positions]:
        pairs = [(i, j) for i in items.tolist() for j in others.tolist() if j < i and candidate(i, j)]
        return np.array([i for i, _ in pairs], np.int64), np.array([j for _, j in pairs], np.int64)

    return candidates


def relation(n: int, bits: list[bool]) -> Relation:
    table = np.zeros((n, n), bool)
    table[np.tril_indices(n, -1)] = bits[: n * (n - 1) // 2]
    return lambda i, j: bool(table[i, j])


SIZES = st.integers(0, 12)
BITS = st.lists(st.booleans(), min_size=66, max_size=66)


@given(SIZES, BITS, BITS, st.integers(1, 5), st.integers(1, 5))
def test_groups_are_those_of_a_plain_loop_for_any_relation_and_any_blocks(
    n: int, near_bits: list[bool], same_bits: list[bool], block: int, at_once: int
) -> None:
    candidate, same = relation(n, near_bits), relation(n, same_bits)
    groups = leader_groups(n, candidates_of(candidate), Asked(same), block, at_once)
    assert groups.tolist() == plainly(n, candidate, same)


@given(SIZES, BITS, BITS, st.integers(1, 5))
def test_every_member_is_equivalent_to_its_head_which_is_the_first_of_its_group(
    n: int, near_bits: list[bool], same_bits: list[bool], block: int
) -> None:
    same = relation(n, same_bits)
    groups = leader_groups(n, candidates_of(relation(n, near_bits)), Asked(same), block, block).tolist()
    for item, head in enumerate(groups):
        assert head == item or (head < item and same(item, head))
        assert groups[head] == head


@given(st.lists(st.integers(0, 3), max_size=14), st.integers(1, 5))
def test_for_an_equivalence_the_groups_are_its_classes_and_no_pair_is_asked_twice(
    classes: list[int], block: int
) -> None:
    asked = Asked(lambda i, j: classes[i] == classes[j])
    groups = leader_groups(len(classes), candidates_of(lambda *_: True), asked, block)
    assert groups.tolist() == [classes.index(own) for own in classes]
    assert len(asked.pairs) == len(set(asked.pairs))
    heads = set(groups.tolist())
    assert {other for _, other in asked.pairs} <= heads


def test_independent_pairs_are_asked_in_one_call() -> None:
    asked = Asked(lambda i, j: True)
    leader_groups(100, candidates_of(lambda i, j: i == j + 50), asked, block=100)
    assert [len(call) for call in asked.calls] == [50]


def test_a_pair_that_is_not_a_candidate_is_never_asked() -> None:
    asked = Asked(lambda i, j: True)
    assert leader_groups(6, candidates_of(lambda i, j: False), asked, 2).tolist() == list(range(6))
    assert asked.pairs == []


def unit_rows(seed: int, n: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, 3)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(1, 4), st.floats(-1, 1))
def test_near_pairs_are_all_pairs_of_a_bucket_that_reach_the_floor(seed: int, n: int, kinds: int, floor: float) -> None:
    vectors = unit_rows(seed, n)
    buckets = np.random.default_rng(seed + 1).integers(0, kinds, n)
    items, others = np.arange(n // 3, n), np.arange(0, 2 * n // 3)
    found = list(zip(*(side.tolist() for side in near_pairs(vectors, buckets, floor)(items, others)), strict=True))
    assert len(found) == len(set(found))
    assert all(j < i and buckets[i] == buckets[j] for i, j in found)
    wanted = [(i, j) for i in items.tolist() for j in others.tolist() if j < i and buckets[i] == buckets[j]]
    exact = cosines(vectors, *np.array(wanted, np.int64).reshape(-1, 2).T)
    assert {pair for pair, cosine in zip(wanted, exact, strict=True) if cosine >= floor} <= set(found)
    assert all(float(vectors[i] @ vectors[j]) >= floor - 1e-3 for i, j in found)


def test_a_cosine_is_the_same_bits_in_both_orders_and_among_others() -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 384)).astype(np.float32)
    left, right = np.arange(50), np.arange(50)[::-1].copy()
    together = cosines(vectors, left, right)
    np.testing.assert_array_equal(together, cosines(vectors, right, left))
    np.testing.assert_array_equal(
        together, np.concatenate([cosines(vectors, left[[k]], right[[k]]) for k in range(50)])
    )


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=40), st.data())
def test_nearest_first_finds_each_items_one_yes_and_stops_asking_after_it(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    items = np.array([item for item, _ in pairs], np.int64)
    similarity = np.array([similarity for _, similarity in pairs], float)
    wanted = np.zeros(len(pairs), bool)
    for item in set(items.tolist()):  # with an equivalence, one head at most is the right one
        right = data.draw(st.sampled_from([None, *np.flatnonzero(items == item).tolist()]))
        if right is not None:
            wanted[right] = True
    asked: list[int] = []

    def ask(chosen: Positions) -> Flags:
        asked.extend(chosen.tolist())
        return wanted[chosen]

    np.testing.assert_array_equal(nearest_first(items, similarity, ask), wanted)
    assert len(asked) == len(set(asked))
    for item in set(items.tolist()):
        own = np.flatnonzero(items == item)
        right = [k for k in own.tolist() if wanted[k]]
        if right:  # waves of 1, 2, 4: at most twice the pairs that are as near, plus one
            as_near = int((similarity[own] >= similarity[right[0]]).sum())
            assert len(set(asked) & set(own.tolist())) <= 2 * as_near + 1
        else:
            assert set(own.tolist()) <= set(asked)


def test_only_the_nearest_pair_is_asked_if_it_is_a_yes() -> None:
    asked: list[int] = []

    def ask(chosen: Positions) -> Flags:
        asked.extend(chosen.tolist())
        return np.ones(len(chosen), bool)

    same = nearest_first(np.array([7, 7, 7, 8]), np.array([0.7, 0.9, 0.8, 0.6]), ask)
    assert same.tolist() == [False, True, False, True]
    assert sorted(asked) == [1, 3]


@pytest.mark.parametrize(
    ("forms", "firsts", "places"),
    [([], [], []), (["a", "b", "a", "c", "b"], [0, 1, 3], [0, 1, 0, 2, 1]), (["x"] * 3, [0], [0, 0, 0])],
)
def test_equal_forms_are_merged_into_the_first(forms: list[str], firsts: list[int], places: list[int]) -> None:
    found = merge_equal(forms)
    assert (found[0].tolist(), found[1].tolist()) == (firsts, places)
