"""The embedding judge on real vectors, and the exact judge."""

from pathlib import Path

import numpy as np
import pytest
from cachewarm_client.embedders.minilm import MiniLMEmbedder

from cachewarm_pipeline.answers.judges.embedding_similarity import EmbeddingJudge
from cachewarm_pipeline.answers.judges.exact_match import ExactJudge
from cachewarm_pipeline.storage.vectors import ParquetVectorStore


@pytest.fixture
def judge(tmp_path: Path) -> EmbeddingJudge:
    embedder = MiniLMEmbedder()
    return EmbeddingJudge(embedder, ParquetVectorStore(str(tmp_path), embedder.info.id), lambda _: None)


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


REWORDED = [
    "Rotate the signing key every quarter and keep the old public key for a week.",
    "Every quarter rotate the signing key, and keep the old public key for one week.",
    "Add an index on the foreign key and run the query again with EXPLAIN.",
    "rotate the signing key every quarter and keep the old public key for a week",
    "Every quarter rotate the signing key, but never keep the old public key for one week.",
]


def test_groups_of_an_agent_type_are_named_by_their_first_response(judge: EmbeddingJudge) -> None:
    assert judge.groups(REWORDED).tolist() == [0, 0, 2, 0, 4]
    assert judge.groups(REWORDED[::-1]).tolist() == [0, 1, 2, 1, 1]
    assert judge.groups([]).tolist() == []


def test_same_is_reflexive_and_symmetric_and_agrees_with_the_groups(judge: EmbeddingJudge) -> None:
    pairs = [(left, right) for left in REWORDED for right in REWORDED]
    same = judge.same(pairs).reshape(5, 5)
    np.testing.assert_array_equal(same, same.T)
    assert same.diagonal().all()
    np.testing.assert_array_equal(same[0], [True, True, False, True, False])
    assert judge.same([]).tolist() == []


def test_a_pair_that_contradicts_is_not_embedded(judge: EmbeddingJudge) -> None:
    assert judge.same([("Keep it for 30 days", "Keep it for 90 days"), ("", "a")]).tolist() == [False, False]
    assert judge._embedder.usage.texts == 0
    assert judge.groups(["Keep it for 30 days", "Keep it for 90 days", '{"risk": "low"}', " "]).tolist() == [0, 1, 2, 3]
    assert judge([["Keep it for 30 days", "Keep it for 90 days"]]) == [[0, 1]]


def test_the_exact_judge_splits_rewordings() -> None:
    judge = ExactJudge()
    responses = ["Do it.", "do it", "Just do it"]
    assert judge([responses]) == [[0, 0, 1]]
    assert judge.groups(["Just do it", *responses]).tolist() == [0, 1, 1, 0]
    assert judge.same([("Do it.", "do it"), ("do it", "Just do it")]).tolist() == [True, False]
    assert judge.groups([]).tolist() == judge.same([]).tolist() == []
