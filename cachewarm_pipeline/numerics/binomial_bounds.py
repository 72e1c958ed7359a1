"""Exact binomial tail and the Clopper-Pearson bounds made from it, on the standard library and numpy alone."""

import math
from collections.abc import Sequence

import numpy as np


def cdf(wrong: int, trials: int, rate: float) -> float:
    """P(X <= wrong) for X binomial(trials, rate). Exact to about 1e-12 for up to a million trials.

    Time and memory grow with the smaller of wrong and trials - wrong.
    """
    if trials < 0 or not 0 <= rate <= 1:
        raise ValueError(f"binomial of {trials} trials at rate {rate}")
    if wrong < 0:
        return 0.0
    if wrong >= trials or rate == 0:
        return 1.0
    if rate == 1:
        return 0.0
    if wrong > trials - wrong - 1:  # sum the shorter tail
        return max(0.0, 1.0 - cdf(trials - wrong - 1, trials, 1 - rate))
    x = np.arange(1, wrong + 1, dtype=np.float64)
    # log C(n, x) as a running sum of log((n - x + 1) / x): no large factorials whose difference loses digits.
    terms = np.concatenate(([0.0], np.cumsum(np.log((trials - x + 1) / x))))
    powers = np.arange(wrong + 1, dtype=np.float64)
    logs = terms + powers * math.log(rate) + (trials - powers) * math.log1p(-rate)
    top = float(logs.max())
    return min(1.0, math.exp(top) * float(np.exp(logs - top).sum()))


def upper_bound(wrong: int, trials: int, delta: float) -> float:
    """Clopper-Pearson: the largest rate at which so few wrong ones still have probability delta. 1.0 without trials."""
    if not 0 < delta < 1:
        raise ValueError(f"delta must lie between 0 and 1, not {delta}")
    if wrong >= trials:
        return 1.0
    if wrong == 0:
        return -math.expm1(math.log(delta) / trials)
    low, high = wrong / trials, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if cdf(wrong, trials, middle) > delta else (low, middle)
    return high


def lower_bound(wrong: int, trials: int, delta: float) -> float:
    """The Clopper-Pearson bound from below. 0.0 without trials."""
    return 0.0 if trials == 0 else 1.0 - upper_bound(trials - wrong, trials, delta)


def fewest_trials(alpha: float, delta: float) -> int:
    """Trials without a wrong one that it takes to certify alpha: 59 for 5%, 149 for 2%, 299 for 1% at delta 5%."""
    return math.ceil(math.log(delta) / math.log1p(-alpha))


def effective_bounds(weights: Sequence[int], wrong: Sequence[int], delta: float) -> tuple[float, float]:
    """(lower, upper) bounds of a wrong rate whose trials come in bunches; each alone holds with confidence 1 - delta.

    ``weights``: judged answers of each distinct query; ``wrong``: of these, wrong ones. The answers of one query carry
    one decision, so they are no independent trials: they are taken to be right or wrong together, the worst case, for
    which (sum w)^2 / sum w^2 trials tell as much (Kish). Clopper-Pearson is applied to so many, at the observed rate
    (Korn and Graubard 1998), in whole numbers that are rounded to the cautious side: (0.0, 1.0) without trials.
    What it assumes: distinct queries are independent, and those not seen are no heavier and no more often wrong than
    those seen.

    Raises ValueError where not 0 <= wrong <= weight.
    """
    if len(weights) != len(wrong) or any(not 0 <= x <= w for w, x in zip(weights, wrong, strict=False)):
        raise ValueError("effective_bounds: needs 0 <= wrong <= weight, one of each a query")
    total, bad, squares = sum(weights), sum(wrong), sum(w * w for w in weights)
    if total == 0:
        return 0.0, 1.0
    # trials = total^2 / squares, wrong ones = bad / total * trials: both over the same divisor, no rounding before it.
    upper = upper_bound(-(-bad * total // squares), total * total // squares, delta)
    lower = lower_bound(bad * total // squares, -(-total * total // squares), delta)
    return lower, upper
