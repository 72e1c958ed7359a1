"""An earlier and a later answer of the log, and whether they are equivalent."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cachewarm_pipeline.answers.judges.exact_match import ExactJudge
from cachewarm_pipeline.freshness.answer_history import AnswerComparison, History, answer_histories, compare
from cachewarm_pipeline.ports import AnswerPair, JudgeUse
from cachewarm_pipeline.storage.schemas import DAILY_QUERY_COUNTS
from tests.support.window_days import FIRST, asked, said

DAY = FIRST + timedelta(29)
Q = ("a", "q")


def log(**days: list[dict[str, Any]]) -> Any:
    """``d3=[...]``: the rows of the day 3 days before DAY."""

    def read(columns: Sequence[str]) -> Iterator[tuple[date, pa.Table]]:
        for name, rows in days.items():
            of = DAY - timedelta(int(name[1:]))
            yield of, pa.Table.from_pylist(rows, schema=DAILY_QUERY_COUNTS).select(list(columns))

    return read


def at(days_before: int) -> int:
    """For ``said(day=...)``."""
    return 29 - days_before


def one(text: str, days_before: int, count: int = 1, **more: Any) -> dict[str, list[dict[str, Any]]]:
    return {f"d{days_before}": [asked("q", count, said(text, count, at(days_before), **more))]}


def compared(days: dict[str, list[dict[str, Any]]], own: str = "old") -> AnswerComparison | None:
    judge = ExactJudge()
    (found,) = compare([(Q[1], answer_histories(log(**days), [Q], DAY)[Q], own)], judge, judge.same)
    return found


def test_an_answer_that_is_given_again_has_not_changed_and_its_age_is_the_time_between() -> None:
    found = compared({**one("old", 12), **one("old", 2)})
    assert found is not None
    assert (found.changed, found.stale, found.age_days) == (False, False, 10.0)


def test_another_later_answer_is_a_change_and_makes_the_entry_stale_unless_it_already_has_it() -> None:
    days = {**one("old", 12), **one("new", 2, 2)}
    for own, stale in (("old", True), ("third", True), ("NEW", False)):
        found = compared(days, own)
        assert found is not None
        assert (found.later.text, found.changed, found.stale) == ("new", True, stale)


def test_a_single_row_with_another_answer_counts_for_the_rate_and_replaces_nothing() -> None:
    found = compared({**one("old", 12), **one("new", 2)})
    assert found is not None
    assert (found.changed, found.stale) == (True, False)


def test_the_last_seven_days_are_later_and_all_before_is_earlier() -> None:
    history = answer_histories(log(**one("old", 7), **one("new", 6)), [Q], DAY)[Q]
    assert [[answer.text for answer in week] for week in (history.earlier, history.later)] == [["old"], ["new"]]


def test_a_change_counts_once_since_the_earlier_answer_is_from_the_newest_week_before() -> None:
    days = {**one("old", 20, 50), **one("new", 12), **one("new", 2)}
    found = compared(days)
    assert found is not None
    assert not found.changed


def test_a_rare_other_answer_is_no_change() -> None:
    days = {**one("old", 10, 5), **one("old", 3, 4), **one("odd", 1)}
    found = compared(days)
    assert found is not None
    assert (found.later.text, found.changed) == ("old", False)


def test_a_query_whose_answers_go_back_and_forth_is_volatile_whether_its_weeks_agree_or_not() -> None:
    def back_and_forth(*counts: int) -> bool:
        old, new, old_again, new_again = counts
        earlier = asked("q", old + new, said("old", old, at(10)), said("new", new, at(9)))
        later = asked("q", old_again + new_again, said("old", old_again, at(3)), said("new", new_again, at(2)))
        found = compared({"d10": [earlier], "d3": [later]})
        assert found is not None
        return found.volatile

    assert back_and_forth(3, 2, 3, 2)
    assert back_and_forth(3, 2, 2, 3)
    assert not back_and_forth(9, 1, 9, 1)  # an exception now and then


def test_a_query_whose_answer_changed_more_than_once_is_not_volatile() -> None:
    days = {**one("a", 12), **one("b", 10), **one("c", 8), **one("d", 5), **one("e", 3), **one("f", 1)}
    found = compared(days)
    assert found is not None
    assert (found.volatile, found.changed) == (False, True)


def test_an_answer_in_other_words_is_no_change_however_strict_the_judge_is_as_evidence() -> None:
    def same(pairs: Sequence[AnswerPair], /, use: JudgeUse = JudgeUse.LABEL) -> np.ndarray:
        return np.full(len(pairs), use is JudgeUse.CHANGED)

    history = answer_histories(log(**one("old", 12), **one("old, reworded", 2, 2)), [Q], DAY)[Q]
    (found,) = compare([(Q[1], history, "old")], ExactJudge(), same)
    assert found is not None
    assert (found.changed, found.stale) == (False, False)


def test_a_query_without_an_entry_is_compared_and_nothing_is_stale() -> None:
    judge = ExactJudge()
    history = answer_histories(log(**one("old", 12), **one("new", 2, 2)), [Q], DAY)[Q]
    (found,) = compare([(Q[1], history, None)], judge, judge.same)
    assert found is not None
    assert (found.changed, found.stale) == (True, False)


def test_answers_that_users_rejected_are_not_compared() -> None:
    assert compared({**one("old", 10), **one("bad", 2, negative=1)}) is None
    found = compared({**one("old", 10), "d2": [asked("q", 3, said("bad", 2, at(2), 2), said("old", 1, at(2)))]})
    assert found is not None
    assert not found.changed


def test_answers_with_personal_data_are_never_seen() -> None:
    days = {**one("old", 10), **one("write to ada.moss@corp.io", 2)}
    assert answer_histories(log(**days), [Q], DAY)[Q].later == []


def test_only_the_wanted_queries_are_read_and_those_without_an_answer_have_no_history() -> None:
    days = {"d3": [asked("q", 2, said("x", 2)), asked("other", 1, said("y")), asked("silent", 4)]}
    days["d3"].append(asked("q", 1, said("z"), agent_type="b"))
    found = answer_histories(log(**days), [Q, ("a", "silent")], DAY)
    assert set(found) == {Q}
    assert [answer.text for answer in found[Q].later] == ["x"]


def test_days_after_the_day_are_not_known_yet() -> None:
    assert answer_histories(log(**{"d-1": [asked("q", 1, said())]}), [Q], DAY) == {}


def test_the_later_answer_has_the_model_of_its_newest_row() -> None:
    days = {
        **one("old", 10),
        "d3": [asked("q", 1, said("new", 1, at(3)) | {"model": "one"})],
        "d1": [asked("q", 1, said("new", 1, at(1)) | {"model": "two"})],
    }
    found = compared(days)
    assert found is not None
    assert (found.later.model, found.later.count) == ("two", 2)


@pytest.mark.parametrize("number", [0, 3])
def test_no_query_or_several_queries_are_compared_in_one_call(number: int) -> None:
    judge = ExactJudge()
    history = answer_histories(log(**one("old", 10), **one("new", 2, 2)), [Q], DAY)[Q]
    found = compare(
        [(Q[1], history, "old")] * number + [(Q[1], History([], []), "old")] * bool(number), judge, judge.same
    )
    assert [one and one.stale for one in found] == [True] * number + [None] * bool(number)
