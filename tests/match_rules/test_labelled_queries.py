"""The labelled log: which queries, with which answer, in which of the three parts."""

from datetime import date

import pytest
from cachewarm_client.text import entry_id
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.match_rules.labelled_queries import PARTS, SHARES, labelled_queries, part_of
from tests.support.window_days import FLAT, Days, Row, asked, said


def labelled(*days: list[Row], maximum: int = 100) -> tuple[dict[str, Row], dict[ExclusionReason, int]]:
    table, excluded = labelled_queries(Days(*days), maximum=maximum, weights=FLAT)
    return {row["prompt"]: row for row in table.to_pylist()}, dict(excluded)


def test_a_query_has_the_answer_with_most_support_and_its_totals_over_all_days() -> None:
    days = [asked("q", 3, said("old", 2), said("new", 1))], [asked("q", 4, said("new", 4, day=1))]
    rows, excluded = labelled(*days)
    assert rows["q"]["response"] == "new"
    assert (rows["q"]["frequency"], rows["q"]["last_day"]) == (7, date(2026, 11, 2))
    assert rows["q"]["entry_id"] == entry_id("q", "a")
    assert excluded == {}


def test_under_a_cap_the_newest_queries_stand_for_the_demand_of_all() -> None:
    days = [asked("old", 6, said())], [asked("new", 3, said(day=1))]
    assert {row["stands_for"] for row in labelled(*days)[0].values()} == {1.0}
    rows, excluded = labelled(*days, maximum=1)
    assert rows["new"]["demand"] == pytest.approx(3 / 30)
    assert rows["new"]["stands_for"] == pytest.approx(3.0)
    assert excluded == {ExclusionReason.OVER_CAP: 1}


def test_the_newest_answer_wins_a_tie() -> None:
    rows, _ = labelled([asked("q", 1, said("old"))], [asked("q", 1, said("new", day=1))])
    assert rows["q"]["response"] == "new"


def test_answers_from_the_cache_and_answers_that_users_rejected_are_no_labels() -> None:
    rows, excluded = labelled([asked("served", 5), asked("bad", 2, said("no", 2, negative=2)), asked("q", 1, said())])
    assert list(rows) == ["q"]
    assert excluded == {ExclusionReason.NO_EVIDENCE: 1, ExclusionReason.NEGATIVE_FEEDBACK: 1}


def test_a_prompt_with_personal_data_is_counted_and_not_kept() -> None:
    rows, excluded = labelled([asked("why does mary.jones@contoso-mail.com see my orders", 1, said())])
    assert rows == {}
    assert excluded == {ExclusionReason.PERSONAL: 1}


def test_over_the_maximum_the_queries_asked_last_stay() -> None:
    days = [[asked(f"day {day} query {i}", 1, said()) for i in range(3)] for day in range(3)]
    rows, excluded = labelled(*days, maximum=4)
    assert {prompt[:5] for prompt in rows} == {"day 2", "day 1"}
    assert len(rows) == 4
    assert excluded == {ExclusionReason.OVER_CAP: 5}


@given(st.lists(st.text("abc", min_size=1, max_size=3), max_size=20), st.integers(0, 5))
@settings(max_examples=50)
def test_every_query_is_kept_once_or_counted(queries: list[str], maximum: int) -> None:
    rows, excluded = labelled([asked(query, 1, said()) for query in dict.fromkeys(queries)], maximum=maximum)
    assert len(rows) + sum(excluded.values()) == len(set(queries))
    assert len(rows) <= maximum


def test_parts_have_their_shares_and_a_query_never_changes_its_part() -> None:
    ids = [entry_id(f"query {n}", "a") for n in range(5000)]
    parts = [part_of(entry) for entry in ids]
    for part in PARTS:
        assert parts.count(part) / len(ids) == pytest.approx(SHARES[part], abs=0.02)
    assert parts == [part_of(entry) for entry in ids]
    assert sum(SHARES.values()) == pytest.approx(1)


def test_the_part_does_not_follow_from_the_order_of_ids() -> None:
    ids = sorted(entry_id(f"query {n}", "a") for n in range(4000))
    first = [part_of(entry) for entry in ids[:1000]]
    assert first.count("certify") / 1000 == pytest.approx(SHARES["certify"], abs=0.05)
