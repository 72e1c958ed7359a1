"""Drawn traffic of two arms with a true lift that is known exactly: does an interval cover it, and does before/after?

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
    """Users of one kind: their ``share`` of all users, lookups a day on average, hit rate without warming on the first
    day, and what warming adds to it."""

    share: float
    daily: float
    base: float
    gain: float


@dataclass(frozen=True)
class Traffic:
    """``users`` of several kinds over ``days`` before warming and as many after; ``drift``: what the hit rate of
    everybody rises by, from the first day to the last, warmed or not. ``spread``: standard deviation of a user's own
    hit rate, before and after alike. ``uneven``: of lookups a day within a kind, as gamma shape (smaller: more
    uneven)."""

    kinds: tuple[Kind, ...]
    users: int = 4000
    holdout: float = 0.05
    days: int = 7
    drift: float = 0.15
    spread: float = 0.12
    uneven: float = 0.7

    @property
    def lift(self) -> float:
        """The true lift: the gain of a lookup drawn from the whole traffic."""
        daily = sum(kind.share * kind.daily for kind in self.kinds)
        return sum(kind.share * kind.daily * kind.gain for kind in self.kinds) / daily


HEAVY = Traffic((Kind(0.60, 0.5, 0.10, 0.08), Kind(0.37, 3.0, 0.20, 0.14), Kind(0.03, 30.0, 0.32, 0.22)))
"""Three in a hundred users make four in ten lookups, hit more often, and gain more."""

EVEN = Traffic((Kind(1.0, 2.0, 0.20, 0.12),), uneven=5.0)
"""Users much alike: what a bound over lookups alone takes for granted."""

SMALL = Traffic(HEAVY.kinds, users=600)
"""Thirty users in the holdout, of whom one is heavy, or none, or two."""


@dataclass(frozen=True)
class Trial:
    """What the counters hold after one draw: ``before`` warming nobody is warmed, ``after`` the holdout is not."""

    before: list[ArmCount]
    after: list[ArmCount]


def trials(traffic: Traffic, number: int, seed: int, buckets: int = BUCKETS) -> Iterator[Trial]:
    """That many independent draws, users and all; counts of a day and bucket of one agent_type."""
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
    held = rng.random(users) < traffic.holdout
    bucket = rng.integers(0, buckets, users)
    # Symmetric and bounded, so that the mean of a kind stays what it says.
    own = base + traffic.spread * 3**0.5 * rng.uniform(-1, 1, users)
    rate = own[:, None] + traffic.drift * np.linspace(0, 1, days)
    rate[:, traffic.days :] += np.where(held, 0.0, gain)[:, None]
    lookups = rng.poisson(daily[:, None], (users, days))
    hits = rng.binomial(lookups, np.clip(rate, 0, 1))
    before: list[ArmCount] = []
    after: list[ArmCount] = []
    for n in range(days):
        out = before if n < traffic.days else after
        slot = f"{FIRST + timedelta(days=n):%Y%m%d}"
        for arm, there in zip(ARMS, (~held, held), strict=True):
            h, m = _sums(bucket[there], hits[there, n], buckets), _sums(bucket[there], lookups[there, n], buckets)
            out += [ArmCount(arm, slot, "all", int(h[b]), int(m[b]), b) for b in range(buckets) if m[b]]
    return Trial(before, after)


def _sums(bucket: NDArray[np.int64], values: NDArray[np.int64], buckets: int) -> NDArray[np.int64]:
    return np.bincount(bucket, values, buckets).round().astype(np.int64)
