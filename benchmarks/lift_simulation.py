"""Simulated traffic of two arms whose true lift is known exactly, to test intervals of the lift and before/after.

Nothing here is used by the pipeline.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.measurement.lift.arm_counts import ARMS, BUCKETS, ArmCount

FIRST = date(2026, 3, 2)


@dataclass(frozen=True)
class Kind:
    """Users of one kind."""

    share: float
    """Of all users."""
    daily: float
    """Mean lookups a day of a user."""
    base: float
    """Hit rate on the first day, without warming."""
    gain: float
    """What warming adds to the hit rate."""


@dataclass(frozen=True)
class Traffic:
    """Users of several kinds, before and after warming."""

    kinds: tuple[Kind, ...]
    users: int = 4000
    holdout: float = 0.05
    """Share of users."""
    days: int = 7
    """Days before warming, and as many after."""
    drift: float = 0.15
    """Rise of every user's hit rate from the first day to the last, warmed or not."""
    spread: float = 0.12
    """Standard deviation of the hit rate between users of a kind, the same before and after."""
    uneven: float = 0.7
    """Gamma shape of lookups a day within a kind; smaller is more uneven."""

    @property
    def lift(self) -> float:
        """The true lift: the mean gain over all lookups."""
        daily = sum(kind.share * kind.daily for kind in self.kinds)
        return sum(kind.share * kind.daily * kind.gain for kind in self.kinds) / daily


HEAVY = Traffic((Kind(0.60, 0.5, 0.10, 0.08), Kind(0.37, 3.0, 0.20, 0.14), Kind(0.03, 30.0, 0.32, 0.22)))
"""3% of the users make 40% of the lookups, hit more often and gain more."""

EVEN = Traffic((Kind(1.0, 2.0, 0.20, 0.12),), uneven=5.0)
"""Users who are much alike, as an interval over independent lookups assumes."""

SMALL = Traffic(HEAVY.kinds, users=600)
"""30 users in the holdout, of whom none, one or two are heavy."""


@dataclass(frozen=True)
class Trial:
    """Counts of one simulation: ``before`` warming, and ``after`` it, when the holdout sees no warmed entry."""

    before: list[ArmCount]
    after: list[ArmCount]


def trials(traffic: Traffic, number: int, seed: int, buckets: int = BUCKETS) -> Iterator[Trial]:
    """``number`` independent simulations, each with its own users; counts by day and bucket, of one agent_type."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        yield _trial(traffic, rng, buckets)


def _trial(traffic: Traffic, rng: np.random.Generator, buckets: int) -> Trial:
    users, days = traffic.users, 2 * traffic.days
    kind = rng.choice(len(traffic.kinds), users, p=[k.share for k in traffic.kinds])
    base, gain, daily = (
        np.array([getattr(k, name) for k in traffic.kinds])[kind] for name in ("base", "gain", "daily")
    )
    daily = daily * rng.gamma(traffic.uneven, 1 / traffic.uneven, users)
    held_out = rng.random(users) < traffic.holdout
    bucket = rng.integers(0, buckets, users)
    # Symmetric and bounded, so that the mean of a kind stays at `base`.
    user_rate = base + traffic.spread * 3**0.5 * rng.uniform(-1, 1, users)
    rate = user_rate[:, None] + traffic.drift * np.linspace(0, 1, days)
    rate[:, traffic.days :] += np.where(held_out, 0.0, gain)[:, None]
    lookups = rng.poisson(daily[:, None], (users, days))
    hits = rng.binomial(lookups, np.clip(rate, 0, 1))
    before: list[ArmCount] = []
    after: list[ArmCount] = []
    for n in range(days):
        out = before if n < traffic.days else after
        slot = f"{FIRST + timedelta(days=n):%Y%m%d}"
        for arm, users_of_arm in zip(ARMS, (~held_out, held_out), strict=True):
            h, m = (_sums(bucket[users_of_arm], x[users_of_arm, n], buckets) for x in (hits, lookups))
            out += [ArmCount(arm, slot, "all", int(h[b]), int(m[b]), b) for b in range(buckets) if m[b]]
    return Trial(before, after)


def _sums(bucket: NDArray[np.int64], values: NDArray[np.int64], buckets: int) -> NDArray[np.int64]:
    return np.bincount(bucket, values, buckets).round().astype(np.int64)
