"""Nearest entries: the exact result in a fixed order, and an index whose recall is measured."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as drawn

from cachewarm_pipeline.numerics import nearest_neighbours as neighbours
from cachewarm_pipeline.numerics.nearest_neighbours import LEAST_RECALL, nearest_neighbours

# Small whole numbers: their products are exact in float32, so that equal cosines are equal, and many are.
whole = drawn.arrays(np.float32, st.tuples(st.integers(0, 12), st.just(3)), elements=st.integers(-2, 2).map(float))


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def crowd(number: int, seed: int, dimensions: int = 16, centres: int = 40) -> np.ndarray:
    """Unit rows around centres that are the same for every seed, as prompts lie around intents."""
    middle = unit(np.random.default_rng(99).standard_normal((centres, dimensions)))
    rng = np.random.default_rng(seed)
    return unit(middle[rng.integers(0, centres, number)] + 0.2 * rng.standard_normal((number, dimensions)))


@given(whole, whole, st.integers(1, 15), st.integers(1, 40))
def test_nearest_is_a_full_sort_by_cosine_then_place(
    queries: np.ndarray, entries: np.ndarray, k: int, cells: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "CELLS", cells)  # blocks of any size give the same result
        found = nearest_neighbours(queries, entries, k)
    k = min(k, len(entries))
    assert found.places.shape == found.cosine.shape == (len(queries), k)
    assert found.recall == 1.0
    for query, places, cosine in zip(queries, found.places, found.cosine, strict=True):
        true = entries @ query
        order = sorted(range(len(entries)), key=lambda place: (-true[place], place))[:k]
        assert places.tolist() == order
        assert cosine.tolist() == true[order].tolist()


def test_an_index_finds_what_the_full_comparison_finds() -> None:
    queries, entries = crowd(800, 1), crowd(4_000, 2)
    exact, found = nearest_neighbours(queries, entries, 10), nearest_neighbours(queries, entries, 10, exact_limit=1000)
    share = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact.places, found.places, strict=True)])
    assert found.recall >= LEAST_RECALL
    assert share == pytest.approx(found.recall, abs=0.02)  # measured on 500 of the 800
    assert (np.diff(found.cosine, axis=1) <= 0).all()
    true = np.einsum("nd,nkd->nk", queries, entries[found.places])
    np.testing.assert_allclose(found.cosine, true, atol=1e-5)


def test_an_index_probes_all_lists_rather_than_fall_below_its_least_recall() -> None:
    rng = np.random.default_rng(5)
    queries, entries = (unit(rng.standard_normal((n, 64))) for n in (60, 3_000))  # uniform noise: no clusters
    exact, found = nearest_neighbours(queries, entries, 10), nearest_neighbours(queries, entries, 10, exact_limit=0)
    assert found.recall >= LEAST_RECALL
    same = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact.places, found.places, strict=True)])
    assert same == pytest.approx(found.recall)  # the sample is all 60 queries


def test_an_index_gives_the_same_result_twice() -> None:
    queries, entries = crowd(300, 3), crowd(3_000, 4)
    one, two = (nearest_neighbours(queries, entries, 7, exact_limit=0, seed=3) for _ in range(2))
    assert (one.places == two.places).all()
    assert (one.cosine == two.cosine).all()
    assert one.recall == two.recall


@given(st.integers(1, 130), st.integers(1, 30), st.integers(1, 40))
def test_an_index_of_few_or_equal_entries_still_finds_k_distinct_entries(entries: int, queries: int, k: int) -> None:
    crowded = crowd(entries, entries, centres=2)
    crowded[: entries // 2] = crowded[0]  # half of them are equal
    found = nearest_neighbours(crowd(queries, 0, centres=2), crowded, k, exact_limit=0)
    assert found.places.shape == (queries, min(k, entries))
    assert (found.places >= 0).all()
    assert all(len(set(row)) == len(row) for row in found.places.tolist())
    assert found.recall >= LEAST_RECALL


def test_memory_is_bounded_whatever_the_number_of_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "CELLS", 1 << 18)
    queries, entries = crowd(4_000, 5), crowd(4_000, 6)  # 16 million pairs: 64 MB if all were in memory
    tracemalloc.start()
    try:
        nearest_neighbours(queries, entries, 10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    results = 4_000 * 10 * 12
    assert peak < 12 * (1 << 18) + results


def test_shapes_that_do_not_match_and_values_that_are_not_finite_are_refused() -> None:
    rows = crowd(3, 0)
    for queries, entries, k in ((rows, rows[:, :5], 1), (rows[0], rows, 1), (rows, rows, 0)):
        with pytest.raises(ValueError, match="nearest of"):
            nearest_neighbours(queries, entries, k)
    with pytest.raises(ValueError, match="not finite"):
        nearest_neighbours(rows, np.full_like(rows, np.nan), 1)


def test_the_index_library_is_loaded_only_where_it_is_used() -> None:
    code = "import sys, cachewarm_pipeline.numerics.nearest_neighbours; print('faiss' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
