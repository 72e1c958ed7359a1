"""Votes: one for each user, whatever the number of their rows and answers."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.answers.response_choice import LoggedAnswer
from cachewarm_pipeline.answers.votes import smallest_users, votes
from cachewarm_pipeline.storage.schemas import MAX_USERS


def user(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:16]


def got(text: str, users: set[int], rows: int | None = None, anonymous: int = 0) -> LoggedAnswer:
    count = len(users) + anonymous if rows is None else rows
    return LoggedAnswer(text, count, 0, 0, None, smallest_users(map(user, users)), anonymous)


def test_without_ids_in_the_log_every_row_is_a_vote() -> None:
    assert votes([got("a", set(), 7, 7), got("b", set(), 2, 2)], users_known=False).tolist() == [7, 2]


def test_rows_without_an_id_are_one_user_where_the_log_has_ids() -> None:
    assert votes([got("a", {1}, anonymous=50)], users_known=True).tolist() == [2]
    assert votes([got("a", set(), anonymous=9), got("b", {1, 2}, anonymous=9)], True).tolist() == [0.5, 2.5]


def test_a_full_set_is_estimated_from_its_largest_hash_and_never_over_the_rows() -> None:
    (estimate,) = votes([got("a", set(range(1000)))], True)
    assert estimate == pytest.approx(1000, rel=0.6)
    assert votes([got("a", set(range(1000)), rows=20)], True).tolist() == [20]


@given(st.lists(st.sets(st.integers(0, 14), max_size=MAX_USERS - 1), min_size=1, max_size=8))
def test_all_votes_together_are_the_distinct_users(answers: list[set[int]]) -> None:
    found = votes([got(str(n), users) for n, users in enumerate(answers)], True)
    assert found.sum() == pytest.approx(len(set().union(*answers)))


@given(st.integers(1, 50), st.integers(1, 12))
def test_one_user_cannot_outvote_two_by_asking_often_or_getting_many_answers(rows: int, texts: int) -> None:
    loud = [got(f"loud {n}", {1}, rows=rows) for n in range(texts)]
    found = votes([*loud, got("quiet", {2, 3})], True)
    assert np.sum(found[:-1]) < found[-1]
