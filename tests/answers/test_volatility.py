"""Volatile is what changes over time or by user, not what merely varies."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.volatility import drift_figures, drift_log, kinds_found, rolled, sure_judge, unsure_judge
from cachewarm_pipeline.answers.answer_pairs import MAX_OBSERVATIONS, query_pairs
from cachewarm_pipeline.answers.response_choice import LoggedAnswer, Sighting
from cachewarm_pipeline.answers.volatility import ChangeKind, asks_for_change, find_volatility

Judged = tuple[list[LoggedAnswer], NDArray[np.float64]]
USERS = st.lists(st.sampled_from(["00", "11", "22"]), max_size=2, unique=True)


@st.composite
def judged_answers(draw: st.DrawFn) -> Judged:
    """Answers seen on some days, with distinct probabilities of their pairs."""
    answers = []
    for number in range(draw(st.integers(1, 6))):
        days = draw(st.lists(st.integers(1, 30), min_size=1, max_size=4, unique=True))
        seen = tuple(Sighting(day, 2, tuple(draw(USERS)), draw(st.integers(0, 2))) for day in days)
        answers.append(LoggedAnswer(f"answer {number}", 2 * len(days), 0, max(days), None, (), 0, seen))
    n = len(answers)
    values = draw(st.lists(st.floats(0, 1), min_size=n * n, max_size=n * n, unique=True))
    upper = np.triu(np.array(values).reshape(n, n), 1)
    return answers, upper + upper.T + np.eye(n)


ANSWERS = judged_answers()


@pytest.mark.parametrize("period", [1, 7, 30])
def test_drift_is_found_and_rewording_is_not_by_a_judge_that_is_unsure(period: int) -> None:
    figures = drift_figures(*drift_log(5, period=period), unsure_judge(5))
    assert min(figures["volatile"]) >= 0.9
    assert min(figures["by_user"]) >= 0.9
    assert min(figures["over_time"]) >= 0.9


def test_drift_is_found_in_few_rows_by_a_judge_that_is_sure() -> None:
    figures = drift_figures(*drift_log(5, rows=(5, 11)), sure_judge)
    assert min(figures["volatile"]) >= 0.9


def test_a_log_that_merely_rewords_has_no_volatile_query() -> None:
    log, truth = drift_log(7, queries=200)
    stable = [row for row in log if truth[row.query] == ChangeKind.STABLE]
    found = rolled(stable, unsure_judge(7))
    assert kinds_found(found) == {}
    (noise,) = found.noise.to_pylist()
    assert noise["near_disagreement"] == pytest.approx(2 / 7, abs=0.03)
    assert noise["far_disagreement"] == pytest.approx(2 / 7, abs=0.03)
    assert min(found.table["stability"].to_pylist()) > 0.8


def test_a_user_effect_is_not_claimed_where_no_user_asked_twice() -> None:
    log, _ = drift_log(3, queries=80, users=100_000)
    assert ChangeKind.BY_USER not in kinds_found(rolled(log, sure_judge)).values()


def test_prompts_that_ask_for_what_changes_are_recognised() -> None:
    for prompt in ("What is the weather today?", "my open tickets", "Latest version of Redis", "sales on 2026-11-03"):
        assert asks_for_change(prompt)
    for prompt in ("How do I reset a password?", "Who wrote Emma?", "May I park here?", "What is nowcasting"):
        assert not asks_for_change(prompt)


def test_prompts_that_ask_for_what_changes_get_a_prior_of_their_own() -> None:
    def seen(changes: bool, number: int) -> Judged:
        days = [1, 1, 2, 12, 12, 13]
        answers = [LoggedAnswer(f"{n}", 1, 0, d, None, (), 1, (Sighting(d, 1, (), 1),)) for n, d in enumerate(days)]
        late = np.array(days) > 5
        same = (late[:, None] == late[None, :]) | (not changes)
        rng = np.random.default_rng(number)
        noise = np.where(same, rng.beta(5, 2, same.shape), rng.beta(2, 5, same.shape))
        return answers, np.triu(noise, 1) + np.triu(noise, 1).T + np.eye(len(days))

    queries = [seen(True, n) for n in range(40)] + [seen(False, n) for n in range(40, 120)]
    queries += [queries[0], queries[0]]
    prompts = ["latest one"] * 40 + ["a plain one"] * 80 + ["latest one", "a plain one"]
    found, noise = find_volatility("a", prompts, [query_pairs(*q) for q in queries], [False] * len(queries))
    assert found[-2].stability < found[-1].stability
    assert noise.changing_share == pytest.approx(1 / 3, abs=0.05)


@settings(max_examples=60, deadline=None)
@given(st.lists(ANSWERS, min_size=1, max_size=4))
def test_stability_is_a_probability_and_identical_answers_are_stable(queries: list[Judged]) -> None:
    same: Any = [(answers, np.ones_like(probability)) for answers, probability in queries]
    pairs = [query_pairs(*one) for one in [*queries, *same]]
    found, _ = find_volatility("a", ["q"] * len(pairs), pairs, [False] * len(pairs))
    assert all(0 <= one.stability <= 1 for one in found)
    for one in found[len(queries) :]:
        assert (one.kind, one.stability) == (ChangeKind.STABLE, 1.0)


@settings(max_examples=60, deadline=None)
@given(ANSWERS, st.randoms())
def test_the_pairs_of_a_query_do_not_depend_on_the_order_of_its_answers(judged: Judged, rng: Any) -> None:
    answers, probability = judged
    order = list(range(len(answers)))
    rng.shuffle(order)
    one, other = query_pairs(*judged), query_pairs([answers[k] for k in order], probability[np.ix_(order, order)])
    for name in ("total", "shapes", "users", "pairs"):
        assert getattr(one, name) == pytest.approx(getattr(other, name))


def test_pairs_are_bounded_however_often_a_query_was_answered() -> None:
    seen = tuple(Sighting(day, 9, ("00", "11", "22"), 3) for day in range(1, 60))
    pairs = query_pairs([LoggedAnswer("a", 99, 0, 1, seen=seen), LoggedAnswer("b", 99, 0, 1, seen=seen)], np.eye(2))
    assert pairs.total[0] == pytest.approx(MAX_OBSERVATIONS - 1)


@pytest.mark.parametrize("rows", [(5, 8), (12, 40)])
def test_answers_that_a_sure_judge_calls_different_at_every_call_are_not_warmed(rows: tuple[int, int]) -> None:
    log, truth = drift_log(9, queries=200, rows=rows)
    drawn = np.random.default_rng(9)
    loose = {query for number, query in enumerate(truth) if number % 20 == 2}
    log = [row for row in log if truth[row.query] == ChangeKind.STABLE]
    log = [
        replace(row, user=f"u{drawn.integers(999)}", answer=f"{drawn.integers(24)}#x") if row.query in loose else row
        for row in log
    ]
    said = kinds_found(rolled(log, sure_judge))
    assert len(said.keys() & loose) >= 0.8 * len(loose)
    assert said.keys() <= loose
