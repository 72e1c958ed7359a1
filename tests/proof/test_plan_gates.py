"""The gates' verdicts, without Dagster."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.proof import plan_gates as gates
from cachewarm_pipeline.storage.schemas import WARMING_PLAN

FLOORS = {"golden": 0.8, "query_log": 0.6, "synthetic": 0.6}


def plan(*scored: tuple[str, float]) -> pa.Table:
    base = {f.name: None for f in WARMING_PLAN}
    rows = [
        {
            **base,
            "entry_id": str(i),
            "agent_type": "a",
            "prompt": f"p{i}",
            "response": "r",
            "source": source,
            "quality_score": score,
            "demand": 0.0,
            "provenance": "{}",
            "answer_group": "g",
            "embedding_key": "k",
            "rank": i,
        }
        for i, (source, score) in enumerate(scored)
    ]
    return pa.Table.from_pylist(rows, schema=WARMING_PLAN)


def test_a_plan_passes_when_every_entry_reaches_its_own_sources_floor() -> None:
    verdict = gates.quality_threshold(plan(("golden", 0.8), ("query_log", 0.6)), FLOORS)
    assert verdict.passed
    assert "lowest 0.60" in verdict.sentence


def test_one_entry_below_its_floor_fails_the_plan_and_is_shown() -> None:
    verdict = gates.quality_threshold(plan(("golden", 0.9), ("golden", 0.7), ("synthetic", 0.65)), FLOORS)
    assert not verdict.passed
    assert [row["prompt"] for row in verdict.worst] == ["p1"]
    assert verdict.numbers["below"] == 1


def test_an_empty_plan_fails_and_says_where_to_look() -> None:
    verdict = gates.quality_threshold(plan(), FLOORS)
    assert not verdict.passed
    assert "left-out" in verdict.sentence


def unit(n: int, d: int) -> np.ndarray:
    v = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def test_unit_vectors_of_the_right_size_pass() -> None:
    assert gates.embedding_sanity(["a", "b"], unit(2, 8), 8).passed


def test_vectors_of_another_size_fail_with_both_numbers() -> None:
    verdict = gates.embedding_sanity(["a"], unit(1, 4), 8)
    assert not verdict.passed
    assert "(1, 4)" in verdict.sentence
    assert "8" in verdict.sentence


@given(st.integers(0, 4), st.sampled_from([0.0, 0.5, 2.0, float("nan"), float("inf")]))
def test_one_bad_row_fails_and_is_the_one_shown(row: int, factor: float) -> None:
    vectors = unit(5, 8)
    vectors[row] *= factor
    verdict = gates.embedding_sanity([f"t{i}" for i in range(5)], vectors, 8)
    assert not verdict.passed
    assert [example["text"] for example in verdict.worst] == [f"t{row}"]


@given(st.sets(st.text(max_size=3)), st.sets(st.text(max_size=3)))
def test_loaded_equals_planned_only_when_the_sets_are_equal(planned: set[str], loaded: set[str]) -> None:
    verdict = gates.loaded_equals_planned(planned, loaded)
    assert verdict.passed == (planned == loaded)
    assert verdict.numbers["missing"] == len(planned - loaded)
    assert verdict.numbers["unplanned"] == len(loaded - planned)
