"""What warming adds to the hit rate, from counts of a warmed and a holdout arm, with an interval that is honest.

Before/after confounds warming with all else that changes in time. Both arms live through the same time; all that
differs between them is whether warmed entries are seen. A hit of the holdout is a lookup that was answered, or that a
cold cache which everybody fills would have answered (cachewarm_client.cold_cache_shadow): so the lift is that of
everybody warmed over nobody warmed, though only a few are held out. What the holdout was really served is in
HOUR_COUNTS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.measurement.lift.arm_counts import ARMS, Cells, Count, cells
from cachewarm_pipeline.measurement.lift.jackknife import Estimate, Groups, JackknifeBasis, groups_of

MIN_BUCKETS = 5
"""Buckets of an arm with lookups that a lift takes: with two the interval held in as few as 92% of the trials of drawn
traffic, from five on in 95% and more."""

MIN_LOOKUPS = 30
"""Of an arm, where there are no buckets: of fewer a share is known to 18 points at best."""


NEEDS = "it takes counts in buckets of users, or two days of users who do not come back"


@dataclass(frozen=True)
class Lift:
    """Hit rate of the warmed arm minus that of the holdout, in [-1, 1], compared slot by slot: not the difference of
    the two plain rates where the arms' traffic was spread differently over time.

    ``lift`` None: cannot be told, for the reason in ``why``. ``low``, ``high``: 95% interval, None without one.
    ``basis``: what the interval rests on: ``buckets`` of users, or ``days``. ``why``: what is missing and for which
    reason; empty where nothing is.
    """

    lift: float | None
    low: float | None
    high: float | None
    warmed_hits: int
    warmed_lookups: int
    holdout_hits: int
    holdout_lookups: int
    basis: JackknifeBasis | None
    why: str

    @property
    def warmed_hit_rate(self) -> float | None:
        """Plain hits / lookups; None without lookups."""
        return self.warmed_hits / self.warmed_lookups if self.warmed_lookups else None

    @property
    def holdout_hit_rate(self) -> float | None:
        return self.holdout_hits / self.holdout_lookups if self.holdout_lookups else None


@dataclass(frozen=True)
class Impact:
    """``total``: mean of the agent types' lifts over all lookups. ``agent_types``: each alone, with a ``lift`` of None
    where too few users asked it. ``pooled`` names those; ``rest`` is the one lift of them together, which stands for
    each of them in ``total`` and ``weighted`` (None where there are none). ``covered``: share of lookups whose
    agent_type has a lift, alone or pooled. ``days``: distinct days with counts.
    """

    total: Lift
    agent_types: dict[str, Lift]
    rest: Lift | None
    pooled: tuple[str, ...]
    covered: float
    days: int
    _groups: Groups | None = field(repr=False, compare=False, default=None)
    _group_of: Mapping[str, int] = field(repr=False, compare=False, default_factory=dict)

    def weighted(self, weights: Mapping[str, float]) -> Estimate | None:
        """Sum of weight x lift over agent types, with the interval of the sum: a user who asks two agent types moves
        both lifts, which their own intervals do not tell. An agent_type without a lift adds nothing; None where all
        are without."""
        known = {name: weight for name, weight in weights.items() if name in self._group_of}
        if not known or self._groups is None:
            return None
        of_groups = np.zeros(len(self._groups.lift), np.float64)
        for name, weight in known.items():
            of_groups[self._group_of[name]] += weight
        return self._groups.weighted(of_groups)


def impact(counts: Sequence[Count], returning: bool = True) -> Impact:
    """The lift of warming, of each agent_type and over all.

    Estimate: a stratum is one agent_type in one slot; the lift of an agent_type is the Mantel-Haenszel rate difference
    over its slots (Greenland and Robins 1985). Drift, and a holdout share that changes between slots (days), move both
    arms of a slot alike and cancel; a share that changes within a slot mixes times of which the arms saw unequal parts,
    and does not cancel. A slot that one arm was not asked in weighs nothing, and few lookups a slot do no harm.

    Interval: an arm is drawn for a user and for good, so users are the independent units, not lookups. Buckets of
    users (see counts.BUCKETS) are left out one at a time, each arm by itself: that gives the variance whatever the
    lookups of a user have in common, and of any sum over agent types. But a holdout of 5% knows its own noise badly,
    and is too sure of itself just when it holds none of the heaviest users. Users of both arms are drawn alike, so the
    design effect (variance over that of independent lookups) is taken as the larger of the two arms', at least 1, for
    both. Student's t, with degrees of freedom by how unevenly lookups lie in the buckets. Coverage: benchmarks/impact.

    Without buckets there is no interval, unless ``returning`` is False: users do not come back on another day (the key
    is a session). Then days are left out instead. Where the same users do come back, that misses what they differ in
    for good: it held in 43% of the trials with heavy users, which is why nothing is told by default.

    What no interval here covers: where the application's answers are stored past this package (a stock writer), nothing
    is known of what a cold cache would hold, and the lift is too high by far (benchmarks/impact prints the raw
    difference); smaller errors are told in cachewarm_client.cold_cache_shadow. And where prompts are the key, a
    popular one is a single unit with much of the traffic: use users or sessions.

    Raises ValueError, which names the count, for counts that cannot be (see cells).
    """
    table = cells(counts)
    of_agent = {name: table.agent == n for n, name in enumerate(table.agents)}
    plain = {name: _plain(table, strata) for name, strata in of_agent.items()}
    reasons = {name: _too_few(table, strata) for name, strata in of_agent.items()}
    pooled = tuple(name for name in table.agents if reasons[name])
    alone = [name for name in table.agents if not reasons[name]]
    in_rest = np.isin(table.agent, [table.agents.index(name) for name in pooled])
    rest_reason = _too_few(table, in_rest) if pooled or not alone else ""
    group_of = {name: n for n, name in enumerate(alone)}
    if pooled and not rest_reason:
        group_of |= dict.fromkeys(pooled, len(alone))
    number = len(set(group_of.values()))
    group = np.array([group_of.get(table.agents[n], number) for n in table.agent], np.int64)
    groups = groups_of(table, group, number, by_day=not returning) if number else None

    asked = {name: one.warmed_lookups + one.holdout_lookups for name, one in plain.items()}
    covered = sum(asked[name] for name in group_of)
    every = _plain(table, np.full(len(group), True))
    rest = _plain(table, in_rest) if pooled else None
    share = covered / sum(asked.values()) if covered else 0.0
    found = Impact(every, plain, rest, pooled, share, len(table.days), groups, group_of)
    without = f"without {len(pooled)} agent types: {rest_reason}" if covered and rest else rest_reason
    return replace(
        found,
        total=_told(found, every, {name: asked[name] / covered for name in group_of}, without if rest_reason else ""),
        agent_types={n: _told(found, plain[n], {} if reasons[n] else {n: 1.0}, reasons[n]) for n in plain},
        rest=rest and _told(found, rest, {} if rest_reason else {pooled[0]: 1.0}, rest_reason),
    )


def _told(found: Impact, plain: Lift, weights: Mapping[str, float], reason: str) -> Lift:
    """``plain`` with the lift of ``weights``, or without one where there are none; ``reason``: why that is."""
    estimate = found.weighted(weights)
    if estimate is None or found._groups is None:
        return replace(plain, why=reason)
    value, low, high = estimate
    if low is None or high is None:
        return replace(plain, lift=value, why=f"no interval: {NEEDS}")
    return replace(plain, lift=value, low=max(low, -1.0), high=min(high, 1.0), basis=found._groups.basis, why=reason)


def _plain(table: Cells, strata: NDArray[np.bool_]) -> Lift:
    hits, lookups = (x[:, strata].sum((1, 2)) for x in (table.hits, table.lookups))
    return Lift(None, None, None, int(hits[0]), int(lookups[0]), int(hits[1]), int(lookups[1]), None, "")


def _too_few(table: Cells, strata: NDArray[np.bool_]) -> str:
    """Why these strata together have no lift; empty where they have one."""
    lookups = table.lookups[:, strata]
    of_arm = lookups.sum((1, 2))
    if not of_arm.any():
        return "nothing was counted"
    for arm, number in zip(ARMS, of_arm, strict=True):
        if not number:
            return f"no lookup of the {arm} arm"
    both = (lookups.sum(2) > 0).all(0)
    if not both.any():
        return "no slot in which both arms were asked"
    shared = lookups[:, both]
    for arm, of_buckets in zip(ARMS, shared.sum(1), strict=True):
        filled, number = int((of_buckets > 0).sum()), int(of_buckets.sum())
        if table.bucketed and filled < MIN_BUCKETS:
            return f"users of the {arm} arm in {filled} buckets, it takes {MIN_BUCKETS}"
        if not table.bucketed and number < MIN_LOOKUPS:
            return f"{number} lookups of the {arm} arm, it takes {MIN_LOOKUPS}"
    return ""
