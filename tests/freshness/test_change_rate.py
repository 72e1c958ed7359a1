"""The rate at which answers change, its interval, and the TTL that follows from it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.freshness.change_rate import MIN_CHECKS, ChangeRate, change_rate, rate_of_share

LIMITS = {"max_stale_share": 0.1, "ttl_days": 7.0, "ttl_min_days": 2.0}
AGES = st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=80)


def rate(ages: list[float], changes: int, **limits: float) -> ChangeRate:
    return change_rate(ages, [n < changes for n in range(len(ages))], **(LIMITS | limits))


@pytest.mark.parametrize("true", [0.002, 0.01, 0.05, 0.3])
def test_a_known_rate_lies_in_its_interval_in_at_least_nine_of_ten_simulations(true: float) -> None:
    draw = np.random.default_rng(5)
    inside, estimates = 0, []
    for _ in range(400):
        ages = draw.uniform(1, 30, 120)
        found = change_rate(ages.tolist(), (draw.random(120) < -np.expm1(-true * ages)).tolist(), **LIMITS)
        inside += found.low <= true <= found.high
        estimates.append(found.rate)
    assert inside >= 0.9 * 400
    assert np.median(np.array(estimates, np.float64)) == pytest.approx(true, rel=0.1)


@given(AGES, st.data())
def test_more_changes_never_mean_a_lower_rate_or_a_longer_ttl(ages: list[float], data: st.DataObject) -> None:
    more = data.draw(st.integers(1, len(ages)))
    fewer = data.draw(st.integers(0, more - 1))
    low, high = rate(ages, fewer), rate(ages, more)
    assert low.rate is not None
    assert high.rate is not None
    assert low.low <= low.rate <= low.high
    assert (low.low, low.rate, low.high) <= (high.low, high.rate, high.high)
    assert low.ttl_days >= high.ttl_days


@given(AGES, st.data(), st.floats(0.1, 400), st.floats(0.1, 400), st.floats(0.001, 0.999))
def test_a_ttl_never_leaves_its_bounds(ages: list[float], data: st.DataObject, most: float, least: float, share: float):  # type: ignore[no-untyped-def]
    changes = data.draw(st.integers(0, len(ages)))
    found = rate(ages, changes, ttl_days=most, ttl_min_days=least, max_stale_share=share)
    assert min(least, most) <= found.ttl_days <= most


def test_without_any_change_the_ttl_is_the_full_one_and_the_bound_is_reported() -> None:
    found = rate([10.0] * 60, 0)
    assert (found.rate, found.low, found.ttl_days, found.measured) == (0.0, 0.0, 7.0, True)
    assert found.why == "0 of 60 answers changed over 600 entry-days: at most 0.50% a day; the full TTL"


def test_when_all_have_changed_the_ttl_is_the_shortest() -> None:
    found = rate([10.0] * 60, 60)
    assert (found.rate, found.high, found.ttl_days) == (math.inf, math.inf, 2.0)
    assert found.low > 0
    assert found.why.endswith("at most 100% a day; the shortest TTL")


def test_between_its_bounds_the_ttl_follows_the_formula() -> None:
    found = rate([10.0] * 60, 12)
    assert found.rate == pytest.approx(-math.log(1 - 12 / 60) / 10)
    assert found.ttl_days == pytest.approx(-math.log(0.9) / found.high)
    assert 2 < found.ttl_days < 7


@pytest.mark.parametrize(("checks", "age"), [(0, 1.0), (MIN_CHECKS - 1, 100.0), (100, 1.9)])
def test_with_too_little_evidence_the_ttl_is_the_default_and_the_reason_is_reported(checks: int, age: float) -> None:
    found = rate([age] * checks, checks)
    assert (found.ttl_days, found.measured) == (7.0, False)
    assert found.why.startswith(f"too little evidence: {checks} checks over {checks * age:.0f} entry-days")
    assert (found.rate is None) == (checks == 0)


def test_checks_without_an_age_do_not_count() -> None:
    ages = [10.0] * 40
    assert change_rate([*ages, 0.0, -1.0, math.nan, math.inf], [False] * 40 + [True] * 4, **LIMITS) == rate(ages, 0)


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 ages and 1 verdicts"):
        change_rate([1.0, 2.0], [True], **LIMITS)


@given(AGES, st.floats(1e-6, 1 - 1e-6))
def test_the_rate_of_a_share_gives_that_share(ages: list[float], share: float) -> None:
    of = np.array(ages)
    assert float(np.mean(-np.expm1(-rate_of_share(of, share) * of))) == pytest.approx(share, rel=1e-6)
