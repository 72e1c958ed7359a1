"""A window of days: which answers the judge sees, which queries are volatile, and whose votes count."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from cachewarm_pipeline.candidates.window_responses import BEST_CONTENDERS, MAX_CONTENDERS
from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.ports import AnswerPair
from cachewarm_pipeline.query_log.response_text import exact_probability
from tests.support.window_days import asked, rolled, said, unfit, whole


def test_the_judge_sees_the_best_supported_answers_and_a_sample_spread_over_the_window() -> None:
    days = [[asked("q", 4, *(said(f"one off {day} {n}", 1, day=day) for n in range(3)))] for day in range(30)]
    days[0][0]["responses"].append(said("steady", 2))
    seen: list[str] = []

    def judge(pairs: Sequence[AnswerPair]) -> Any:
        seen.extend(text for pair in pairs for text in (pair.left, pair.right))
        return exact_probability(pairs)

    found = whole(*days, judge=judge)
    texts = list(dict.fromkeys(seen))
    assert len(texts) == MAX_CONTENDERS
    assert texts[0] == "steady"
    offs = [int(text.split()[2]) for text in texts[1:]]
    assert sorted(offs)[-BEST_CONTENDERS + 1 :] == [28, 28, 29, 29, 29]
    assert len({day for day in offs if day < 28}) >= 4
    assert found.sampled == 1
    again: list[str] = list(dict.fromkeys(seen))
    seen.clear()
    whole(*days, judge=judge)
    assert list(dict.fromkeys(seen)) == again


def test_a_popular_query_with_a_new_wording_each_time_is_stable_where_the_judge_sees_one_answer() -> None:
    days = [[asked("q", 50, *(said(f"{day} {n}", 1, day=day) for n in range(5)), answered=50)] for day in range(30)]
    rows, excluded = rolled(*days, min_stability=0.9, judge=lambda pairs: np.ones(len(pairs)))
    assert (rows[0]["stability"], excluded) == (1.0, {})


def test_answers_that_all_differ_for_the_judge_are_volatile_and_the_detail_says_that_it_cannot_tell() -> None:
    days = [
        [asked(f"q{q}", 3, *(said(f"{q} {day} {n}", 1, day=day) for n in range(3))) for q in range(5)]
        for day in range(30)
    ]
    details = {row["detail"] for row in unfit(*days)}
    assert details == {"the judge cannot tell: 100% of pairs differ, whatever the time between them and the user"}
    (noise,) = whole(*days).noise.to_pylist()
    assert (noise["near_disagreement"], noise["far_disagreement"], noise["cannot_tell_share"]) == (1.0, 1.0, 1.0)
    assert noise["sampled_share"] == 1.0


def test_answers_that_change_every_week_are_volatile_and_those_that_merely_vary_are_not() -> None:
    days = [
        [
            *(asked(f"weekly {q}", 2, said(f"{q} {(day + q) // 7}", 2, day=day)) for q in range(5)),
            *(asked(f"varies {q}", 2, said(f"{q} {(day * 7 + q) % 4 // 3}", 2, day=day)) for q in range(15)),
        ]
        for day in range(30)
    ]
    found = whole(*days)
    assert {row["prompt"].split()[0] for row in found.unfit_queries.to_pylist()} == {"weekly"}
    assert found.excluded == {ExclusionReason.VOLATILE: 5}
    assert all(row["detail"].startswith("answers change over time: ") for row in found.unfit_queries.to_pylist())
    assert all(row["stability"] > 0.9 for row in found.table.to_pylist())
    assert found.noise["changing_share"].to_pylist() == [0.25]


def test_at_a_stability_of_0_no_query_is_volatile() -> None:
    rows, excluded = rolled([asked("q", 9, *(said(f"{n}") for n in range(5)))], min_stability=0.0)
    assert (len(rows), excluded) == (1, {})


def test_answers_that_differ_by_user_are_volatile() -> None:
    days = [
        [
            *(
                asked(f"own {q}", 3, *(said(f"for {user}", 1, day=day, users=[user]) for user in "abc"))
                for q in range(5)
            ),
            *(asked(f"all {q}", 3, said("the same", 3, day=day, users="abc")) for q in range(15)),
        ]
        for day in range(10)
    ]
    rows = unfit(*days)
    assert {row["prompt"].split()[0] for row in rows} == {"own"}
    assert {row["detail"] for row in rows} == {
        "answers differ by user: 0% of pairs of one user differ, 100% of pairs of two users"
    }


def test_one_user_who_asks_often_does_not_outvote_two_others() -> None:
    day = [asked("q", 9, said("loud", 7, users=["u1"]) | {"anonymous": 0}, said("agreed", 2, users=["u2", "u3"]))]
    assert [row["response"] for row in rolled(day)[0]] == ["agreed"]
    unknown = [asked("q", 9, said("loud", 7), said("agreed", 2))]
    assert [row["response"] for row in rolled(unknown)[0]] == ["loud"]


def test_rows_without_an_id_are_one_user_where_the_log_has_ids() -> None:
    day = [asked("q", 9, said("bot", 7), said("agreed", 2, users=["u2", "u3"]))]
    assert [row["response"] for row in rolled(day)[0]] == ["agreed"]


def test_days_that_an_older_version_mined_are_read_and_each_row_is_a_vote() -> None:
    old = {"users": None, "anonymous": None}
    days = [[asked("q", 5, said("a", 3, day=day) | old, said("b", 2, day=day) | old)] for day in range(2)]
    assert [(row["response"], row["stability"]) for row in rolled(*days)[0]] == [("a", pytest.approx(1, abs=0.01))]
