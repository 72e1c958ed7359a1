"""Word weights: what the log shows about a differing word, from enough queries, and never personal data."""

import re

import numpy as np
import pytest
from cachewarm_client.words import tokens, word_key

from cachewarm_pipeline.match_rules import word_weights
from cachewarm_pipeline.match_rules.learn_rules import learn_rules
from cachewarm_pipeline.match_rules.training import AgentLog
from cachewarm_pipeline.match_rules.word_weights import LEAST_QUERIES, MOST_WORDS, WordPairs
from tests.match_rules.test_learn_rules import agent_log


def pairs_of(*rows: tuple[str, str, bool], fold: int = 0, times: int = 5) -> WordPairs:
    """Each row (query, entry, same answer) as asked by ``times`` distinct queries."""
    pairs = WordPairs()
    for query, entry, same in rows:
        for _ in range(times):
            pairs.add(tokens(query), tokens(entry), same, pairs.queries, (fold, fold))
            pairs.queries += 1
    return pairs


def test_a_word_that_makes_another_question_weighs_against_and_a_polite_one_in_favour() -> None:
    weights = pairs_of(
        ("please rotate a key", "rotate a key", True), ("revoke a key", "rotate a key", False), times=10
    ).weights()
    assert weights[word_key("please")] > 1
    assert weights[word_key("revoke")] < -1
    assert word_key("key") not in weights
    assert list(weights) == sorted(weights)


def test_no_word_of_the_log_is_published_as_it_is_written() -> None:
    weights = pairs_of(("ask Mrs Featherstonehaugh", "ask", False), ("ask please", "ask", True)).weights()
    assert weights
    assert all(re.fullmatch("[0-9a-f]{12}", key) for key in weights)


def test_query_and_entry_can_be_swapped() -> None:
    rows = [("please rotate a key", "rotate a key", True), ("revoke a key", "rotate a key", False)]
    assert pairs_of(*rows).weights() == pairs_of(*((entry, query, same) for query, entry, same in rows)).weights()


def test_a_word_of_fewer_than_three_distinct_queries_has_no_weight_however_many_pairs_it_is_in() -> None:
    pairs = pairs_of(("a", "b", True), times=20)
    for query in range(LEAST_QUERIES - 1):
        for _ in range(50):
            pairs.add(tokens("x rare"), tokens("x"), False, pairs.queries + query, (0, 0))
    assert word_key("rare") not in pairs.weights()
    pairs.add(tokens("x rare"), tokens("x"), False, pairs.queries + LEAST_QUERIES, (0, 0))
    assert pairs.weights()[word_key("rare")] < -1


def test_a_word_that_changes_nothing_has_no_weight() -> None:
    weights = pairs_of(("some a", "a", True), ("some b", "b", False), ("more a", "a", True), times=200).weights()
    assert set(weights) == {word_key("some"), word_key("more")}
    assert abs(weights[word_key("some")]) > word_weights.LEAST_WEIGHT
    even = pairs_of(("some a", "a", True), ("some b", "b", False), ("c d", "c", True), ("e d", "e", False)).weights()
    assert even == {}


@pytest.mark.parametrize("secret", ["4111111111111111", "ghp_9fK2mQ7xLwV4tR8sY1nB6cD3eH5jZ0aPqUvW"])
def test_a_word_that_is_personal_data_by_itself_is_never_published(secret: str) -> None:
    assert tokens(f"use {secret}").all == {"use", secret.casefold()}
    weights = pairs_of((f"use {secret}", "use", False), ("use please", "use", True)).weights()
    assert list(weights) == [word_key("please")]


def test_only_the_words_with_the_largest_effect_are_published_up_to_the_maximum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(word_weights, "MOST_WORDS", 2)
    rows = [("polite a", "a", True), ("other b", "b", False)]
    weights = pairs_of(*rows * 5, ("seldom c", "c", False)).weights()
    assert set(weights) == {word_key("other"), word_key("polite")}
    assert MOST_WORDS == 5_000


def test_weights_without_a_fold_do_not_depend_on_its_pairs() -> None:
    pairs = pairs_of(("please a", "a", True), ("other b", "b", False), fold=0)
    alone = pairs.weights()
    for row, folds in ((("please c", "c", False), (1, 1)), (("please d", "d", False), (0, 1))):
        for _ in range(9):
            pairs.add(tokens(row[0]), tokens(row[1]), row[2], pairs.queries, folds)
            pairs.queries += 1
    assert pairs.weights(without=1) == alone
    assert pairs.weights() != alone


def test_without_pairs_there_are_no_weights() -> None:
    assert WordPairs().weights() == {}
    assert pairs_of(("same", "same", True)).weights() == {}
    assert pairs_of(("a b", "a", True)).weights(without=0) == {}


def test_all_agent_types_share_the_published_weights_and_each_entry_has_its_own_reliability() -> None:
    first, second = agent_log(1, "a"), agent_log(3, "b")
    learned = learn_rules([first, second], alpha=0.05, delta=0.05)
    assert learned.rules.words
    for log in (first, second):
        scorer = learned.scorers[log.agent_type]
        assert scorer.words == learned.rules.words
        assert scorer.reliability.shape == (log.entries,)
        assert len(np.unique(scorer.reliability)) > 3
    alone = learn_rules([first], alpha=0.05, delta=0.05)
    assert alone.rules.words != learned.rules.words


def test_where_no_rule_is_learned_no_words_are_published() -> None:
    log = agent_log(2)
    few = AgentLog("a", log.data, log.entries, log.train, log.held_out[:3])
    assert learn_rules([few], alpha=0.05, delta=0.05).rules.words == {}
