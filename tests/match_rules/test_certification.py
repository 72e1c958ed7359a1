"""The certificate: exact bounds, a sequence that ends at the first failure, a promise that others break."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import certificate_simulation as simulate
from cachewarm_pipeline.match_rules import certification as certify
from cachewarm_pipeline.numerics import binomial_bounds as binomial


@given(st.integers(1, 300), st.integers(0, 300), st.floats(0.001, 0.999))
def test_the_binomial_tail_equals_the_sum_in_whole_numbers(trials: int, wrong: int, rate: float) -> None:
    wrong = min(wrong, trials)
    exact = math.fsum(math.comb(trials, x) * rate**x * (1 - rate) ** (trials - x) for x in range(wrong + 1))
    assert binomial.cdf(wrong, trials, rate) == pytest.approx(exact, abs=1e-9)


def test_bounds_agree_with_published_values() -> None:
    assert [binomial.fewest_trials(a, 0.05) for a in (0.05, 0.02, 0.01)] == [59, 149, 299]
    for alpha, needed in ((0.01, (299, 473, 628)), (0.02, (149, 236, 313)), (0.05, (59, 93, 124))):
        for wrong, trials in enumerate(needed):
            assert binomial.upper_bound(wrong, trials, 0.05) <= alpha < binomial.upper_bound(wrong, trials - 1, 0.05)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3, 0.9])
@pytest.mark.parametrize("trials", [30, 200])
def test_the_upper_bound_covers_the_true_rate_in_at_least_95_percent_exactly(rate: float, trials: int) -> None:
    missed = 0.0
    for wrong in range(trials + 1):
        if binomial.upper_bound(wrong, trials, 0.05) < rate:
            missed = binomial.cdf(wrong, trials, rate)
    assert missed <= 0.05


@given(st.integers(1, 2000), st.data())
def test_the_upper_bound_is_below_alpha_exactly_where_the_test_rejects(trials: int, data: st.DataObject) -> None:
    wrong = data.draw(st.integers(0, trials))
    alpha = data.draw(st.floats(0.005, 0.5))
    p = binomial.cdf(wrong, trials, alpha)
    if abs(p - 0.05) > 1e-6:
        assert (binomial.upper_bound(wrong, trials, 0.05) <= alpha) == (p <= 0.05)


@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.05, 0.1]))
@settings(max_examples=40, deadline=None)
def test_no_threshold_is_certified_after_the_first_failure(seed: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    held_out = simulate.HARD.draw(rng, 600)
    thresholds = np.sort(rng.random(15))[::-1]
    found = certify.certify(thresholds, held_out.scores, held_out.right, alpha)
    passed = [
        binomial.upper_bound(
            int((~held_out.right[held_out.scores >= t]).sum()), int((held_out.scores >= t).sum()), 0.05
        )
        <= alpha
        for t in thresholds
    ]
    first_failure = passed.index(False) if False in passed else len(passed)
    assert found.threshold == (thresholds[first_failure - 1] if first_failure else None)
    if found.threshold is not None:
        assert found.upper <= alpha
        assert found.hits == (held_out.scores >= found.threshold).sum()


def test_too_little_evidence_certifies_nothing() -> None:
    rng = np.random.default_rng(0)
    scores, right = rng.random(300), np.ones(300, bool)
    plan = certify.plan_thresholds(scores, right, 58, 0.05)
    assert certify.certify(plan, scores[:58], right[:58], 0.05).threshold is None
    plan = certify.plan_thresholds(scores, right, 59, 0.05)
    assert certify.certify(plan, np.full(59, 2.0), right[:59], 0.05).threshold is not None
    for empty in (0, 3):
        nothing = certify.certify(
            certify.plan_thresholds(scores[:0], right[:0], empty, 0.05), scores[:empty], right[:empty], 0.05
        )
        assert (nothing.threshold, nothing.hits, nothing.upper) == (None, 0, 1.0)


def test_the_thresholds_do_not_depend_on_certifying_labels() -> None:
    rng = np.random.default_rng(1)
    fitted = simulate.EASY.draw(rng, 1000)
    plan = certify.plan_thresholds(fitted.scores, fitted.right, 800, 0.05)
    assert (np.diff(plan) < 0).all()
    held_out = simulate.EASY.draw(rng, 800)
    assert certify.certify(plan, held_out.scores, np.ones(800, bool), 0.05).threshold == plan[-1]
    assert certify.certify(plan, held_out.scores, np.zeros(800, bool), 0.05).tested == 1


@pytest.mark.parametrize(
    ("workload", "alpha"), [(simulate.EASY, 0.05), (simulate.EASY, 0.02), (simulate.HARD, 0.05), (simulate.FLAT, 0.05)]
)
def test_the_promise_holds_for_the_certificate_and_breaks_for_best_f1_and_best_empirical(
    workload: simulate.Workload, alpha: float
) -> None:
    outcomes = {o.method: o for o in simulate.simulate(workload, alpha, trials=300, queries=1000, seed=7)}
    shown = "\n".join(map(str, outcomes.values()))
    assert outcomes["certified"].broken <= outcomes["certified"].allowed, shown
    assert outcomes["best_empirical"].broken > outcomes["best_empirical"].allowed, shown
    assert outcomes["best_f1"].broken > outcomes["best_f1"].allowed, shown
    if workload is not simulate.FLAT:
        assert outcomes["certified"].mean_hit_rate > 0.3, shown
