"""Lifts and their variance: a jackknife that leaves out one unit at a time.

A unit is what was assigned to an arm at random: a bucket of users, or a day if users do not come back.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.measurement.lift.arm_counts import Cells, Floats

CONFIDENCE = 0.95

JackknifeBasis = Literal["buckets", "days"]


class Estimate(NamedTuple):
    """A figure and its 95% interval; an end is None if the uncertainty is not known."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class LiftGroups:
    """Lifts of g groups of strata, estimated from the same sets of r units."""

    lift: Floats
    """(g,)."""
    replicates: list[Floats]
    """For each set of units (g, r): the lift of the group without the unit."""
    loads: list[Floats]
    """For each set of units (g, r): the unit's share of the group's lookups; with buckets, of the arm's lookups."""
    independent: Floats
    """(2, g): variance of each arm's hit rate if lookups were independent."""
    basis: JackknifeBasis | None
    """What the units are; None without units, and then there is no interval."""

    def weighted(self, weights: Floats) -> Estimate:
        """Sum of weight x lift, ``weights`` (g,), with its interval; without an interval if ``basis`` is None.

        Variance = variance of independent lookups x design effect. The design effect is the largest over the sets of
        units: a small arm that has none of the heaviest users by chance underestimates its variance exactly when its
        hit rate is off.
        """
        value = float(weights @ self.lift)
        if self.basis is None:
            return Estimate(value, None, None)
        independent = self.independent @ weights**2
        of_set = independent if len(self.replicates) == 2 else independent.sum(keepdims=True)
        effect = 1.0
        for replicates, alone in zip(self.replicates, of_set, strict=True):
            units = replicates.shape[1]
            squares = float((((replicates - self.lift[:, None]).T @ weights) ** 2).sum())
            effect = max(effect, (units - 1) / units * squares / alone if alone > 0 else 1.0)
        half = student_quantile(self._freedom(weights)) * float(effect * independent.sum()) ** 0.5
        return Estimate(value, value - half, value + half)

    def _freedom(self, weights: Floats) -> float:
        """Degrees of freedom: the effective number of units of each set (Kish, of squared loads) minus 1, summed."""
        freedom = 0.0
        for loads in self.loads:
            squares = (np.abs(weights) @ loads) ** 2
            largest = float(squares.max())
            if largest > 0:  # scaled by it: squares of small weights would underflow
                squares = squares / largest
                freedom += float(squares.sum()) ** 2 / float((squares**2).sum()) - 1
        return max(1.0, freedom)


def lift_groups(cells: Cells, group: NDArray[np.int64], number: int, by_day: bool) -> LiftGroups:
    """The lifts of ``number`` groups. ``group`` (s,): the group of each stratum; ``number`` means none.

    Units are buckets if lookups were counted by bucket; otherwise days, if ``by_day`` and there are at least two;
    otherwise there are no units. Each group needs a stratum in which both arms have lookups.
    """
    h, n = cells.hits.sum(2), cells.lookups.sum(2)
    gain, weight = _rate_difference(h[0], n[0], h[1], n[1])
    lift = _sums(gain, group, number) / _sums(weight, group, number)
    shared = np.where((n > 0).all(0), group, number)
    lookups, hits = (np.stack([_sums(of_arm, shared, number) for of_arm in x]) for x in (n, h))
    rate = (hits + 1) / (lookups + 2)  # never 0 or 1: an outcome that was not seen is still possible
    replicates, loads = [], []
    if cells.bucketed:
        for arm in (0, 1):
            left_h, left_n = ([total[:, None] for total in x] for x in (h, n))
            left_h[arm], left_n[arm] = left_h[arm] - cells.hits[arm], left_n[arm] - cells.lookups[arm]
            without = _rate_difference(left_h[0], left_n[0], left_h[1], left_n[1])
            gains, weights = (_sums(x, group, number) for x in without)
            replicates.append(_ratio(gains, weights, lift))
            loads.append(_sums(cells.lookups[arm], shared, number) / lookups[arm][:, None])
        return LiftGroups(lift, replicates, loads, rate * (1 - rate) / lookups, "buckets")
    if by_day and len(days := np.unique(cells.day[shared < number])) > 1:
        of_day = (cells.day[:, None] == days).astype(np.float64)
        gains, weights = (_sums(x[:, None] * (1 - of_day), group, number) for x in (gain, weight))
        replicates.append(_ratio(gains, weights, lift))
        loads.append(_sums(weight[:, None] * of_day, group, number))
        return LiftGroups(lift, replicates, loads, rate * (1 - rate) / lookups, "days")
    return LiftGroups(lift, [], [], rate * (1 - rate) / lookups, None)


def student_quantile(freedom: float) -> float:
    """The quantile of Student's t with (1 - CONFIDENCE) / 2 above it. ``freedom`` >= 1, not necessarily whole."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def _rate_difference(hw: Floats, nw: Floats, hh: Floats, nh: Floats) -> tuple[Floats, Floats]:
    """Numerator and denominator of each stratum in the Mantel-Haenszel rate difference; both 0 for a stratum without
    lookups in one of the arms."""
    n = np.maximum(nw + nh, 1)
    return (hw * nh - hh * nw) / n, nw * nh / n


def _sums(values: Floats, group: NDArray[np.int64], number: int) -> Floats:
    """Sums over the strata (first axis) of each group; group ``number`` is not summed."""
    out = np.zeros((number + 1, *values.shape[1:]), np.float64)
    np.add.at(out, group, values)
    return out[:number]


def _ratio(part: Floats, whole: Floats, otherwise: Floats) -> Floats:
    """(g, r): part / whole. If nothing remains without a unit, its replicate is ``otherwise``: it adds no variance."""
    return np.where(whole > 1e-9, part / np.maximum(whole, 1e-9), otherwise[:, None])
