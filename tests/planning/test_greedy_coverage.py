"""Greedy coverage: how close to the best set, lazy against plain, and what it never does."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.planning.greedy_coverage import (
    CoverageGraph,
    cumulative_gains,
    graph_of_pairs,
    greedy,
    greedy_by_places,
)


def drawn_graph(
    rng: np.random.Generator, candidates: int, points: int, density: float, places: int = 1
) -> CoverageGraph:
    share = np.where(rng.random((candidates, points)) < density, rng.random((candidates, points)), 0.0)
    candidate, point = np.nonzero(share)
    place = rng.integers(1, places + 1, candidates)
    return graph_of_pairs(rng.exponential(size=points), place, candidate, point, share[candidate, point])


graphs = st.builds(
    lambda seed, n, m, density, places: drawn_graph(np.random.default_rng(seed), n, m, density, places),
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.integers(1, 14),
    st.floats(0.1, 1.0),
    st.just(1),
)
unequal = st.builds(
    lambda seed, n, m: drawn_graph(np.random.default_rng(seed), n, m, 0.5, 4),
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.integers(1, 14),
)


def all_of(graph: CoverageGraph) -> np.ndarray:
    return np.arange(graph.candidates)


def nothing(graph: CoverageGraph) -> np.ndarray:
    return np.zeros(len(graph.weight))


def plain_greedy(graph: CoverageGraph, budget: int) -> float:
    """Greedy that computes every gain again at each step."""
    answered, chosen = nothing(graph), set()
    for _ in range(min(budget, graph.candidates)):
        gains = [-1.0 if c in chosen else graph.gain(c, answered) for c in range(graph.candidates)]
        best = int(np.argmax(gains))
        chosen.add(best)
        graph.add(best, answered)
    return float(graph.weight @ answered)


def best_value(graph: CoverageGraph, budget: int) -> float:
    """The best value of all sets that fit the budget of places."""
    sets = (s for size in range(graph.candidates + 1) for s in combinations(range(graph.candidates), size))
    return max(graph.value(list(s)) for s in sets if graph.place[list(s)].sum() <= budget)


@settings(max_examples=150, deadline=None)
@given(graphs, st.integers(1, 6))
def test_greedy_reaches_1_minus_1_over_e_of_the_best_set(graph: CoverageGraph, budget: int) -> None:
    found = greedy(graph, all_of(graph), budget, 0.0, nothing(graph))
    assert graph.value(found.positions) >= (1 - 1 / np.e) * best_value(graph, budget) - 1e-9


@settings(max_examples=100, deadline=None)
@given(unequal, st.integers(1, 12))
def test_with_unequal_places_it_reaches_half_of_that_and_keeps_the_budget(graph: CoverageGraph, budget: int) -> None:
    found = greedy_by_places(graph, all_of(graph), budget, 0.0, nothing(graph))
    assert graph.place[found.positions].sum() <= budget
    assert graph.value(found.positions) >= (1 - 1 / np.e) / 2 * best_value(graph, budget) - 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_lazy_greedy_is_within_one_percent_of_plain_greedy(seed: int) -> None:
    graph = drawn_graph(np.random.default_rng(seed), 120, 300, 0.05)
    found = greedy(graph, all_of(graph), 30, 0.0, nothing(graph))
    assert graph.value(found.positions) >= 0.99 * plain_greedy(graph, 30)
    assert found.positions == greedy(graph, all_of(graph), 30, 0.0, nothing(graph)).positions


@given(graphs, st.integers(1, 6))
def test_gains_fall_and_add_up_to_the_value(graph: CoverageGraph, budget: int) -> None:
    answered = nothing(graph)
    found = greedy(graph, all_of(graph), budget, 0.0, answered)
    assert all(later <= earlier + 1e-9 for earlier, later in zip(found.gains, found.gains[1:], strict=False))
    assert sum(found.gains) == pytest.approx(graph.value(found.positions))
    assert cumulative_gains(graph, found.positions)[-1:] == pytest.approx(np.cumsum(found.gains)[-1:])
    assert answered == pytest.approx(graph.answered_by(found.positions))


@given(graphs, st.floats(0.0, 1.0))
def test_no_entry_below_the_floor_is_chosen_and_none_above_it_is_left(graph: CoverageGraph, floor: float) -> None:
    answered = nothing(graph)
    found = greedy(graph, all_of(graph), np.inf, floor, answered)
    assert all(gain >= floor - 1e-9 for gain in found.gains)
    left = set(range(graph.candidates)) - set(found.positions)
    assert all(graph.gain(c, answered) < floor + 1e-9 for c in left)


def test_of_equal_candidates_the_earlier_one_is_chosen() -> None:
    graph = graph_of_pairs(np.ones(2), np.ones(3, int), np.array([0, 1, 2, 2]), np.array([0, 0, 0, 1]), np.ones(4))
    assert greedy(graph, [0, 1, 2], 3, 1e-9, np.zeros(2)).positions == [2]
    assert greedy(graph, [1, 0], 1, 0.0, np.zeros(2)).positions == [1]


def test_a_candidate_that_does_not_fit_is_skipped_for_a_smaller_one() -> None:
    graph = graph_of_pairs(np.array([5.0, 3.0, 2.0]), np.array([1, 3, 1]), np.arange(3), np.arange(3), np.ones(3))
    assert greedy(graph, [0, 1, 2], 2, 0.0, np.zeros(3)).positions == [0, 2]


def test_one_large_entry_of_high_gain_beats_small_ones_with_a_better_rate() -> None:
    """Greedy by gain per place alone takes the small one and then has no room."""
    graph = graph_of_pairs(np.array([2.0, 10.0]), np.array([1, 10]), np.arange(2), np.arange(2), np.ones(2))
    assert greedy_by_places(graph, [0, 1], 10, 0.0, np.zeros(2)).positions == [1]


def test_a_repeated_pair_counts_once_at_its_larger_share() -> None:
    graph = graph_of_pairs(np.array([4.0]), np.array([1]), np.zeros(2, int), np.zeros(2, int), np.array([0.25, 0.5]))
    assert graph.value([0]) == 2.0


@pytest.mark.parametrize(
    ("weight", "place", "share"),
    [([np.nan], [1], [1.0]), ([-1.0], [1], [1.0]), ([1.0], [0], [1.0]), ([1.0], [1], [2.0])],
)
def test_invalid_weights_places_and_shares_are_refused(weight: list, place: list, share: list) -> None:
    with pytest.raises(ValueError, match=r"must|at least"):
        graph_of_pairs(np.array(weight), np.array(place), np.zeros(1, int), np.zeros(1, int), np.array(share))
