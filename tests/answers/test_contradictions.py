"""Which responses are held equivalent, by the pure rules and by the embedding judge on real vectors."""

import re
from pathlib import Path

import numpy as np
import pytest
from cachewarm_client.embedders.minilm import MiniLMEmbedder
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.answers.contradictions import (
    _code_names,
    answer_groups,
    facts,
    facts_agree,
    facts_differ,
    group_by_vectors,
    labels_of,
)
from cachewarm_pipeline.answers.judges.embedding_similarity import EmbeddingJudge
from cachewarm_pipeline.answers.judges.exact_match import ExactJudge
from cachewarm_pipeline.query_log.responses import exact_groups
from cachewarm_pipeline.storage.vectors import ParquetVectorStore

SAME = np.array([[1.0, 0.0]] * 3, dtype=np.float32)


@pytest.fixture
def judge(tmp_path: Path) -> EmbeddingJudge:
    embedder = MiniLMEmbedder()
    return EmbeddingJudge(embedder, ParquetVectorStore(str(tmp_path), embedder.info.id), lambda _: None)


PIPELINE = "the release pipeline keeps working as the team knows it from the last quarter"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (
            f"Deleting the branch after the merge is allowed, {PIPELINE}, so ask nobody about it beforehand.",
            f"You are not allowed to delete the branch after the merge. In other words, {PIPELINE} and before that.",
        ),
        (
            f"Audit logs stay for thirty days, {PIPELINE}, and then a nightly job removes them all at once.",
            f"Audit logs stay for ninety days, {PIPELINE}, and then a nightly job removes them all at once.",
        ),
        (
            f"Strict mode is enabled for every service, {PIPELINE}, and the proxy in front reads it at start.",
            f"Strict mode is disabled for every service, {PIPELINE}, and the proxy in front reads it at start.",
        ),
    ],
)
def test_long_answers_that_differ_in_a_negation_a_number_word_or_a_state_never_merge(left: str, right: str) -> None:
    assert min(len(left.split()), len(right.split())) > 25
    assert facts_differ(facts(left), facts(right))
    assert facts_differ(facts(right), facts(left))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (
            "Plan 34 days, that is priority 4 of five for us",
            "It has priority 4 of 5 and takes 34 days, which is our plan",
        ),
        (
            "Before the release, do the test with 15 people who did not build the page themselves, and write it down.",
            "Let 15 outsiders do the test before the release, and keep a record of all of their findings somewhere.",
        ),
    ],
)
def test_number_words_and_negations_without_a_counterpart_are_rewording(left: str, right: str) -> None:
    assert facts(left).key == facts(right).key
    assert not facts_differ(facts(left), facts(right))


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
    judge = ExactJudge()
    responses = ["Do it.", "do it", "Just do it"]
    assert judge([responses]) == [[0, 0, 1]]
    assert judge.groups(["Just do it", *responses]).tolist() == [0, 1, 1, 0]
    assert judge.same([("Do it.", "do it"), ("do it", "Just do it")]).tolist() == [True, False]
    assert judge.groups([]).tolist() == judge.same([]).tolist() == []


REWORDED = [
    "Rotate the signing key every quarter and keep the old public key for a week.",
    "Every quarter rotate the signing key, and keep the old public key for one week.",
    "Add an index on the foreign key and run the query again with EXPLAIN.",
    "rotate the signing key every quarter and keep the old public key for a week",
    "Every quarter rotate the signing key, but never keep the old public key for one week.",
]


def test_groups_of_an_agent_type_point_to_their_first_response(judge: EmbeddingJudge) -> None:
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


def test_what_facts_tell_apart_is_not_even_embedded(judge: EmbeddingJudge) -> None:
    assert judge.groups(["Keep it for 30 days", "Keep it for 90 days", '{"risk": "low"}', " "]).tolist() == [0, 1, 2, 3]
    assert judge([["Keep it for 30 days", "Keep it for 90 days"]]) == [[0, 1]]
    assert judge.same([("Keep it for 30 days", "Keep it for 90 days"), ("", "a")]).tolist() == [False, False]
    assert judge._embedder.usage.texts == 0


WORDS = [
    "use",
    "the",
    "key",
    "not",
    "TLS",
    "1.2",
    "1.3",
    "`a`",
    "`b`",
    "MySQL",
    "from",
    "to",
    "flush_all",
    "yes",
    "no.",
]
RESPONSES = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join),
    st.sampled_from(['{"risk": "low"}', '{"risk": "high"}', '{"risk":"low" }', '{"n": [1, 2]}', '{"n": [2, 1]}']),
)


@given(RESPONSES, RESPONSES)
def test_facts_agree_either_way_round_and_only_under_one_key(left: str, right: str) -> None:
    assert facts_agree(left, right) == facts_agree(right, left)
    assert facts_agree(left, left)
    if facts_agree(left, right):
        assert facts(left).key == facts(right).key


@given(st.lists(RESPONSES, max_size=12), st.lists(st.integers(0, 2), min_size=12, max_size=12))
def test_only_responses_of_one_query_are_grouped_and_heads_are_their_like(
    responses: list[str], queries: list[int]
) -> None:
    own = queries[: len(responses)]
    one = np.ones((len(responses), 1), np.float32)
    groups = answer_groups(responses, lambda positions: one[positions], queries=own).tolist()
    for query in set(own):
        rows = [i for i in range(len(own)) if own[i] == query]
        alone = group_by_vectors([responses[i] for i in rows], one[rows])
        assert labels_of(np.array([groups[i] for i in rows])) == alone
    exact = exact_groups([responses])[0]
    for item, head in enumerate(groups):
        assert head <= item
        assert own[head] == own[item]
        assert exact[head] == exact[item] or facts_agree(responses[item], responses[head])


@given(st.text(alphabet="aB_./- é1", max_size=14))
def test_code_names_are_found_as_by_the_one_expression_that_is_slow(text: str) -> None:
    assert _code_names(text) == re.findall(r"[\w./-]*\w_\w[\w./-]*|\b[a-z]+[A-Z]\w*", text)
