"""Which responses are held equivalent, by the pure rules and by the embedding judge on real vectors."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.core.judging import facts, facts_differ, group_by_vectors
from cachewarm_pipeline.resources.embedders.minilm import MiniLMEmbedder
from cachewarm_pipeline.resources.judges.embedding import EmbeddingJudge
from cachewarm_pipeline.resources.judges.exact import ExactJudge
from cachewarm_pipeline.resources.vectors import ParquetVectorStore

SAME = np.array([[1.0, 0.0]] * 3, dtype=np.float32)


@pytest.fixture
def judge(tmp_path: Path) -> EmbeddingJudge:
    embedder = MiniLMEmbedder()
    return EmbeddingJudge(embedder, ParquetVectorStore(str(tmp_path), embedder.info.id), lambda _: None)


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
    assert group_by_vectors([left, right], SAME[:2]) == [0, 1]


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
def test_opposite_answers_are_two_answers_however_long_and_near_they_are(left: str, right: str) -> None:
    assert group_by_vectors([left, right], SAME[:2]) == [0, 1]


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
def test_rewordings_with_other_order_keys_and_negations_stay_one_answer(left: str, right: str) -> None:
    assert group_by_vectors([left, right], SAME[:2]) == [0, 0]


def test_a_response_that_was_cut_before_embedding_is_only_equal_to_what_says_the_same() -> None:
    long = "word " * 500
    assert group_by_vectors([f"{long}end", f"{long}other", f"{long.upper()}END."], SAME) == [0, 1, 0]


def test_equal_json_is_one_answer_even_with_vectors_far_apart() -> None:
    far = np.eye(2, dtype=np.float32)
    assert group_by_vectors(['{"a": 1, "b": 2}', '{"b":2,"a":1}'], far) == [0, 0]


def test_a_group_is_what_is_near_its_first_member_so_chains_do_not_drift() -> None:
    angles = np.array([0.0, 0.5, 1.0])
    chain = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    assert group_by_vectors(["aa", "bb", "cc"], chain, floor=0.85) == [0, 0, 1]


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6))
def test_labels_begin_at_zero_and_rise_by_one(responses: list[str]) -> None:
    vectors = np.random.default_rng(0).normal(size=(len(responses), 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = group_by_vectors(responses, vectors)
    assert list(dict.fromkeys(labels)) == list(range(len(set(labels))))


def test_rewordings_are_one_answer_and_other_answers_are_not(judge: EmbeddingJudge) -> None:
    reworded = [
        "Rotate the signing key every 90 days and keep the old public key for a week.",
        "Every 90 days rotate the signing key, and keep the old public key for one week.",
    ]
    other = "Add an index on the foreign key and run the query again with EXPLAIN."
    assert judge([[*reworded, other]]) == [[0, 0, 1]]


def test_queries_with_one_answer_cost_no_embedding(judge: EmbeddingJudge) -> None:
    assert judge([["only"], [], ['{"a":1}', '{"a": 1}']]) == [[0], [], [0, 0]]
    assert judge._embedder.usage.texts == 0


def test_a_judged_response_is_never_embedded_again(judge: EmbeddingJudge) -> None:
    judge([["one answer", "another thing"]])
    before = judge._embedder.usage.texts
    judge([["another thing", "one answer"]])
    assert before == 2
    assert judge._embedder.usage.texts == before


def test_the_exact_judge_splits_rewordings() -> None:
    assert ExactJudge()([["Do it.", "do it", "Just do it"]]) == [[0, 0, 1]]
