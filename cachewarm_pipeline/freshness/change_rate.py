"""How fast the answers of an agent_type change: the rate and its interval, from checks of single answers.

A check compares an answer of a known age with the present one. Answers are assumed to change at a constant rate, so
P(changed by age a) = 1 - exp(-rate a).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.freshness.ttl import ttl_of
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.numerics.binomial_bounds import lower_bound, upper_bound

MIN_CHECKS = 30
"""Fewer checks are too little evidence: 30 without a change give the share within 10 points."""

MIN_ENTRY_DAYS = 200.0
"""Least sum of the ages of the checked answers. With less, the bound on the rate would shorten the default TTL even if
no answer had changed: 200 days bound it at 1.5% a day, which gives 7 days at a stale share of 10%."""

INTERVAL_TAIL = 0.05
"""Probability on each side of the interval: 90%, two-sided."""


@dataclass(frozen=True)
class ChangeRate:
    """The change rate of an agent_type and the TTL that follows from it."""

    checked: int
    """Checks that count."""
    changed: int
    """How many of these found a change."""
    entry_days: float
    """Sum of the ages of the checked answers."""
    rate: float | None
    """Changes an entry and day; None without checks, infinite where all answers have changed."""
    low: float
    """Lower end of its 90% interval."""
    high: float
    """Upper end of its 90% interval."""
    measured: bool
    """Whether the evidence is enough for a TTL that differs from the default."""
    ttl_days: float
    """The TTL."""
    why: str
    """The evidence in words."""


def change_rate(
    ages: Sequence[float],
    changed: Sequence[bool],
    *,
    max_stale_share: float,
    ttl_days: float,
    ttl_min_days: float,
) -> ChangeRate:
    """The rate from checks of answers with these ``ages`` (days), its interval, and the TTL that follows.

    The estimate solves mean_i(1 - exp(-rate a_i)) = x / n for x changes in n checks. The interval solves the same
    equation for the Clopper-Pearson bounds of x / n. The checks have different chances of a change, so x is
    Poisson-binomial, which varies less than the binomial of the mean chance (Hoeffding 1956, On the distribution of the
    number of successes in independent trials). So the interval is conservative.

    The TTL is ``ttl_of`` the upper end of the interval; with fewer than MIN_CHECKS checks or MIN_ENTRY_DAYS it is
    ``ttl_days``. Checks with an age of 0 or less, or with none (NaN), are not evidence about change and do not count.

    Raises ValueError for lists of different lengths.
    """
    if len(ages) != len(changed):
        raise ValueError(f"change_rate: {len(ages)} ages and {len(changed)} verdicts")
    usable = [(age, verdict) for age, verdict in zip(ages, changed, strict=True) if 0 < age < math.inf]
    days = np.array([age for age, _ in usable], np.float64)
    n, x = len(usable), sum(bool(verdict) for _, verdict in usable)
    entry_days = float(days.sum())
    rate = rate_of_share(days, x / n) if n else None
    low = rate_of_share(days, lower_bound(x, n, INTERVAL_TAIL)) if n else 0.0
    high = rate_of_share(days, upper_bound(x, n, INTERVAL_TAIL)) if n else math.inf
    measured = n >= MIN_CHECKS and entry_days >= MIN_ENTRY_DAYS
    if not measured:
        why = (
            f"too little evidence: {plural(n, 'check')} over {entry_days:.0f} entry-days, but a TTL of its own needs "
            f"{MIN_CHECKS} checks over {MIN_ENTRY_DAYS:.0f}"
        )
        return ChangeRate(n, x, entry_days, rate, low, high, False, ttl_days, why)
    ttl = ttl_of(high, max_stale_share=max_stale_share, ttl_days=ttl_days, ttl_min_days=ttl_min_days)
    why = f"{x} of {n} answers changed over {entry_days:.0f} entry-days: at most {_percent(high)} a day"
    if ttl >= ttl_days:
        why += "; the full TTL"
    elif ttl <= ttl_min_days:
        why += "; the shortest TTL"
    return ChangeRate(n, x, entry_days, rate, low, high, True, ttl, why)


def rate_of_share(ages: NDArray[np.float64], share: float) -> float:
    """The rate a day at which on average ``share`` of answers with these ages (days, all > 0) have changed. 0 for a
    share of 0, infinite for 1."""
    if share <= 0:
        return 0.0
    if share >= 1:
        return math.inf

    def changed_share(rate: float) -> float:
        return float(np.mean(-np.expm1(-rate * ages)))

    low, high = 0.0, 1.0 / float(ages.max())
    while changed_share(high) < share:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if changed_share(middle) < share else (low, middle)
    return high


def _percent(rate: float) -> str:
    """The share that changes in a day at this rate."""
    return "100%" if rate == math.inf else f"{-math.expm1(-rate):.2%}"
