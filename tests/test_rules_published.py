"""The published rule: it decides after the round trip as it was fitted, and what it cannot apply it refuses."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from cachewarm_pipeline.core.errors import CacheError
from cachewarm_pipeline.core.match import MatchRule, MatchRules
from cachewarm_pipeline.core.rules import certify, fit, rule
from cachewarm_pipeline.core.rules.tables import rules_of, rules_table
from tests.rules_log import labelled_log


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
    rows, right, _ = fit.training_rows(data, entries, fitting, fitting, fold)
    model, _, _ = fit.fit_model(rows, right, fold)
    scorer = fit.learn_scorer(data, entries, fitting)
    certificate = certify.Certificate(0.05, 0.05, 0.4, 100, 0, 0.03, 200, 3)
    own = MatchRule("a", "learned", None, True, model, certificate, None, "as a test needs it")
    return Fitted(data, entries, new, scorer, MatchRules(MatchRule("", "exact_only"), {"a": own}, scorer.space))


def _decide(f: Fitted, rules: MatchRules, query: int, explain: bool = False) -> rule.Decision:
    similarity = f.data.vectors[f.entries] @ f.data.vectors[query]
    near = np.argsort(-similarity)[:10]
    model = rules.rules["a"].model
    assert model is not None
    return rule.decide(
        model,
        rules.space,
        " ".join(f.data.tokens[query].order),
        f.data.vectors[query],
        similarity[near].tolist(),
        [str(g) for g in f.data.groups[f.entries[near]]],
        [" ".join(f.data.tokens[int(e)].order) for e in f.entries[near]],
        [rule.pack(f.scorer.own[i], f.scorer.centre[i]) for i in near],
        explain,
    )


def test_serving_computes_the_score_that_was_fitted_on() -> None:
    f = _fitted()
    rows, picked, _ = fit.describe(f.data, f.entries, f.scorer, f.new)
    model = f.rules.rules["a"].model
    assert model is not None
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
        {"model": own["model"] | {"features": 0}},
        {"model": own["model"] | {"weights": {"similarity": 1.0}}},
        {"rule": "magic"},
    ):
        with pytest.raises(CacheError):
            MatchRules.from_dict(body | {"rules": [own | change]})
    for space in ({"shape": [1, 1], "f2": "!"}, {"shape": [2], "f2": "AAAAAA=="}, {"shape": [3, 3], "f2": "AAAAAA=="}):
        with pytest.raises(CacheError, match="damaged"):
            MatchRules.from_dict(body | {"space": space})


def test_entries_of_another_space_are_refused() -> None:
    f = _fitted()
    model = f.rules.rules["a"].model
    assert model is not None
    for stored in (["AAAA"], [""], ["no base64!"]):
        with pytest.raises(CacheError, match="directions"):
            rule.decide(model, f.rules.space, "a", np.ones(32, np.float32), [0.9], ["g"], ["b"], stored)
