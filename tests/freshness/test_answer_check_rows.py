"""Which entries are stale and why, which earlier rows are kept, and in which order entries are answered again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cachewarm_pipeline.candidates.provenance import AnswerProvenance, dump
from cachewarm_pipeline.freshness.answer_age import AgeLimits
from cachewarm_pipeline.freshness.answer_check_rows import AnswerCheckRows, CheckFinding, stale_marks, waits_for_answer
from cachewarm_pipeline.freshness.check_sample import sampled
from cachewarm_pipeline.freshness.current_candidates import CurrentCandidate, current_candidates, entries_over_age
from cachewarm_pipeline.freshness.stale_reasons import CurrentSources, Stale
from tests.planning.test_warming_plan import candidate, table
from tests.support.cache_fakes import make_plan

DAY1 = datetime(2026, 11, 15, tzinfo=UTC)
DAY2 = DAY1 + timedelta(days=7)
CURRENT_SOURCES = CurrentSources("new", "v2", "emb")
CURRENT = AnswerProvenance("row", "new", "v2", "emb")


def entry(prompt: str = "How?", depends: AnswerProvenance = CURRENT, **more: Any) -> dict[str, Any]:
    """A planned entry from the log."""
    known = {name: more.pop(name) for name in ("refreshed", "base_id") if name in more}
    provenance = dump({"depends": depends.as_dict(), **known})
    row = {"prompt": prompt, "source": "query_log", "gain": 2.0, "provenance": provenance, **more}
    (made,) = make_plan([row]).to_pylist()
    assert isinstance(made, dict)
    return made


def today(*entries: dict[str, Any], asked: datetime | None = None) -> dict[str, list[CurrentCandidate]]:
    """Candidates with the entries' own answers."""
    return {
        e["entry_id"]: [CurrentCandidate(AnswerProvenance.of(e["provenance"]), asked, e["demand"])] for e in entries
    }


def checks(
    entries: list[dict[str, Any]],
    previous: list[dict[str, Any]] = (),  # type: ignore[assignment]
    *,
    of_today: dict[str, list[CurrentCandidate]] | None = None,
    at: datetime = DAY1,
    rate: float = 0.1,
    current: CurrentSources = CURRENT_SOURCES,
    limits: AgeLimits | None = None,
    **findings: CheckFinding,
) -> AnswerCheckRows:
    """``findings`` by prompt."""
    found = {e["entry_id"]: findings[e["prompt"]] for e in entries if e["prompt"] in findings}
    known = today(*entries) if of_today is None else of_today
    return AnswerCheckRows(entries, previous, known, found, lambda _: rate, current, "answerer", at, limits)


def rows(found: AnswerCheckRows) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = found.table().to_pylist()
    return made


STALE = CheckFinding(True, 10.0, True, "new answer", "log", "new")
FRESH = CheckFinding(False, 10.0, False)
STALE_WITHOUT_ANSWER = CheckFinding(True, 10.0, True)


@pytest.mark.parametrize(
    ("depends", "expected"),
    [
        (CURRENT, set()),
        (AnswerProvenance("row"), set()),
        (AnswerProvenance("row", "old", "v2", "emb"), {Stale.ANSWER_MODEL}),
        (AnswerProvenance("row", "new", "v1", "emb"), {Stale.PROMPT_VERSION}),
        (AnswerProvenance("row", "new", "v2", "other"), {Stale.EMBEDDER}),
        (AnswerProvenance("row", "old", "v1", "other"), {Stale.ANSWER_MODEL, Stale.PROMPT_VERSION, Stale.EMBEDDER}),
        (AnswerProvenance("moved", "old", "v1", "emb"), {Stale.SOURCE_ROW}),
        (AnswerProvenance(), set()),
    ],
)
def test_a_known_difference_in_what_an_answer_depends_on_marks_its_entry(
    depends: AnswerProvenance, expected: set[Stale]
) -> None:
    assert (
        stale_marks(
            entry(depends=depends), [CurrentCandidate(AnswerProvenance("row"), None, 1.0)], CURRENT_SOURCES, None
        )
        == expected
    )


def test_what_is_not_set_is_not_compared() -> None:
    old = entry(depends=AnswerProvenance("row", "old", "v1", "emb"))
    assert stale_marks(old, today(old)[old["entry_id"]], CurrentSources(None, None, "emb"), None) == set()


def test_a_missing_source_row_marks_an_entry_and_one_of_two_sources_is_enough() -> None:
    own = entry()
    assert stale_marks(own, [], CURRENT_SOURCES, None) == {Stale.SOURCE_ROW}
    both = [
        CurrentCandidate(AnswerProvenance("another"), None, 1.0),
        CurrentCandidate(AnswerProvenance("row"), None, 1.0),
    ]
    assert stale_marks(own, both, CURRENT_SOURCES, None) == set()


def test_an_answer_of_the_model_that_gives_fresh_answers_is_not_stale_for_its_model() -> None:
    old = AnswerProvenance("row", "answerer", "v2", "emb")
    for by, expected in (("llm:answerer", set()), ("llm:other", {Stale.ANSWER_MODEL})):
        own = entry(depends=old, refreshed={"at": DAY1.isoformat(), "by": by})
        assert stale_marks(own, today(own)[own["entry_id"]], CURRENT_SOURCES, "answerer") == expected


def test_an_entry_without_a_reason_has_no_row_unless_it_was_checked() -> None:
    assert rows(checks([entry()])) == []
    (row,) = rows(checks([entry()], **{"How?": FRESH}))
    assert (row["reasons"], row["changed"], row["age_days"], row["checked_at"]) == ([], False, 10.0, DAY1)
    assert (row["why"], row["marked_at"], row["new_response"]) == ("checked, unchanged", None, None)


def test_a_changed_answer_is_marked_and_has_the_later_one() -> None:
    (row,) = rows(checks([entry()], **{"How?": STALE}))
    assert (row["reasons"], row["old_response"], row["new_response"]) == (["changed"], "answer to How?", "new answer")
    assert (row["answered_by"], row["answered_at"], row["marked_at"]) == ("log", DAY1, DAY1)
    assert row["why"] == "a later answer is different; answered again by log"


def test_a_change_that_the_entry_already_has_is_no_mark() -> None:
    (row,) = rows(checks([entry()], **{"How?": CheckFinding(True, 10.0, False)}))
    assert (row["reasons"], row["changed"]) == ([], True)


def test_once_the_source_has_another_answer_a_check_only_counts_for_the_rate() -> None:
    moved = {entry()["entry_id"]: [CurrentCandidate(AnswerProvenance("another"), None, 1.0)]}
    (row,) = rows(checks([entry()], of_today=moved, **{"How?": STALE}))
    assert (row["reasons"], row["changed"], row["new_response"]) == (["source_row"], True, None)


def test_the_queue_is_ordered_by_hits_times_change_rate() -> None:
    old = AnswerProvenance("row", "old", "v2", "emb")
    entries = [
        entry("few", old, gain=1.0),
        entry("many", old, gain=9.0),
        entry("by demand", old, gain=None, demand=5.0),
        entry("quick", old, gain=1.0, agent_type="quick"),
        entry("only checked", gain=99.0),
        entry("embedder", AnswerProvenance("row", "new", "v2", "other"), gain=99.0),
    ]
    found = AnswerCheckRows(
        entries,
        [],
        today(*entries),
        {entries[4]["entry_id"]: FRESH},
        lambda agent_type: 1.0 if agent_type == "quick" else 0.1,
        CURRENT_SOURCES,
        None,
        DAY1,
    )
    assert [row["prompt"] for row in found.queue()] == ["quick", "many", "by demand", "few"]
    assert [row["prompt"] for row in rows(found)][:4] == ["quick", "many", "by demand", "few"]
    assert rows(found)[1]["priority"] == pytest.approx(0.9)


def test_without_any_change_seen_the_queue_is_ordered_by_hits() -> None:
    entries = [entry(str(n), AnswerProvenance("row", "old", "v2", "emb"), gain=float(n)) for n in range(4)]
    assert [row["prompt"] for row in checks(entries, rate=0.0).queue()] == ["3", "2", "1", "0"]


def test_an_answered_entry_leaves_the_queue() -> None:
    old = entry(depends=AnswerProvenance("row", "old", "v1", "emb"))
    found = checks([old])
    found.answer(old["entry_id"], "fresh", "llm:answerer", "answerer")
    assert found.queue() == []
    (row,) = rows(found)
    assert (row["new_response"], row["answer_model"], row["prompt_version"]) == ("fresh", "answerer", "v2")
    assert row["reasons"] == ["answer_model", "prompt_version"]


def test_a_new_answer_is_kept_until_its_source_has_another_one_whether_its_entry_is_planned_or_not() -> None:
    own = entry(gain=1.0)
    first = rows(checks([own], **{"How?": STALE}))
    refreshed = entry(gain=1.0, response="new answer", refreshed={"at": DAY1.isoformat(), "by": "log"})
    for planned in ([own], [refreshed], []):
        assert rows(checks(planned, first, of_today=today(own), at=DAY2)) == first
    for gone in ({}, {own["entry_id"]: [CurrentCandidate(AnswerProvenance("another"), None, 1.0)]}):
        assert "new answer" not in str(rows(checks([], first, of_today=gone, at=DAY2)))


def test_the_checks_of_a_day_that_is_run_again_are_the_same() -> None:
    entries = [entry(), entry("old", AnswerProvenance("row", "old", "v1", "emb")), entry("fine")]
    findings = {"How?": STALE, "fine": FRESH}
    first = rows(checks(entries, **findings))
    assert rows(checks(entries, first, **findings)) == first


def test_a_mark_of_an_excluded_entry_is_kept_until_its_reason_ends() -> None:
    old = entry(depends=AnswerProvenance("row", "old", "v1", "emb"))
    first = rows(checks([old]))
    assert first[0]["reasons"] == ["answer_model", "prompt_version"]
    (again,) = rows(checks([], first, of_today=today(old), at=DAY2))
    assert (again["reasons"], again["marked_at"]) == (first[0]["reasons"], DAY1)
    asked_again = {old["entry_id"]: [CurrentCandidate(AnswerProvenance("row", "new"), DAY1 + timedelta(hours=1), 1.0)]}
    assert rows(checks([], first, of_today=asked_again, at=DAY2)) == []


def test_a_new_answer_that_is_stale_itself_is_replaced_or_dropped() -> None:
    own = entry()
    first = rows(checks([own], **{"How?": STALE}))
    refreshed = entry(response="new answer", refreshed={"at": DAY1.isoformat(), "by": "log"})
    newer = CheckFinding(True, 7.0, True, "newest", "log", "new")
    (row,) = rows(checks([refreshed], first, of_today=today(own), at=DAY2, **{"How?": newer}))
    assert (row["old_response"], row["new_response"], row["answered_at"]) == ("new answer", "newest", DAY2)
    (row,) = rows(checks([refreshed], first, of_today=today(own), at=DAY2, current=CurrentSources("new", "v3", "emb")))
    assert (row["old_response"], row["new_response"], row["reasons"]) == ("new answer", None, ["prompt_version"])


def test_a_mark_for_a_change_without_a_new_answer_ends_with_a_check_that_finds_no_change() -> None:
    own = entry()
    first = rows(checks([own], **{"How?": STALE_WITHOUT_ANSWER}))
    assert first[0]["reasons"] == ["changed"]
    assert rows(checks([own], first, at=DAY2)) == first
    (row,) = rows(checks([own], first, at=DAY2, **{"How?": FRESH}))
    assert (row["reasons"], row["changed"]) == ([], False)


def test_a_variant_has_the_mark_and_the_new_answer_of_its_base() -> None:
    base = entry("base")
    variant = entry("variant", source="synthetic", base_id=base["entry_id"])
    other = entry(
        "other", AnswerProvenance("own row", "new", "v2", "emb"), source="synthetic", base_id=base["entry_id"]
    )
    found = checks([base, variant, other], base=STALE)
    by_prompt = {row["prompt"]: row for row in rows(found)}
    assert set(by_prompt) == {"base", "variant"}
    assert (by_prompt["variant"]["reasons"], by_prompt["variant"]["new_response"]) == (["changed"], "new answer")
    waiting = checks([variant, base], base=STALE_WITHOUT_ANSWER)
    assert [row["prompt"] for row in waiting.queue()] == ["base"]
    waiting.answer(base["entry_id"], "fresh", "llm:answerer", "answerer")
    assert {row["new_response"] for row in rows(waiting)} == {"fresh"}


def test_a_sample_depends_on_its_seed_and_is_bounded_by_agent_type() -> None:
    entries = [entry(f"question {n}", agent_type="ab"[n % 2]) for n in range(60)]
    first, again, other = (sampled(entries, 5, seed) for seed in ("w1", "w1", "w2"))
    assert first == again != other
    assert sorted(row["agent_type"] for row in first) == ["a"] * 5 + ["b"] * 5
    assert sampled(entries[::-1], 5, "w1") == first
    assert len(sampled(entries, None, "w1")) == 60
    assert sampled(entries, 0, "w1") == []
    assert [row["agent_type"] for row in sampled(entries, 5, "w1", {"a": 5, "b": 4})] == ["b"]


def test_a_check_of_the_same_day_is_kept_even_if_its_entry_is_no_longer_planned() -> None:
    own = entry(gain=1.0)
    first = rows(checks([own], **{"How?": FRESH}))
    assert rows(checks([], first, of_today={})) == [first[0] | {"priority": 0.0}]
    assert rows(checks([], first, of_today={}, at=DAY2)) == []


def test_candidates_are_found_in_every_table_with_what_they_depend_on() -> None:
    provenance = dump({"last_answer_at": DAY1.isoformat(), "depends": AnswerProvenance("row", "m").as_dict()})
    golden, log = candidate("How?"), candidate("How?", "query_log", demand=3.0, provenance=provenance)
    found = current_candidates([table(golden), table(log, candidate("Why?"))], [golden["entry_id"]])  # type: ignore[list-item]
    both = [
        CurrentCandidate(AnswerProvenance(), None, 0.0),
        CurrentCandidate(AnswerProvenance("row", "m"), DAY1, 3.0, DAY1),
    ]
    assert found == {golden["entry_id"]: both}


def limits(at: datetime = DAY1, days: float = 3.0) -> AgeLimits:
    return AgeLimits({"auditor": days}, at)


def of_age(*entries: dict[str, Any], days: float, at: datetime = DAY1) -> dict[str, list[CurrentCandidate]]:
    return {
        e["entry_id"]: [CurrentCandidate(AnswerProvenance.of(e["provenance"]), None, 1.0, at - timedelta(days))]
        for e in entries
    }


def test_an_entry_whose_answer_is_too_old_waits_for_a_new_one() -> None:
    for days, expected in ((2.9, set()), (3.1, {Stale.AGE})):
        assert (
            stale_marks(entry(), of_age(entry(), days=days)[entry()["entry_id"]], CURRENT_SOURCES, None, limits())
            == expected
        )
    found = checks([entry()], of_today=of_age(entry(), days=4), limits=limits())
    assert [row["reasons"] for row in found.queue()] == [{Stale.AGE}]
    found.answer(entry()["entry_id"], "fresh", "llm:answerer", "answerer")
    (row,) = rows(found)
    assert (row["reasons"], row["new_response"], found.queue()) == (["age"], "fresh", [])


def test_a_new_answer_that_grows_too_old_is_kept_until_it_is_answered_again() -> None:
    own = entry()
    candidates = of_age(own, days=30)
    first = rows(checks([own], of_today=candidates, **{"How?": STALE}))
    refreshed = entry(response="new answer", refreshed={"at": DAY1.isoformat(), "by": "log"})
    found = checks([refreshed], first, of_today=candidates, at=DAY2, limits=limits(DAY2))
    (row,) = rows(found)
    assert (row["reasons"], row["new_response"]) == (["age", "changed"], "new answer")
    assert [one["entry_id"] for one in found.queue()] == [own["entry_id"]]
    found.answer(own["entry_id"], "newest", "llm:answerer", "answerer")
    again = rows(found)
    assert (again[0]["new_response"], found.queue()) == ("newest", [])
    assert rows(checks([refreshed], again, of_today=candidates, at=DAY2, limits=limits(DAY2))) == again
    assert not waits_for_answer(again[0], DAY2)


def test_an_entry_that_left_the_plan_for_its_age_is_asked_again_and_one_that_left_otherwise_is_not() -> None:
    aged, young, planned, moved = (entry(name) for name in ("aged", "young", "planned", "moved"))
    candidates = of_age(aged, planned, days=4) | of_age(young, days=1)
    candidates[moved["entry_id"]] = [CurrentCandidate(AnswerProvenance("another"), None, 1.0, DAY1 - timedelta(30))]
    earlier = [aged, young, planned, moved, entry("aged", gain=7.0)]
    assert entries_over_age(earlier, {planned["entry_id"]}, candidates, limits()) == [aged]
    waiting = checks(entries_over_age(earlier, set(), candidates, limits()), of_today=candidates, limits=limits())
    assert {row["prompt"] for row in waiting.queue()} == {"aged", "planned"}


def test_a_mark_for_age_stays_in_the_queue_until_the_answer_is_confirmed() -> None:
    own = entry()
    first = rows(checks([own], of_today=of_age(own, days=4), limits=limits()))
    still = checks([], first, of_today=of_age(own, days=11, at=DAY2), at=DAY2, limits=limits(DAY2))
    assert [row["reasons"] for row in still.queue()] == [{Stale.AGE}]
    assert rows(checks([], first, of_today=of_age(own, days=1, at=DAY2), at=DAY2, limits=limits(DAY2))) == []


def test_a_variant_without_its_base_in_the_plan_is_as_old_as_the_base_among_the_candidates() -> None:
    provenance = dump({"last_answer_at": (DAY1 - timedelta(4)).isoformat(), "depends": CURRENT.as_dict()})
    base = candidate("base", "query_log", provenance=provenance, agent_type="auditor")
    follows = dump({"base_id": base["entry_id"], "depends": CURRENT.as_dict()})
    offered = candidate("variant", "synthetic", provenance=follows, agent_type="auditor")
    variant = entry("variant", source="synthetic", base_id=base["entry_id"], entry_id=offered["entry_id"])
    found = current_candidates([table(base), table(offered)], [variant["entry_id"]], limits())
    assert [row["prompt"] for row in checks([variant], of_today=found, limits=limits()).queue()] == ["variant"]
