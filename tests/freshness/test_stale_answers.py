"""What a plan does about answers that are stale, answered again or withdrawn."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.answers.judges.exact_match import ExactJudge
from cachewarm_pipeline.candidates.provenance import AnswerProvenance, dump
from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.freshness.answer_age import AgeLimits
from cachewarm_pipeline.freshness.stale_answers import AdmissionContext, Admitted, admit, stamp
from cachewarm_pipeline.freshness.stale_reasons import CurrentSources, Stale, still_stale
from tests.planning.test_warming_plan import candidate, table
from tests.support.cache_fakes import make_plan

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CURRENT_SOURCES = CurrentSources("new", "v2", "emb")


def offered(prompt: str = "How?", answer: str = "old answer", **more: Any) -> dict[str, Any]:
    """A candidate from the log; its source_row is its answer."""
    depends = AnswerProvenance(answer, more.pop("model", "old")).as_dict()
    asked = more.pop("asked", NOW - timedelta(days=1))
    provenance = dump({"last_answer_at": asked.isoformat(), "depends": depends})
    return candidate(prompt, "query_log", response=answer, provenance=provenance, **more)


def check(row: dict[str, Any], *reasons: Stale, **more: Any) -> dict[str, Any]:
    found = {
        "entry_id": row["entry_id"],
        "reasons": [str(reason) for reason in reasons],
        "source_row": AnswerProvenance.of(row["provenance"]).source_row,
        "answer_model": "old",
        "prompt_version": "v1",
        "marked_at": NOW,
        "new_response": None,
        "answered_by": None,
        "answered_at": None,
    }
    return found | more


def admitted(rows: list[dict[str, Any]], *checks: dict[str, Any], **standing: Any) -> Admitted:
    known = {row["entry_id"]: row for row in checks}
    return admit([table(*rows)], AdmissionContext(CURRENT_SOURCES, known, **standing), ExactJudge().same)


def answers(found: Admitted) -> list[str]:
    return [text for one in found.tables for text in one["response"].to_pylist()]


@pytest.mark.parametrize("reason", [Stale.ANSWER_MODEL, Stale.PROMPT_VERSION, Stale.CHANGED])
def test_a_stale_answer_without_a_new_one_is_excluded_unless_stale_entries_are_kept(reason: Stale) -> None:
    rows = [offered(), offered("Why?", "because")]
    found = admitted(rows, check(rows[0], reason))
    assert (answers(found), found.excluded) == (["because"], {ExclusionReason.STALE: 1})
    kept = admitted(rows, check(rows[0], reason), keep_stale=True)
    assert (answers(kept), kept.excluded) == (["old answer", "because"], {})
    assert kept.stale == found.stale == {str(reason): 1}


@pytest.mark.parametrize("reasons", [(), (Stale.EMBEDDER,), (Stale.SOURCE_ROW,)])
def test_an_entry_that_was_only_checked_or_that_a_new_plan_repairs_stays(reasons: tuple[Stale, ...]) -> None:
    found = admitted([offered()], check(offered(), *reasons))
    assert (answers(found), found.excluded, found.stale) == (["old answer"], {}, {})


def test_a_new_answer_replaces_the_stale_one_and_its_provenance_is_recorded() -> None:
    row = offered()
    new = {"new_response": "new answer", "answered_by": "llm:new", "answered_at": NOW, "answer_model": "new"}
    found = admitted([row], check(row, Stale.CHANGED, **new, prompt_version="v2"))
    (entry,) = found.tables[0].to_pylist()
    assert (entry["response"], found.refreshed, found.excluded) == ("new answer", 1, {})
    assert json.loads(entry["provenance"])["refreshed"] == {"at": NOW.isoformat(), "by": "llm:new"}
    assert AnswerProvenance.of(entry["provenance"]) == AnswerProvenance("old answer", "new", "v2")


def test_once_the_source_has_another_answer_neither_a_mark_nor_a_new_answer_counts() -> None:
    before, now = offered(), offered(answer="the source's newer answer")
    for change in ({}, {"new_response": "new answer", "answered_by": "log", "answered_at": NOW}):
        found = admitted([now], check(before, Stale.CHANGED, **change))
        assert (answers(found), found.refreshed, found.excluded) == (["the source's newer answer"], 0, {})


def test_a_mark_ends_when_its_reason_no_longer_applies() -> None:
    own, present = AnswerProvenance("row", "old"), CURRENT_SOURCES
    marked = check(offered(), *Stale)
    before, after = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
    assert still_stale(marked, own, before, present) == {Stale.ANSWER_MODEL, Stale.PROMPT_VERSION, Stale.CHANGED}
    assert still_stale(marked, own, after, present) == {Stale.ANSWER_MODEL, Stale.CHANGED}
    assert still_stale(marked, AnswerProvenance("row", "new"), before, present) == {Stale.PROMPT_VERSION, Stale.CHANGED}
    assert still_stale(marked, AnswerProvenance("row", None), after, present) == {Stale.CHANGED}
    assert still_stale(marked, own, before, CurrentSources(None, None, "emb")) == {Stale.CHANGED}
    assert still_stale(marked, own, before, CurrentSources("old", "v1", "emb")) == {Stale.CHANGED}
    assert still_stale(check(offered(), Stale.PROMPT_VERSION), own, None, present) == {Stale.PROMPT_VERSION}


def test_a_withdrawn_answer_is_excluded_and_a_different_one_of_the_same_entry_may_be_warmed() -> None:
    golden, log = candidate("How?", response='{"a": 1}', provenance="{}"), offered()
    withdrawn = {golden["entry_id"]: ['{ "a":1 }', "never seen"]}
    found = admit(
        [table(golden), table(log)], AdmissionContext(CURRENT_SOURCES, withdrawn=withdrawn), ExactJudge().same
    )  # type: ignore[arg-type]
    assert [one.num_rows for one in found.tables] == [0, 1]
    assert found.excluded == {ExclusionReason.REPORTED_WRONG: 1}


def test_a_new_answer_does_not_bring_a_withdrawn_one_back_and_may_replace_it() -> None:
    row = offered()
    new = {"new_response": "new answer", "answered_by": "log", "answered_at": NOW}
    for wrong, excluded in (("new answer", {ExclusionReason.REPORTED_WRONG: 1}), ("old answer", {})):
        found = admitted([row], check(row, Stale.CHANGED, **new), withdrawn={row["entry_id"]: [wrong, wrong]})
        assert found.excluded == excluded


def variant(base: dict[str, Any], prompt: str = "How then?", answer: str | None = None) -> dict[str, Any]:
    provenance = dump({"base_id": base["entry_id"], "depends": AnswerProvenance.of(base["provenance"]).as_dict()})
    return candidate(prompt, "synthetic", response=answer or base["response"], provenance=provenance)


def test_a_withdrawn_answer_does_not_come_back_through_variants_and_another_answer_of_a_variant_may() -> None:
    base, other = offered(), offered("Why?")
    rows = [variant(base), variant(base, "How else?", "an answer of its own"), variant(other, "Why then?")]
    for withdrawn, left in (("Old  answer", ["an answer of its own", "old answer"]), ("another", 3 * [None])):
        found = admitted(rows, withdrawn={base["entry_id"]: [withdrawn]})
        assert len(answers(found)) == len(left)
        assert found.excluded == ({ExclusionReason.REPORTED_WRONG: 1} if withdrawn == "Old  answer" else {})
    assert admitted(rows, withdrawn={rows[2]["entry_id"]: ["old answer"]}).excluded == {
        ExclusionReason.REPORTED_WRONG: 1
    }


LIMITS = AgeLimits({"a": 3.0}, NOW)


def aged(days: float, prompt: str = "How?", **more: Any) -> dict[str, Any]:
    return offered(prompt, asked=NOW - timedelta(days=days), **more)


def test_an_answer_that_was_confirmed_too_long_ago_is_stale_where_its_rate_is_measured() -> None:
    rows = [aged(3.0, "in time"), aged(3.01, "too late"), aged(99, "not measured", agent_type="b")]
    found = admitted(rows, limits=LIMITS)
    assert found.tables[0]["prompt"].to_pylist() == ["in time", "not measured"]
    assert (found.excluded, found.stale) == ({ExclusionReason.STALE: 1}, {"age": 1})
    kept = admitted(rows, limits=LIMITS, keep_stale=True)
    assert (kept.tables[0].num_rows, kept.excluded, kept.stale) == (3, {}, {"age": 1})


def test_a_golden_answer_has_no_age_and_an_answer_of_unknown_age_stays() -> None:
    rows = [
        candidate(prompt, provenance=dump({"created_at": at.isoformat()} if at else {}))
        for prompt, at in (("old", NOW - timedelta(4)), ("new", NOW - timedelta(2)), ("unknown", None))
    ]
    assert admitted(rows, limits=LIMITS).tables[0]["prompt"].to_pylist() == ["old", "new", "unknown"]


def test_a_new_answer_resets_the_age_until_it_is_too_old_itself() -> None:
    row = aged(20)
    for days, excluded in ((1, {}), (4, {ExclusionReason.STALE: 1})):
        new = {"new_response": "new answer", "answered_by": "log", "answered_at": NOW - timedelta(days)}
        found = admitted([row], check(row, Stale.AGE, **new), limits=LIMITS)
        assert (answers(found), found.excluded) == ([] if excluded else ["new answer"], excluded)


def test_a_new_answer_that_is_too_old_is_dropped_for_one_that_the_application_gave_since() -> None:
    row = aged(1)
    new = {"new_response": "new answer", "answered_by": "log", "answered_at": NOW - timedelta(4)}
    found = admitted([row], check(row, Stale.CHANGED, **new), limits=LIMITS)
    assert (answers(found), found.stale, found.refreshed) == (["old answer"], {}, 0)


def test_each_plan_computes_the_age_again_whatever_the_mark_says() -> None:
    row = aged(1)
    assert admitted([row], check(row, Stale.AGE), limits=LIMITS).excluded == {}
    assert admitted([row], check(row, Stale.AGE)).excluded == {}


def test_a_variant_is_as_old_as_the_answer_of_its_base() -> None:
    rows = [aged(4), aged(1, "Why?")]
    both = [*rows, variant(rows[0]), variant(rows[1], "Why then?")]
    found = admitted(both, limits=LIMITS)
    assert found.tables[0]["prompt"].to_pylist() == ["Why?", "Why then?"]
    assert found.stale == {"age": 2}


@given(st.lists(st.tuples(st.floats(0, 40), st.booleans()), max_size=8), st.floats(0.5, 30))
def test_no_answer_older_than_its_limit_is_admitted(ages: list[tuple[float, bool]], limit: float) -> None:
    rows = [aged(days, f"q{n}", agent_type="ab"[other]) for n, (days, other) in enumerate(ages)]
    found = admitted(rows, limits=AgeLimits({"a": limit}, NOW))
    assert found.tables[0].num_rows + sum(found.excluded.values()) == len(rows)
    stay = {row["prompt"] for row in found.tables[0].to_pylist()}
    for n, (days, other) in enumerate(ages):
        if abs(days - limit) > 1e-6:
            assert (f"q{n}" in stay) == (other or days < limit)


def test_candidates_about_which_nothing_is_known_are_admitted_unchanged() -> None:
    rows = table(offered(), offered("Why?"))
    found = admit([rows], AdmissionContext(CURRENT_SOURCES), ExactJudge().same)
    assert found.tables[0] is rows


@given(st.lists(st.sampled_from("abcdefgh"), max_size=12, unique=True), st.data())
def test_every_candidate_is_admitted_in_its_order_or_counted_as_excluded(
    prompts: list[str], data: st.DataObject
) -> None:
    rows = [offered(prompt, f"answer {prompt}") for prompt in prompts]
    marked = data.draw(st.sets(st.sampled_from(prompts or ["x"])))
    withdrawn = data.draw(st.sets(st.sampled_from(prompts or ["x"])))
    checks = [check(row, Stale.CHANGED) for row in rows if row["prompt"] in marked]
    bad = {row["entry_id"]: [row["response"]] for row in rows if row["prompt"] in withdrawn}
    found = admitted(rows, *checks, withdrawn=bad)
    assert found.tables[0]["prompt"].to_pylist() == [p for p in prompts if p not in marked | withdrawn]
    assert found.tables[0].num_rows + sum(found.excluded.values()) == len(prompts)


def stamped(provenance: dict[str, Any], **standing: Any) -> AnswerProvenance:
    plan = make_plan([{"prompt": "How?", "provenance": dump(provenance)}])
    found = stamp(plan, AdmissionContext(CURRENT_SOURCES, **standing))
    assert found.schema.equals(plan.schema)
    return AnswerProvenance.of(found["provenance"].to_pylist()[0])


def test_an_answer_keeps_its_first_prompt_version_and_a_new_answer_has_the_current_one() -> None:
    (key,) = make_plan([{"prompt": "How?"}])["entry_id"].to_pylist()
    own = {"depends": AnswerProvenance("row", "old").as_dict()}
    assert stamped(own) == AnswerProvenance("row", "old", "v2", "emb")
    assert stamped(own, previous={key: AnswerProvenance("row", None, "v1", "x")}).prompt_version == "v1"
    assert stamped(own, previous={key: AnswerProvenance("another row", None, "v1")}).prompt_version == "v2"
    assert stamped(own, previous={key: AnswerProvenance("row")}).prompt_version == "v2"
    known = {"depends": AnswerProvenance("row", "old", "v3").as_dict()}
    assert stamped(known, previous={key: AnswerProvenance("row", None, "v1")}).prompt_version == "v3"
    assert stamped({}, previous={key: AnswerProvenance()}) == AnswerProvenance(None, None, "v2", "emb")


def test_a_plan_that_is_stamped_twice_is_the_same() -> None:
    plan = make_plan([{"prompt": "How?", "provenance": dump({"z": "é", "depends": AnswerProvenance("row").as_dict()})}])
    standing = AdmissionContext(CURRENT_SOURCES)
    once = stamp(plan, standing)
    assert stamp(once, standing).equals(once)
    assert isinstance(once, pa.Table)
