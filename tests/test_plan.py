"""The plan: union, gate, order, budget, hash."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.core.errors import ConfigurationError, DatasetError
from cachewarm_pipeline.core.plan import answer_group, build_plan, plan_hash
from cachewarm_pipeline.core.reasons import LeftOut
from cachewarm_pipeline.core.responses import canonical_response
from cachewarm_pipeline.core.schemas import GOLDEN_CANDIDATES, WARMING_PLAN, conform
from cachewarm_pipeline.core.text import embedding_key, entry_id

FLOORS = {"golden": 0.8, "query_log": 0.6, "synthetic": 0.6}
MODEL = "model"


def candidate(
    prompt: str, source: str = "golden", quality: float = 0.9, demand: float = 0.0, **more: object
) -> dict[str, object]:
    return {
        "entry_id": entry_id(prompt, "a"),
        "agent_type": "a",
        "prompt": prompt,
        "response": f'{{"answer": "{prompt}"}}',
        "source": source,
        "quality_score": quality,
        "demand": demand,
        "cost_usd": None,
        "provenance": "{}",
        **more,
    }


def table(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=GOLDEN_CANDIDATES)


def plan_of(*tables: pa.Table, budget: int = 10, embedded: set[str] | None = None):  # type: ignore[no-untyped-def]
    prompts = [p for t in tables for p in t["prompt"].to_pylist()]
    known = {embedding_key(MODEL, p) for p in prompts} if embedded is None else embedded
    return build_plan(tables, model_id=MODEL, embedded=known, floors=FLOORS, budget=budget)


def test_golden_comes_first_and_its_answer_wins_over_the_log() -> None:
    golden = table(candidate("How?", response="golden answer"))
    log = table(
        candidate("how", "query_log", response="log answer", demand=7.0, cost_usd=0.02),
        candidate("why", "query_log", demand=3.0),
    )
    plan, left_out = plan_of(golden, log)
    rows = plan.to_pylist()
    assert (rows[0]["prompt"], rows[0]["response"], rows[0]["rank"]) == ("How?", "golden answer", 0)
    assert (rows[0]["demand"], rows[0]["cost_usd"]) == (7.0, 0.02)
    assert [r["source"] for r in rows] == ["golden", "query_log"]
    assert left_out == {LeftOut.DUPLICATE_PROMPT: 1}


def test_candidates_below_their_sources_floor_are_left_out_and_counted() -> None:
    plan, left_out = plan_of(table(candidate("a", quality=0.79), candidate("b", "synthetic", quality=0.7)))
    assert plan["prompt"].to_pylist() == ["b"]
    assert left_out == {LeftOut.LOW_QUALITY: 1}


def test_a_nan_quality_is_below_every_floor_in_the_gate() -> None:
    from cachewarm_pipeline.core.gates import quality_threshold

    plan, _ = plan_of(table(candidate("a")))
    poisoned = plan.set_column(5, plan.schema.field(5), pa.array([float("nan")]))
    assert not quality_threshold(poisoned, FLOORS).passed
    assert quality_threshold(plan, FLOORS).passed


def test_a_candidate_without_a_vector_is_left_out_and_counted() -> None:
    plan, left_out = plan_of(table(candidate("a"), candidate("b")), embedded={embedding_key(MODEL, "b")})
    assert plan["prompt"].to_pylist() == ["b"]
    assert left_out == {LeftOut.NO_EMBEDDING: 1}


@pytest.mark.parametrize("budget", [0, -5])
def test_a_budget_below_one_is_refused_by_name(budget: int) -> None:
    with pytest.raises(ConfigurationError, match="CACHEWARM_BUDGET"):
        plan_of(table(candidate("a")), budget=budget)


@given(st.lists(st.sampled_from("abcdefgh"), max_size=20), st.integers(1, 10))
def test_every_candidate_is_an_entry_or_counted(prompts: list[str], budget: int) -> None:
    plan, left_out = plan_of(table(*(candidate(p) for p in prompts)), budget=budget)
    assert plan.num_rows + sum(left_out.values()) == len(prompts)
    assert plan.num_rows <= budget
    assert len(set(plan["entry_id"].to_pylist())) == plan.num_rows
    assert plan["rank"].to_pylist() == list(range(plan.num_rows))


def test_key_order_and_spacing_of_json_do_not_split_an_answer_group() -> None:
    assert answer_group("a", '{"x": 1, "y": [2]}') == answer_group("a", '{"y":[2],"x":1}')
    assert answer_group("a", "Yes, it is.") == answer_group("a", "yes,  it is")
    assert answer_group("a", '{"x": 1}') != answer_group("a", '{"x": 2}')
    assert answer_group("a", "no") != answer_group("b", "no")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_canonical_json_reads_back_as_the_same_value(value: object) -> None:
    if isinstance(value, dict | list):
        assert json.loads(canonical_response(json.dumps(value))) == value


def test_deeply_nested_json_is_compared_as_text_instead_of_failing() -> None:
    assert canonical_response("[" * 100_000)


def test_the_plan_hash_changes_with_every_part_that_is_published() -> None:
    plan, _ = plan_of(table(candidate("a"), candidate("b")))
    hashes = {plan_hash(plan, {"v": 1}), plan_hash(plan, {"v": 2}), plan_hash(plan.slice(1), {"v": 1})}
    for column, value in {"response": "other", "quality_score": 0.81, "answer_group": "g"}.items():
        at = plan.schema.get_field_index(column)
        hashes.add(plan_hash(plan.set_column(at, plan.schema.field(at), pa.array([value] * 2)), {"v": 1}))
    assert len(hashes) == 6
    assert plan_hash(plan, {"v": 1}) == plan_hash(plan, {"v": 1})


def test_a_dataset_that_breaks_its_schema_is_named_with_its_column() -> None:
    plan, _ = plan_of(table(candidate("a")))
    with pytest.raises(DatasetError, match=r"warming_plan.*'rank'"):
        conform("warming_plan", plan.drop_columns(["rank"]))
    with pytest.raises(DatasetError, match=r"'prompt' has 1 nulls"):
        conform("warming_plan", plan.set_column(2, pa.field("prompt", pa.string()), pa.array([None], pa.string())))
    assert conform("warming_plan", plan).schema == WARMING_PLAN
