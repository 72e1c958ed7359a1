"""The published rule: it decides after the round trip as it was fitted, and what it cannot apply it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cachewarm_pipeline.core.errors import CacheError
from cachewarm_pipeline.core.rules import certify, fit, rule
from tests.rules_log import labelled_log


def _fitted(seed: int = 0) -> tuple[fit.Labelled, np.ndarray, np.ndarray, fit.Scorer, rule.LearnedRule]:
    data = labelled_log(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data.groups))
    entries, fitting, new = order[:60], order[:320], order[320:]
    rows, right, fold = fit.training_rows(data, entries, fitting, fitting, rng)
    model, _, _ = fit.fit_model(rows, right, fold)
    scorer = fit.learn_scorer(data, entries, fitting)
    certificate = certify.Certificate(0.05, 0.05, 0.4, 100, 0, 0.03, 200, 3)
    return data, entries, new, scorer, rule.LearnedRule("learned", model, scorer.space, certificate, None)


def _decide(
    r: rule.LearnedRule, data: fit.Labelled, entries: np.ndarray, scorer: fit.Scorer, query: int, **kw: bool
) -> rule.Decision:
    similarity = data.vectors[entries] @ data.vectors[query]
    near = np.argsort(-similarity)[:10]
    decision = rule.decide(
        r,
        " ".join(data.tokens[query].order),
        data.vectors[query],
        similarity[near].tolist(),
        [str(g) for g in data.groups[entries[near]]],
        [" ".join(data.tokens[int(e)].order) for e in entries[near]],
        [rule.pack(scorer.own[i], scorer.centre[i]) for i in near],
        **kw,
    )
    assert decision is not None
    return decision


def test_serving_computes_the_score_that_was_fitted_on() -> None:
    data, entries, new, scorer, r = _fitted()
    rows, _ = fit.describe(data, entries, scorer, new)
    assert r.model is not None
    batch = r.model.score(rows)
    for i, q in enumerate(new):
        assert _decide(r, data, entries, scorer, int(q)).score == pytest.approx(batch[i], abs=1e-3)


def test_a_rule_read_back_from_json_decides_identically() -> None:
    data, entries, new, scorer, r = _fitted()
    again = rule.LearnedRule.from_json(r.to_json())
    assert again.to_json() == r.to_json()
    decisions = [_decide(r, data, entries, scorer, int(q)) for q in new]
    assert decisions == [_decide(again, data, entries, scorer, int(q)) for q in new]
    assert {d.place is None for d in decisions} == {True, False}


def test_an_explanation_adds_up_to_the_score() -> None:
    data, entries, new, scorer, r = _fitted()
    assert r.model is not None
    decision = _decide(r, data, entries, scorer, int(new[0]), explain=True)
    assert sum(effect for _, _, effect in decision.parts) + r.model.intercept == pytest.approx(decision.score)


def test_a_rule_of_an_unknown_version_or_damaged_is_refused() -> None:
    r = _fitted()[-1]
    body = json.loads(r.to_json())
    for change in (
        {"format": 99},
        {"kind": "magic"},
        {"certificate": None},
        {"space": {"shape": [1, 1], "f2": "!"}},
        {"space": {"shape": [2], "f2": "AAAAAA=="}},
        {"model": None},
    ):
        with pytest.raises(CacheError):
            rule.LearnedRule.from_json(json.dumps(body | change))
    for features_version in (0, 2):
        with pytest.raises(CacheError, match="features"):
            rule.LearnedRule.from_json(json.dumps(body | {"model": body["model"] | {"features": features_version}}))
    for damaged in ("nonsense", "[]", json.dumps({name: body[name] for name in body if name != "kind"})):
        with pytest.raises(CacheError, match="damaged"):
            rule.LearnedRule.from_json(damaged)


def test_entries_of_another_space_are_refused() -> None:
    r = _fitted()[-1]
    with pytest.raises(CacheError, match="directions"):
        rule.decide(r, "a", np.ones(32, np.float32), [0.9], ["g"], ["b"], [b"1234"])
    with pytest.raises(CacheError, match="no vectors"):
        rule.decide(r, "a", np.ones(32, np.float32), [0.9], ["g"], ["b"])


def test_exact_only_serves_nothing_by_meaning_and_distance_serves_the_nearest() -> None:
    r = _fitted()[-1]
    assert r.certificate is not None
    vector = np.ones(32, np.float32)
    nothing = rule.LearnedRule("exact_only", None, None, None, None)
    assert rule.decide(nothing, "a", vector, [0.99], ["g"], ["a"]) is None
    plain = rule.LearnedRule("distance", None, None, replace(r.certificate, threshold=0.8), None)
    near, far = (rule.decide(plain, "a", vector, [s, 0.1], ["g", "h"], ["a", "b"]) for s in (0.8, 0.79))
    assert near is not None
    assert near.place == 0
    assert far is not None
    assert far.place is None
    assert rule.decide(plain, "a", vector, [], [], []) is None
