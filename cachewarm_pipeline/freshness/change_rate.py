"""How fast the answers of an agent_type change, from checks of single answers, and how long one may be kept for it.

A check looks at one answer of an age and says whether it has changed since. An answer is taken to change at a constant
rate, so that P(changed by age a) = 1 - exp(-rate a).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.numerics.binomial_bounds import lower_bound, upper_bound

MIN_CHECKS = 30
"""Fewer say too little: of 30 without a change the share is known to 10 points."""

MIN_ENTRY_DAYS = 200.0
"""Ages of the checked answers together; of fewer, no change bounds a rate that would shorten the default TTL anyway."""

DELTA = 0.05
"""Of each side of the interval: 90% two-sided."""


@dataclass(frozen=True)
class ChangeRate:
    """``checked``, ``changed``: checks that count. ``entry_days``: their ages together. ``rate``, ``low``, ``high``:
    changes an entry and day, with its 90% interval; ``rate`` is None without checks, infinite where all have changed.
    ``measured``: whether the evidence is enough for ``ttl_days`` to rest on it. ``why``: in words."""

    checked: int
    changed: int
    entry_days: float
    rate: float | None
    low: float
    high: float
    measured: bool
    ttl_days: float
    why: str


def change_rate(
    ages: Sequence[float],
    changed: Sequence[bool],
    *,
    max_stale_share: float,
    ttl_days: float,
    ttl_min_days: float,
) -> ChangeRate:
    """The rate of checks at ``ages`` (days), its interval, and the TTL that follows.

    The estimate solves mean_i(1 - exp(-rate a_i)) = x / n for x changes in n checks; the interval solves the same for
    the Clopper-Pearson bounds of x / n. The checks have different chances, so x is Poisson-binomial; that is less
    spread than the binomial of the mean chance (Hoeffding 1956, On the distribution of the number of successes in
    independent trials), so the interval is conservative.

    TTL_days = -ln(1 - max_stale_share) / high, so that at most ``max_stale_share`` of the answers have changed when
    their TTL ends, within [min(ttl_min_days, ttl_days), ttl_days]. With fewer than MIN_CHECKS checks or MIN_ENTRY_DAYS
    it is ``ttl_days``. An age of 0 or less, or none at all (NaN), tells nothing about change and is passed over.

    Raises ValueError for lists of different lengths.
    """
    if len(ages) != len(changed):
        raise ValueError(f"change_rate: {len(ages)} ages and {len(changed)} verdicts")
    told = [(age, verdict) for age, verdict in zip(ages, changed, strict=True) if 0 < age < math.inf]
    days = np.array([age for age, _ in told], np.float64)
    n, x = len(told), sum(bool(verdict) for _, verdict in told)
    entry_days = float(days.sum())
    rate = rate_of_share(days, x / n) if n else None
    low = rate_of_share(days, lower_bound(x, n, DELTA)) if n else 0.0
    high = rate_of_share(days, upper_bound(x, n, DELTA)) if n else math.inf
    measured = n >= MIN_CHECKS and entry_days >= MIN_ENTRY_DAYS
    if not measured:
        why = (
            f"too little evidence: {n} checks over {entry_days:.0f} entry-days, it takes {MIN_CHECKS} and "
            f"{MIN_ENTRY_DAYS:.0f}"
        )
        return ChangeRate(n, x, entry_days, rate, low, high, False, ttl_days, why)
    ttl = ttl_of(high, max_stale_share=max_stale_share, ttl_days=ttl_days, ttl_min_days=ttl_min_days)
    why = f"{x} of {n} answers changed over {entry_days:.0f} entry-days: at most {_percent(high)} a day"
    if ttl >= ttl_days:
        why += "; the full TTL"
    elif ttl <= ttl_min_days:
        why += "; the shortest TTL"
    return ChangeRate(n, x, entry_days, rate, low, high, True, ttl, why)


def ttl_of(high: float, *, max_stale_share: float, ttl_days: float, ttl_min_days: float) -> float:
    """Days after which at most ``max_stale_share`` have changed at the rate ``high``, within the two bounds."""
    return min(age_limit(high, max_stale_share=max_stale_share, ttl_days=ttl_days, ttl_min_days=ttl_min_days), ttl_days)


def age_limit(high: float, *, max_stale_share: float, ttl_days: float, ttl_min_days: float) -> float:
    """Days without a confirmation after which an answer is stale: when at most ``max_stale_share`` have changed at the
    rate ``high``, as for ``ttl_of``.

    A TTL begins anew with every generation, whatever the age of the answer; so it bounds no age. Here ``ttl_days`` is
    no upper limit: it is how long entries live without runs and no evidence against older answers, and an entry that
    always hits would leave once a TTL for nothing.
    """
    wanted = -math.log1p(-max_stale_share) / high if high > 0 else math.inf
    return max(wanted, min(ttl_min_days, ttl_days))


def rate_of_share(ages: NDArray[np.float64], share: float) -> float:
    """The rate at which on average ``share`` of answers of these ages (all > 0) have changed. 0 for none, infinite for
    all of them."""
    if share <= 0:
        return 0.0
    if share >= 1:
        return math.inf

    def reached(rate: float) -> float:
        return float(np.mean(-np.expm1(-rate * ages)))

    low, high = 0.0, 1.0 / float(ages.max())
    while reached(high) < share:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) < share else (low, middle)
    return high


def _percent(rate: float) -> str:
    return "100%" if rate == math.inf else f"{-math.expm1(-rate):.2%}"
