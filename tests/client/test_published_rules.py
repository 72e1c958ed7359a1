"""Published rules: after the round trip a rule decides as it was fitted, and an unusable one is refused."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from cachewarm_client import match_decision as rule
from cachewarm_client.learned_space import Space
from cachewarm_client.match_features import FEATURES, LOG_FEATURES, VERSION
from cachewarm_client.match_rules import MatchRule, MatchRules
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.match_rules import certification as certify
from cachewarm_pipeline.match_rules import match_model_fit as fit
from cachewarm_pipeline.match_rules.rule_tables import rules_of, rules_table
from cachewarm_pipeline.match_rules.word_weights import WordPairs
from tests.support.labelled_log import labelled_log


@dataclass
class Fitted:
    data: fit.Labelled
    entries: np.ndarray
    new: np.ndarray
    scorer: fit.Scorer
    rules: MatchRules


def _fitted(seed: int = 0) -> Fitted:
    data = labelled_log(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data.groups))
    entries, fitting, new = order[:60], order[:320], order[320:]
    fold = rng.permutation(len(fitting)) % fit.FOLDS
    pairs = WordPairs()
    fit.count_words(pairs, data, entries, fitting, fold)
    words = [pairs.weights(without=f) for f in range(fit.FOLDS)]
    rows, right, picked = fit.training_rows(data, entries, fitting, fitting, fold, words=words)
    model, _, _ = fit.fit_model(rows, right, fold)
    reliability = fit.reliability(picked, right, len(data.groups))[entries]
    scorer = replace(fit.learn_scorer(data, entries, fitting), reliability=reliability, words=pairs.weights())
    certificate = certify.Certificate(0.05, 0.05, 0.4, 100, 0, 0.03, 200, 3)
    own = MatchRule("a", "learned", None, True, model, certificate, None, "as a test needs it")
    rules = MatchRules(MatchRule("", "exact_only"), {"a": own}, scorer.space, scorer.words)
    return Fitted(data, entries, new, scorer, rules)


def _decide(f: Fitted, rules: MatchRules, query: int, explain: bool = False) -> rule.Decision:
    similarity = f.data.vectors[f.entries] @ f.data.vectors[query]
    near = np.argsort(-similarity)[:10]
    model = rules.rules["a"].model
    assert model is not None
    return rule.decide(
        model,
        rules.space,
        rules.words,
        " ".join(f.data.tokens[query].order),
        f.data.vectors[query],
        similarity[near].tolist(),
        [str(g) for g in f.data.groups[f.entries[near]]],
        [" ".join(f.data.tokens[int(e)].order) for e in f.entries[near]],
        [rule.pack(f.scorer.own[i], f.scorer.centre[i], f.scorer.reliability[i]) for i in near],
        explain,
    )


def test_serving_computes_the_score_that_was_fitted_on() -> None:
    f = _fitted()
    rows, picked, _ = fit.describe(f.data, f.entries, f.scorer, f.new)
    model = f.rules.rules["a"].model
    assert model is not None
    for name in LOG_FEATURES:
        assert len(set(rows[:, FEATURES.index(name)])) > 3, name
        assert model.as_dict()["weights"][name] != 0
    for score, pick, query in zip(model.score(rows), picked, f.new, strict=True):
        decision = _decide(f, f.rules, int(query))
        assert decision.score == pytest.approx(score, abs=1e-3)
        nearest = np.argsort(-(f.data.vectors[f.entries] @ f.data.vectors[query]))[:10]
        assert f.entries[nearest[decision.place]] == pick


@pytest.mark.parametrize("way", ["redis", "dataset"])
def test_rules_read_back_decide_identically(way: str) -> None:
    f = _fitted()
    again = MatchRules.from_json(f.rules.to_json()) if way == "redis" else rules_of(rules_table(f.rules))
    assert again.to_json() == f.rules.to_json()
    decisions = [_decide(f, f.rules, int(q)) for q in f.new]
    assert decisions == [_decide(f, again, int(q)) for q in f.new]
    assert {d.score >= again.rules["a"].score_threshold for d in decisions} == {True, False}


def test_an_explanation_adds_up_to_the_score() -> None:
    f = _fitted()
    model = f.rules.rules["a"].model
    assert model is not None
    decision = _decide(f, f.rules, int(f.new[0]), explain=True)
    assert sum(effect for _, _, effect in decision.parts) + model.intercept == pytest.approx(decision.score)


def test_a_learned_rule_that_is_damaged_or_of_other_features_is_refused() -> None:
    body = json.loads(_fitted().rules.to_json())
    own = body["rules"][0]
    for change in (
        {"certificate": None},
        {"certified": False},
        {"model": None},
        {"model": own["model"] | {"intercept": float("nan")}},
        {"model": own["model"] | {"features": VERSION + 1}},
        {"model": own["model"] | {"weights": {"similarity": 1.0}}},
        {"rule": "magic"},
    ):
        with pytest.raises(CacheError):
            MatchRules.from_dict(body | {"rules": [own | change]})
    for space in ({"shape": [1, 1], "f2": "!"}, {"shape": [2], "f2": "AAAAAA=="}, {"shape": [3, 3], "f2": "AAAAAA=="}):
        with pytest.raises(CacheError, match="damaged"):
            MatchRules.from_dict(body | {"space": space})
    for words in (None, [], ["key"], {"key": None}, {"key": "heavy"}, {"key": float("inf")}):
        with pytest.raises(CacheError, match="damaged"):
            MatchRules.from_dict(body | {"words": words})
    with pytest.raises(CacheError, match="damaged"):
        MatchRules.from_dict({name: value for name, value in body.items() if name != "words"})


def test_a_rule_of_older_features_is_exact_only_so_that_a_new_generation_can_replace_it() -> None:
    body = json.loads(_fitted().rules.to_json())
    old = body["rules"][0]
    old["model"] |= {"features": VERSION - 1, "weights": {"similarity": 1.0}}
    rule = MatchRules.from_dict({name: value for name, value in body.items() if name != "words"}).rules["a"]
    assert (rule.rule, rule.certified, rule.model) == ("exact_only", False, None)
    assert "until warmed again" in rule.why


def test_entries_of_another_space_are_refused() -> None:
    f = _fitted()
    model = f.rules.rules["a"].model
    assert model is not None
    for stored in (["AAAA"], [""], ["no base64!"]):
        with pytest.raises(CacheError, match="directions"):
            rule.decide(model, f.rules.space, {}, "a", np.ones(32, np.float32), [0.9], ["g"], ["b"], stored)


half = st.floats(-1, 1, width=16)


@given(st.integers(0, 130).flatmap(lambda rank: st.tuples(*[st.lists(half, min_size=rank, max_size=rank)] * 2)), half)
def test_packed_entries_are_read_back_bit_for_bit(places: tuple[list[float], list[float]], reliability: float) -> None:
    rank = len(places[0])
    text = rule.pack(np.array(places[0]), np.array(places[1]), reliability)
    space = space_of(rank) if rank else None
    assert len(text) == rule.packed_length(space)
    read, rely = rule.unpack([text, text], rank)
    np.testing.assert_array_equal(read, np.array([places, places], np.float32).reshape(2, 2, rank))
    assert rely.tolist() == [reliability, reliability]
    with pytest.raises(CacheError, match="directions"):
        rule.unpack([text], rank + 1)


def space_of(rank: int) -> Space:
    return Space(np.zeros((4, rank), np.float16))
