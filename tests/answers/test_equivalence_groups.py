"""Groups of equivalent responses, on given vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.answers.contradictions import facts_agree, facts_differ
from cachewarm_pipeline.answers.equivalence_groups import answer_groups, labels_of
from cachewarm_pipeline.answers.facts import facts
from cachewarm_pipeline.answers.judges.embedding_similarity import EQUIVALENT_COSINE
from cachewarm_pipeline.query_log.response_text import exact_groups
from tests.support.any_response import RESPONSES

SAME = np.array([[1.0, 0.0]] * 3, dtype=np.float32)


def grouped(responses: list[str], vectors: np.ndarray, floor: float = EQUIVALENT_COSINE) -> list[int]:
    """Group labels of the responses of one query."""
    return labels_of(answer_groups(responses, lambda positions: vectors[positions], floor))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Use TLS 1.2", "Use TLS 1.3"),
        ("Enable it", "Do not enable it"),
        ("Move from A to B", "Move from B to A"),
        ('{"days": 3}', '{"days": 30}'),
        ("Call `flush_all` after it", "Call `flush_one` after it"),
    ],
)
def test_another_number_negation_or_order_is_never_the_same_answer(left: str, right: str) -> None:
    assert facts_differ(facts(left), facts(right))
    assert grouped([left, right], SAME[:2]) == [0, 1]


LONG = "The handler reads the request, checks the signature, writes the row and then answers the caller in time. "


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ('{"risk": "high"}', '{"risk": "low"}'),
        ('{"verdict": "vulnerable", "why": "the query is built"}', '{"verdict": "safe", "why": "the query is built"}'),
        ('{"approved": true}', '{"approved": false}'),
        (
            '{"findings": [{"id": "a", "risk": "high"}, {"id": "b", "risk": "low"}]}',
            '{"findings": [{"id": "a", "risk": "low"}, {"id": "b", "risk": "high"}]}',
        ),
        (f"Yes, this is safe. {LONG * 3}", f"No, this is not safe. {LONG * 3}"),
        (f"{LONG * 3} So the code is safe.", f"{LONG * 3} So the code is not safe."),
        (f"{LONG * 3} Move from MySQL to Postgres now.", f"{LONG * 3} Move from Postgres to MySQL now."),
        (f"{LONG} Keep MySQL and drop Postgres.", f"{LONG} Keep Postgres and drop MySQL."),
        (f"{LONG * 3} Keep the key in `vault`.", f"{LONG * 3} Keep the key in `kms`."),
    ],
)
def test_opposite_answers_are_two_answers_even_if_long_and_near(left: str, right: str) -> None:
    assert grouped([left, right], SAME[:2]) == [0, 1]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (
            '{"risk": "low", "summary": "Rotate the key every 90 days.", "to": ["Call `a` first of all", "Log it"]}',
            '{"to": ["log it", "To begin with, call `a`"], "summary": "Every 90 days rotate that key.", "risk": "Low"}',
        ),
        (f"{LONG} Do not wait, and never retry.", f"Never retry; waiting is wrong. {LONG} There is no reason to."),
    ],
)
def test_rewordings_with_another_order_of_keys_and_negations_are_one_answer(left: str, right: str) -> None:
    assert grouped([left, right], SAME[:2]) == [0, 0]


def test_a_response_cut_before_embedding_is_equivalent_only_to_an_equal_one() -> None:
    long = "word " * 500
    assert grouped([f"{long}end", f"{long}other", f"{long.upper()}END."], SAME) == [0, 1, 0]


def test_equal_json_is_one_answer_even_with_vectors_far_apart() -> None:
    far = np.eye(2, dtype=np.float32)
    assert grouped(['{"a": 1, "b": 2}', '{"b":2,"a":1}'], far) == [0, 0]


def test_every_member_is_near_the_first_so_chains_do_not_drift() -> None:
    angles = np.array([0.0, 0.5, 1.0])
    chain = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    assert grouped(["aa", "bb", "cc"], chain, floor=0.85) == [0, 0, 1]


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6))
def test_labels_start_at_zero_and_rise_by_one(responses: list[str]) -> None:
    vectors = np.random.default_rng(0).normal(size=(len(responses), 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = grouped(responses, vectors)
    assert list(dict.fromkeys(labels)) == list(range(len(set(labels))))


@given(st.lists(RESPONSES, max_size=12), st.lists(st.integers(0, 2), min_size=12, max_size=12))
def test_only_responses_of_one_query_are_grouped_and_each_is_equivalent_to_its_head(
    responses: list[str], queries: list[int]
) -> None:
    own = queries[: len(responses)]
    one = np.ones((len(responses), 1), np.float32)
    groups = answer_groups(responses, lambda positions: one[positions], EQUIVALENT_COSINE, queries=own).tolist()
    for query in set(own):
        rows = [i for i in range(len(own)) if own[i] == query]
        alone = grouped([responses[i] for i in rows], one[rows])
        assert labels_of(np.array([groups[i] for i in rows])) == alone
    exact = exact_groups([responses])[0]
    for item, head in enumerate(groups):
        assert head <= item
        assert own[head] == own[item]
        assert exact[head] == exact[item] or facts_agree(responses[item], responses[head])
