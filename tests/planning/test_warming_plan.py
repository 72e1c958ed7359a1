"""The plan: union, quality floor, order, conflicts, budget, hash."""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from cachewarm_client.text import embedding_key, entry_id
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.answers.judges.exact_match import ExactJudge
from cachewarm_pipeline.errors import ConfigurationError, DatasetError
from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.planning import warming_plan as plan_module
from cachewarm_pipeline.planning.entry_conflicts import inseparable_pairs
from cachewarm_pipeline.planning.warming_plan import Plan, PlanJudge, build_plan, by_frequency, plan_hash
from cachewarm_pipeline.ports import AnswerPair, JudgeUse
from cachewarm_pipeline.query_log.response_text import canonical_response
from cachewarm_pipeline.storage.schemas import GOLDEN_CANDIDATES, WARMING_PLAN, conform
from tests.support.cache_fakes import TrigramEmbedder

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


def made(*tables: pa.Table, budget: int = 10, embedded: set[str] | None = None, judge: PlanJudge | None = None) -> Plan:
    text_of = {embedding_key(MODEL, p): p for t in tables for p in t["prompt"].to_pylist()}
    known = set(text_of) if embedded is None else embedded
    return build_plan(
        tables,
        model_id=MODEL,
        embedded=known,
        floors=FLOORS,
        select=by_frequency(budget),
        judge=judge or ExactJudge(),
        vectors_of=lambda keys: TrigramEmbedder().embed([text_of[key] for key in keys]),
    )


def plan_of(*tables: pa.Table, budget: int = 10, embedded: set[str] | None = None) -> tuple[pa.Table, Counts]:
    plan = made(*tables, budget=budget, embedded=embedded)
    return plan.table, plan.excluded


def test_golden_comes_first_and_its_answer_wins_over_the_log() -> None:
    golden = table(candidate("How?", response="golden answer"))
    log = table(
        candidate("how", "query_log", response="log answer", demand=7.0, cost_usd=0.02),
        candidate("why", "query_log", demand=3.0),
    )
    plan, excluded = plan_of(golden, log)
    rows = plan.to_pylist()
    assert (rows[0]["prompt"], rows[0]["response"], rows[0]["rank"]) == ("How?", "golden answer", 0)
    assert (rows[0]["demand"], rows[0]["cost_usd"]) == (7.0, 0.02)
    assert [r["source"] for r in rows] == ["golden", "query_log"]
    assert excluded == {ExclusionReason.CONFLICTING_ANSWER: 1}


def test_a_prompt_with_two_answers_is_a_conflict_and_with_the_same_answer_a_duplicate() -> None:
    golden = table(candidate("How?", response="golden answer"), candidate("Why?", response="Because."))
    log = table(candidate("how", "query_log", response="log answer"), candidate("why", "query_log", response="because"))
    plan = made(golden, log)
    assert plan.excluded == {ExclusionReason.CONFLICTING_ANSWER: 1, ExclusionReason.DUPLICATE_PROMPT: 1}
    (conflict,) = plan.conflicts.to_pylist()
    assert (conflict["kept_response"], conflict["dropped_response"]) == ("golden answer", "log answer")
    assert conflict["reason"] == "conflicting_answer"


class StrictUnlessChanged(ExactJudge):
    """Calls any two answers equivalent when asked whether they have CHANGED, else only equal ones."""

    def same(self, pairs: Sequence[AnswerPair], use: JudgeUse = JudgeUse.LABEL) -> np.ndarray:
        return super().same(pairs, use) | (use is JudgeUse.CHANGED)


def test_answers_that_are_merely_worded_in_another_way_are_no_conflict() -> None:
    golden = table(candidate("How?", response="golden answer"), candidate(SAFE + "; thanks", response="Better not."))
    log = table(
        candidate("how", "query_log", response="the golden answer"),
        candidate(SAFE + ", thanks", "query_log", response="It is better not to."),
    )
    plan = made(golden, log, judge=StrictUnlessChanged())
    assert plan.excluded == {ExclusionReason.DUPLICATE_PROMPT: 1}
    assert plan.table.num_rows == 3
    assert made(golden, log).conflicts.num_rows == 2


SAFE = "is it safe to call eval on what a stranger typed"


def test_of_inseparable_prompts_only_the_better_one_stays() -> None:
    same_words = candidate(SAFE + "; thanks", response="yes"), candidate(SAFE + ", thanks", "query_log", response="no")
    plan = made(table(same_words[0]), table(same_words[1]))
    assert plan.table["response"].to_pylist() == ["yes"]
    assert plan.excluded == {ExclusionReason.INSEPARABLE: 1}
    assert plan.conflicts["reason"].to_pylist() == ["inseparable"]


@pytest.mark.parametrize(
    "other", [SAFE.replace("is it", "is it not"), SAFE + " 3", SAFE.replace("call eval", "eval call")]
)
def test_near_but_separable_prompts_with_different_answers_both_stay(other: str) -> None:
    plan = made(table(candidate(SAFE, response="no"), candidate(other, response="yes")))
    assert plan.table.num_rows == 2
    assert len(set(plan.table["answer_group"].to_pylist())) == 2


def test_the_place_of_a_conflicting_candidate_is_filled_from_the_rest() -> None:
    rows = [candidate(SAFE + mark, response=f"{i}") for i, mark in enumerate(("; thanks", ", thanks", ": thanks"))]
    plan = made(table(*rows, candidate("another question", response="x")), budget=2)
    assert plan.table["prompt"].to_pylist() == [SAFE + "; thanks", "another question"]
    assert plan.excluded == {ExclusionReason.INSEPARABLE: 2}


def test_a_conflict_that_the_index_missed_is_found_among_the_chosen_and_its_place_is_filled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([lambda vectors, words: []])
    monkeypatch.setattr(
        plan_module, "inseparable_pairs", lambda vectors, words: next(answers, inseparable_pairs)(vectors, words)
    )
    rows = [candidate(SAFE + mark, response=f"{i}") for i, mark in enumerate(("; thanks", ", thanks"))]
    plan = made(table(*rows, candidate("another question", response="x")), budget=2)
    assert plan.table["prompt"].to_pylist() == [SAFE + "; thanks", "another question"]
    assert plan.excluded == {ExclusionReason.INSEPARABLE: 1}
    assert plan.conflicts.num_rows == 1


def test_candidates_below_their_sources_floor_are_excluded_and_counted() -> None:
    plan, excluded = plan_of(table(candidate("a", quality=0.79), candidate("b", "synthetic", quality=0.7)))
    assert plan["prompt"].to_pylist() == ["b"]
    assert excluded == {ExclusionReason.LOW_QUALITY: 1}


def test_a_nan_quality_is_below_every_floor_in_the_gate() -> None:
    from cachewarm_pipeline.proof.plan_gates import quality_threshold

    plan, _ = plan_of(table(candidate("a")))
    poisoned = plan.set_column(5, plan.schema.field(5), pa.array([float("nan")]))
    assert not quality_threshold(poisoned, FLOORS).passed
    assert quality_threshold(plan, FLOORS).passed


def test_a_candidate_without_a_vector_is_excluded_and_counted() -> None:
    plan, excluded = plan_of(table(candidate("a"), candidate("b")), embedded={embedding_key(MODEL, "b")})
    assert plan["prompt"].to_pylist() == ["b"]
    assert excluded == {ExclusionReason.NO_EMBEDDING: 1}


@pytest.mark.parametrize("budget", [0, -5])
def test_a_budget_below_one_is_refused_by_name(budget: int) -> None:
    with pytest.raises(ConfigurationError, match="CACHEWARM_BUDGET"):
        plan_of(table(candidate("a")), budget=budget)


@given(st.lists(st.sampled_from("abcdefgh"), max_size=20), st.integers(1, 10))
def test_every_candidate_is_an_entry_or_excluded_with_a_reason(prompts: list[str], budget: int) -> None:
    plan, excluded = plan_of(table(*(candidate(p) for p in prompts)), budget=budget)
    assert plan.num_rows + sum(excluded.values()) == len(prompts)
    assert plan.num_rows <= budget
    assert len(set(plan["entry_id"].to_pylist())) == plan.num_rows
    assert plan["rank"].to_pylist() == list(range(plan.num_rows))


def test_key_order_and_spacing_of_json_do_not_split_an_answer_group() -> None:
    answers = ('{"x": 1, "y": [2]}', '{"y":[2],"x":1}', "Yes, it is.", "yes,  it is", '{"x": 2}', "no")
    rows = [candidate(f"question {n} about thing {n}", response=text) for n, text in enumerate(answers)]
    groups = made(table(*rows)).table["answer_group"].to_pylist()
    assert [groups.index(group) for group in groups] == [0, 0, 2, 2, 4, 5]
    elsewhere = [{**row, "agent_type": "b"} for row in rows]
    assert not set(groups) & set(made(table(*elsewhere)).table["answer_group"].to_pylist())


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
