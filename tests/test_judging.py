"""Which responses are held equivalent, by the pure rules and by the embedding judge on real vectors."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.core.judging import facts_differ, group_by_vectors
from cachewarm_pipeline.resources.embedders.minilm import MiniLMEmbedder
from cachewarm_pipeline.resources.judges import EmbeddingJudge, ExactJudge
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
    ],
)
def test_another_number_negation_or_order_is_never_the_same_answer(left: str, right: str) -> None:
    assert facts_differ(left, right)
    assert group_by_vectors([left, right], SAME[:2]) == [0, 1]


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
