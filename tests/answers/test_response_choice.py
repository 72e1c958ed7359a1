"""The answer that is warmed: the medoid of all votes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.answers.response_choice import (
    LoggedAnswer,
    average_linkage,
    choose_by_probability,
    choose_response,
)
from tests.answers.test_volatility import ANSWERS, Judged


def chosen(answers: list[LoggedAnswer], rows: list[list[float]]) -> str | None:
    counts = np.array([answer.count for answer in answers], float)
    choice = choose_by_probability(answers, np.array(rows), counts)
    return choice.answer.text if choice else None


def test_the_answer_that_agrees_best_with_all_others_is_warmed_even_if_every_text_is_unique() -> None:
    answers = [LoggedAnswer(text, 1, 0, at) for at, text in enumerate(["odd", "long", "central", "short"])]
    agree = [[1, 0.1, 0.2, 0.1], [0.1, 1, 0.9, 0.6], [0.2, 0.9, 1, 0.9], [0.1, 0.6, 0.9, 1]]
    assert chosen(answers, agree) == "central"


def test_a_disliked_answer_gives_way_to_another_of_its_group_and_a_rejected_group_to_the_next() -> None:
    agree = [[1, 0.8, 0.1], [0.8, 1, 0.1], [0.1, 0.1, 1]]
    answers = [LoggedAnswer("best", 5, 1, 0), LoggedAnswer("next", 3, 0, 0), LoggedAnswer("other", 4, 0, 0)]
    assert chosen(answers, agree) == "next"
    rejected = [LoggedAnswer("best", 5, 5, 0), LoggedAnswer("next", 3, 0, 0), LoggedAnswer("other", 4, 0, 0)]
    assert chosen(rejected, agree) == "other"
    assert chosen([LoggedAnswer("bad", 1, 1, 0)], [[1]]) is None
    assert choose_by_probability([], np.empty((0, 0)), np.empty(0)) is None


def test_groups_merge_by_the_mean_probability_and_not_by_one_near_pair() -> None:
    chain = np.array([[1, 0.9, 0.1], [0.9, 1, 0.6], [0.1, 0.6, 1]])
    assert average_linkage(chain) == [[0, 1], [2]]
    assert average_linkage(np.ones((3, 3))) == [[0, 1, 2]]


@given(ANSWERS, st.randoms())
def test_the_order_of_the_answers_does_not_matter(judged: Judged, rng: object) -> None:
    answers, probability = judged
    votes = np.array([answer.count for answer in answers], float)
    order = list(range(len(answers)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    one = choose_by_probability(answers, probability, votes)
    other = choose_by_probability([answers[k] for k in order], probability[np.ix_(order, order)], votes[order])
    assert (one and one.answer) == (other and other.answer)


def test_of_two_answers_that_serve_as_well_the_more_complete_one_is_warmed() -> None:
    short = LoggedAnswer("Paris.", 2, 0, 9)
    long = LoggedAnswer("It is Paris, the capital of France.", 2, 0, 5)
    wrong = LoggedAnswer("It is the city of Lyon, the third largest city of the whole country.", 2, 0, 7)
    probability = np.array([[1, 0.9, 0.2], [0.9, 1, 0.2], [0.2, 0.2, 1]])
    choice = choose_by_probability([short, long, wrong], probability, np.full(3, 2.0))
    assert choice is not None
    assert choice.answer is long
    newest = choose_by_probability([short, long, wrong], probability, np.full(3, 2.0), completeness=0)
    assert newest is not None
    assert newest.answer is short


def test_length_never_beats_a_majority() -> None:
    answers = [LoggedAnswer("No.", 11, 0, 1), LoggedAnswer("I could not find a clear answer to that. " * 9, 9, 0, 2)]
    choice = choose_by_probability(answers, np.eye(2), np.array([11.0, 9.0]))
    assert choice is not None
    assert choice.answer is answers[0]


def test_without_answers_nothing_is_chosen() -> None:
    assert choose_response([], []) is None


def test_a_group_in_which_every_wording_has_a_complaint_gives_its_newest() -> None:
    choice = choose_response([LoggedAnswer("old", 5, 1, 1), LoggedAnswer("new", 5, 1, 2)], [0, 0])
    assert choice is not None
    assert (choice.answer.text, choice.support) == ("new", 10)


def test_a_rare_wording_is_never_published_for_a_well_supported_one() -> None:
    for complaints in (0, 1):
        choice = choose_response([LoggedAnswer("vulnerable", 99, complaints, 1), LoggedAnswer("safe", 1, 0, 2)], [0, 0])
        assert choice is not None
        assert (choice.answer.text, choice.support) == ("vulnerable", 100)
