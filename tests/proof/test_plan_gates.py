"""The gates on vectors, plan and loaded cache: what fails, what passes, and what they show."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.answers.volatility import REASONS
from cachewarm_pipeline.proof import plan_gates
from cachewarm_pipeline.proof.gate_remediation import VOLATILE, remediation
from cachewarm_pipeline.storage.schemas import FREQUENT_QUERIES, PLAN_CONFLICTS, UNFIT_QUERIES, WARMING_PLAN
from tests.support.cache_fakes import TrigramEmbedder, make_plan

NO_CONFLICTS = PLAN_CONFLICTS.empty_table()
SAFE = "is it safe to call eval on what a stranger typed"
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
    verdict = plan_gates.quality_threshold(plan(("golden", 0.8), ("query_log", 0.6)), FLOORS)
    assert verdict.passed
    assert "lowest 0.60" in verdict.sentence


def test_one_entry_below_its_floor_fails_the_plan_and_is_shown() -> None:
    verdict = plan_gates.quality_threshold(plan(("golden", 0.9), ("golden", 0.7), ("synthetic", 0.65)), FLOORS)
    assert not verdict.passed
    assert [row["prompt"] for row in verdict.worst] == ["p1"]
    assert verdict.numbers["below"] == 1


def test_an_empty_plan_fails_and_says_where_to_look() -> None:
    verdict = plan_gates.quality_threshold(plan(), FLOORS)
    assert not verdict.passed
    assert "left_out" in verdict.sentence


def unit(n: int, d: int) -> np.ndarray:
    v = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def test_unit_vectors_of_the_right_size_pass() -> None:
    assert plan_gates.embedding_sanity(["a", "b"], unit(2, 8), 8).passed


def test_vectors_of_another_size_fail_with_both_numbers() -> None:
    verdict = plan_gates.embedding_sanity(["a"], unit(1, 4), 8)
    assert not verdict.passed
    assert "(1, 4)" in verdict.sentence
    assert "8" in verdict.sentence


@given(st.integers(0, 4), st.sampled_from([0.0, 0.5, 2.0, float("nan"), float("inf")]))
def test_one_bad_row_fails_and_is_the_one_shown(row: int, factor: float) -> None:
    vectors = unit(5, 8)
    vectors[row] *= factor
    verdict = plan_gates.embedding_sanity([f"t{i}" for i in range(5)], vectors, 8)
    assert not verdict.passed
    assert [example["text"] for example in verdict.worst] == [f"t{row}"]


@given(st.sets(st.text(max_size=3)), st.sets(st.text(max_size=3)))
def test_loaded_equals_planned_only_when_the_sets_are_equal(planned: set[str], loaded: set[str]) -> None:
    verdict = plan_gates.loaded_equals_planned(planned, loaded)
    assert verdict.passed == (planned == loaded)
    assert verdict.numbers["missing"] == len(planned - loaded)
    assert verdict.numbers["unplanned"] == len(loaded - planned)


def conflicts(*rows: dict[str, Any], judge: str = "local") -> Any:
    plan = make_plan(rows)
    vectors = TrigramEmbedder().embed(plan["prompt"].to_pylist())
    return plan_gates.no_conflicting_entries(plan, vectors, NO_CONFLICTS, judge)


def test_entries_that_differ_in_what_a_match_rule_reads_do_not_conflict() -> None:
    verdict = conflicts({"prompt": SAFE}, {"prompt": SAFE.replace("is it", "is it not")})
    assert verdict.passed
    assert "No conflict among 2 entries" in verdict.sentence


def test_prompts_that_no_lookup_can_tell_apart_with_different_answers_fail_and_are_shown_as_a_pair() -> None:
    verdict = conflicts(
        {"prompt": SAFE + "; thanks", "response": "yes"}, {"prompt": SAFE + ", thanks", "response": "no"}
    )
    assert not verdict.passed
    assert verdict.worst[0]["problem"] == "no feature tells them apart"
    assert {verdict.worst[0]["response"], verdict.worst[0]["other_response"]} == {"yes", "no"}


def test_one_prompt_with_two_entries_fails() -> None:
    verdict = conflicts({"prompt": SAFE, "response": "yes"}, {"prompt": SAFE, "response": "no"})
    assert not verdict.passed
    assert "one prompt, two entries" in {row["problem"] for row in verdict.worst}


@pytest.mark.parametrize(
    ("one", "other"),
    [("Retry 3 times.", "Retry 5 times."), ("Use TLS 1.2", "Use TLS 1.3"), ("Enable it", "Do not enable it")],
)
def test_an_answer_group_with_another_number_version_or_negation_fails(one: str, other: str) -> None:
    rows = [
        {"prompt": "how often do we retry", "response": one, "answer_group": "g"},
        {"prompt": "what number of attempts is right", "response": other, "answer_group": "g"},
    ]
    assert not conflicts(*rows).passed
    assert conflicts(*rows, judge="exact").passed  # the members of the exact judge's groups are equal anyway


def test_inseparable_entries_of_two_groups_conflict_only_if_their_answers_contradict() -> None:
    def verdict(one: str, other: str, judge: str = "local") -> Any:
        prompts = SAFE + "; thanks", SAFE + ", thanks"
        return conflicts(
            *(
                {"prompt": prompt, "response": response, "answer_group": response}
                for prompt, response in zip(prompts, (one, other), strict=True)
            ),
            judge=judge,
        )

    reworded = "Do not call eval on it.", "It is best not to call eval on it."
    assert verdict(*reworded).passed  # the judge called them equivalent, but groups are not transitive
    assert not verdict(*reworded, judge="exact").passed
    assert not verdict("Yes, it is safe.", "No, it is not safe.").passed


def test_only_contradictions_that_no_model_may_overrule_block_a_plan_of_the_llm_judge() -> None:
    def verdict(one: str, other: str, judge: str) -> Any:
        return conflicts(
            {"prompt": "how often do we retry", "response": one, "answer_group": "g"},
            {"prompt": "what number of attempts is right", "response": other, "answer_group": "g"},
            judge=judge,
        )

    soft, hard = ("Retry 3 times.", "Retry 5 times."), ("Yes, retry.", "No, do not retry.")
    assert not verdict(*soft, "local").passed
    assert verdict(*soft, "llm").passed
    assert not verdict(*hard, "llm").passed


def unfit(personal: float, volatile: float) -> pa.Table:
    rows = [
        {
            "entry_id": reason,
            "agent_type": "a",
            "prompt": f"a {reason} one",
            "reason": reason,
            "detail": "d",
            "frequency": 9,
            "stability": None,
            "demand": demand,
        }
        for reason, demand in (("personal", personal), ("volatile", volatile))
    ]
    return pa.Table.from_pylist(rows, schema=UNFIT_QUERIES)


def share(plan: pa.Table, lost: pa.Table, limit: float = 0.5) -> Any:
    frequent = pa.table({"demand": [6.0, 2.0]}, schema=pa.schema([FREQUENT_QUERIES.field("demand")]))
    return plan_gates.volatile_or_personal_share(plan, frequent, lost, limit)


def test_a_small_unfit_share_passes_and_says_how_much_of_each() -> None:
    verdict = share(make_plan([{"prompt": SAFE}]), unfit(1.0, 1.0))
    assert verdict.passed
    assert verdict.numbers["volatile_or_personal_share"] == pytest.approx(0.2)
    assert "20.0%" in verdict.sentence


def test_the_verdict_says_which_kind_of_volatile_it_was_and_the_remediation_what_to_do() -> None:
    for kind, words in REASONS.items():
        lost = unfit(0.0, 11.0).set_column(4, UNFIT_QUERIES.field("detail"), pa.array(["email", f"{words}: 5%"]))
        verdict = share(make_plan([{"prompt": SAFE}]), lost)
        assert f"11 lookups a day; {words}: 11)" in verdict.sentence
        assert VOLATILE[kind] in (remediation("volatile_or_personal_share", verdict) or "")


def test_too_large_an_unfit_share_fails_with_the_queries_behind_it() -> None:
    verdict = share(make_plan([{"prompt": SAFE}]), unfit(1.0, 11.0))
    assert not verdict.passed
    assert {row["reason"] for row in verdict.worst} == {"personal", "volatile"}


@pytest.mark.parametrize("where", ["prompt", "response"])
def test_personal_data_in_the_plan_fails_and_is_masked_where_it_is_shown(where: str) -> None:
    row = {"prompt": SAFE, "response": "no", where: "write to mary.jones@contoso-mail.com about it"}
    verdict = share(make_plan([row]), unfit(0, 0))
    assert not verdict.passed
    assert verdict.worst[0]["where"] == where
    assert "mary" not in str(verdict.worst)
