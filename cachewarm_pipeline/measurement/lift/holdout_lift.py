"""The lift: what warming adds to the hit rate, from counts of a warmed arm and a holdout arm, with a 95% interval.

A before/after comparison confounds warming with everything else that changes over time. The two arms run at the same
time and differ only in whether users see warmed entries.

A holdout lookup counts as a hit if it was answered, or if a cold cache filled by all users would have answered it
(cachewarm_client.cold_cache_shadow). So the lift compares "everybody warmed" with "nobody warmed", although only a few
users are held out. What the holdout was really served is in HOUR_COUNTS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.measurement.lift.arm_counts import ARMS, ArmCount, Cells, cells
from cachewarm_pipeline.measurement.lift.jackknife import Estimate, JackknifeBasis, LiftGroups, lift_groups
from cachewarm_pipeline.number_format import plural

MIN_BUCKETS = 5
"""Buckets with lookups that each arm needs. In trials of simulated traffic the 95% interval covered the true lift in
only 92% with two buckets, and in 95% or more from five buckets on."""

MIN_LOOKUPS = 30
"""Lookups that each arm needs if they were not counted by bucket: with fewer, a hit rate is known to 18 percentage
points at best."""

INTERVAL_NEEDS = "it needs counts by bucket of users, or two days of users who do not come back"


@dataclass(frozen=True)
class Lift:
    """Hit rate of the warmed arm minus hit rate of the holdout, compared slot by slot.

    It differs from the difference of the two plain rates if the traffic of the arms was distributed differently over
    time.
    """

    lift: float | None
    """In [-1, 1]; None if it cannot be estimated, for the reason in ``why``."""
    low: float | None
    """Low end of the 95% interval; None without one."""
    high: float | None
    """High end of that interval."""
    warmed_hits: int
    warmed_lookups: int
    holdout_hits: int
    holdout_lookups: int
    basis: JackknifeBasis | None
    """Units that the interval rests on: ``buckets`` of users, or ``days``."""
    why: str
    """What is missing and why; empty if nothing is."""

    @property
    def warmed_hit_rate(self) -> float | None:
        """warmed_hits / warmed_lookups; None without lookups."""
        return self.warmed_hits / self.warmed_lookups if self.warmed_lookups else None

    @property
    def holdout_hit_rate(self) -> float | None:
        """holdout_hits / holdout_lookups; None without lookups."""
        return self.holdout_hits / self.holdout_lookups if self.holdout_lookups else None


@dataclass(frozen=True)
class Impact:
    """The lift of each agent_type and of all together."""

    total: Lift
    """Mean of the agent types' lifts, weighted by their lookups."""
    agent_types: dict[str, Lift]
    """Each agent_type alone; its ``lift`` is None if too few users asked it."""
    rest: Lift | None
    """One lift of the ``pooled`` agent types together, used for each of them in ``total`` and ``weighted``; None if no
    agent_type is pooled."""
    pooled: tuple[str, ...]
    """Agent types without a lift of their own."""
    covered: float
    """Share of lookups whose agent_type has a lift, alone or pooled."""
    days: int
    """Distinct days with counts."""
    _groups: LiftGroups | None = field(repr=False, compare=False, default=None)
    _group_of: Mapping[str, int] = field(repr=False, compare=False, default_factory=dict)

    def weighted(self, weights: Mapping[str, float]) -> Estimate | None:
        """Sum of weight x lift over agent types, with the interval of the sum.

        The interval cannot be computed from the intervals of the agent types: a user who asks two agent types affects
        both lifts. An agent_type without a lift adds nothing; None if none of them has one.
        """
        known = {name: weight for name, weight in weights.items() if name in self._group_of}
        if not known or self._groups is None:
            return None
        of_groups = np.zeros(len(self._groups.lift), np.float64)
        for name, weight in known.items():
            of_groups[self._group_of[name]] += weight
        return self._groups.weighted(of_groups)


def impact(counts: Sequence[ArmCount], returning: bool = True) -> Impact:
    """The lift of warming, for each agent_type and in total.

    Estimate: a stratum is one agent_type in one slot. The lift of an agent_type is the Mantel-Haenszel rate difference
    over its slots (Greenland and Robins 1985). Drift affects both arms of a slot equally and cancels, and so does a
    holdout share that changes between slots (days). A share that changes within a slot does not cancel: the arms then
    saw different parts of that slot. A slot in which one arm has no lookups has no weight. Slots with few lookups do no
    harm.

    Interval: a user is assigned to an arm once and for good, so the independent units are users, not lookups. Buckets
    of users (cachewarm_client.arms.BUCKETS) are left out one at a time, in each arm separately. This gives the variance
    whatever the lookups of a user have in common, also for any sum over agent types. But a holdout of 5% estimates its
    own variance badly, and underestimates it exactly when it has none of the heaviest users. Users of both arms come
    from the same distribution, so the larger design effect of the two arms (variance / variance of independent lookups,
    at least 1) is used for both. The interval uses Student's t; its degrees of freedom depend on how unevenly lookups
    are distributed over the buckets. Coverage: benchmarks/impact.

    Without buckets there is no interval, unless ``returning`` is False: users do not come back on another day (the
    holdout key is a session). Then days are left out instead. If the same users do come back, days miss the lasting
    differences between users: the interval covered the true lift in only 43% of the trials with heavy users. That is
    why the default gives no interval.

    Not covered by any interval here: if the application stores its answers with another writer (a stock one), nothing
    is known about what a cold cache would contain, and the lift is far too high (benchmarks/impact prints the raw
    difference). cachewarm_client.cold_cache_shadow documents smaller errors. If the holdout key is the prompt, one
    popular prompt is a single unit with much of the traffic: use users or sessions as the key.

    Raises ValueError, which names the count, for invalid counts (see ``cells``).
    """
    table = cells(counts)
    of_agent = {name: table.agent == n for n, name in enumerate(table.agents)}
    plain = {name: _plain(table, strata) for name, strata in of_agent.items()}
    reasons = {name: _missing_evidence(table, strata) for name, strata in of_agent.items()}
    pooled = tuple(name for name in table.agents if reasons[name])
    alone = [name for name in table.agents if not reasons[name]]
    in_rest = np.isin(table.agent, [table.agents.index(name) for name in pooled])
    rest_reason = _missing_evidence(table, in_rest) if pooled or not alone else ""
    group_of = {name: n for n, name in enumerate(alone)}
    if pooled and not rest_reason:
        group_of |= dict.fromkeys(pooled, len(alone))
    number = len(set(group_of.values()))
    group = np.array([group_of.get(table.agents[n], number) for n in table.agent], np.int64)
    groups = lift_groups(table, group, number, by_day=not returning) if number else None

    lookups = {name: one.warmed_lookups + one.holdout_lookups for name, one in plain.items()}
    covered = sum(lookups[name] for name in group_of)
    every = _plain(table, np.full(len(group), True))
    rest = _plain(table, in_rest) if pooled else None
    share = covered / sum(lookups.values()) if covered else 0.0
    found = Impact(every, plain, rest, pooled, share, len(table.days), groups, group_of)
    types = plural(len(pooled), "agent type")
    without = f"without {types}: {rest_reason}" if covered and rest else rest_reason
    shares = {name: lookups[name] / covered for name in group_of}
    return replace(
        found,
        total=_with_lift(found, every, shares, without if rest_reason else ""),
        agent_types={n: _with_lift(found, plain[n], {} if reasons[n] else {n: 1.0}, reasons[n]) for n in plain},
        rest=rest and _with_lift(found, rest, {} if rest_reason else {pooled[0]: 1.0}, rest_reason),
    )


def _with_lift(found: Impact, plain: Lift, weights: Mapping[str, float], reason: str) -> Lift:
    """``plain`` with the lift of ``weights``; unchanged but for ``reason`` if ``weights`` has no lift."""
    estimate = found.weighted(weights)
    if estimate is None or found._groups is None:
        return replace(plain, why=reason)
    value, low, high = estimate
    if low is None or high is None:
        return replace(plain, lift=value, why=f"no interval: {INTERVAL_NEEDS}")
    return replace(plain, lift=value, low=max(low, -1.0), high=min(high, 1.0), basis=found._groups.basis, why=reason)


def _plain(table: Cells, strata: NDArray[np.bool_]) -> Lift:
    hits, lookups = (x[:, strata].sum((1, 2)) for x in (table.hits, table.lookups))
    return Lift(None, None, None, int(hits[0]), int(lookups[0]), int(hits[1]), int(lookups[1]), None, "")


def _missing_evidence(table: Cells, strata: NDArray[np.bool_]) -> str:
    """Why these strata together have no lift; empty if they have one."""
    lookups = table.lookups[:, strata]
    of_arm = lookups.sum((1, 2))
    if not of_arm.any():
        return "no lookups were counted"
    for arm, number in zip(ARMS, of_arm, strict=True):
        if not number:
            return f"no lookups in the {arm} arm"
    both = (lookups.sum(2) > 0).all(0)
    if not both.any():
        return "no day or hour with lookups in both arms"
    shared = lookups[:, both]
    for arm, of_buckets in zip(ARMS, shared.sum(1), strict=True):
        filled, number = int((of_buckets > 0).sum()), int(of_buckets.sum())
        if table.bucketed and filled < MIN_BUCKETS:
            return f"too few users: those of the {arm} arm fill {filled} of the {MIN_BUCKETS} buckets needed"
        if not table.bucketed and number < MIN_LOOKUPS:
            return f"too few lookups: {number} of the {MIN_LOOKUPS} needed in the {arm} arm"
    return ""
