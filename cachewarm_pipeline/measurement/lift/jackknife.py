"""Lifts, and how much they vary when the units that chance deals to the arms are left out one at a time."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.measurement.lift.arm_counts import Cells, Floats

CONFIDENCE = 0.95

JackknifeBasis = Literal["buckets", "days"]


class Estimate(NamedTuple):
    """A figure and its 95% interval; the ends are None where nothing tells how sure it is."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Groups:
    """Lifts of g groups of strata that are estimated from the same units.

    ``lift`` (g,). ``replicates``: one (g, r) for each set of r units, the lift without the unit. ``loads``: likewise,
    share of the group's lookups (buckets: of the arm's) that are in the unit. ``independent`` (2, g): variance of each
    arm's hit rate if lookups were independent. ``basis``: what the units are; None where there are none to tell by.
    """

    lift: Floats
    replicates: list[Floats]
    loads: list[Floats]
    independent: Floats
    basis: JackknifeBasis | None

    def weighted(self, weights: Floats) -> Estimate:
        """Sum of weight x lift, ``weights`` (g,), and its interval; without ends where ``basis`` is None.

        The variance is that of independent lookups times the design effect, the larger one of the sets of units: a
        small arm that holds none of the heaviest users by chance is too sure of itself just when it is off.
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
        half = student(self._freedom(weights)) * float(effect * independent.sum()) ** 0.5
        return Estimate(value, value - half, value + half)

    def _freedom(self, weights: Floats) -> float:
        """Degrees of freedom: units of equal size that would be as uneven together (Kish, of squares), less 1 a set."""
        freedom = 0.0
        for loads in self.loads:
            squares = (np.abs(weights) @ loads) ** 2
            largest = float(squares.max())
            if largest > 0:  # relative to it, or the squares of small weights vanish
                squares = squares / largest
                freedom += float(squares.sum()) ** 2 / float((squares**2).sum()) - 1
        return max(1.0, freedom)


def groups_of(cells: Cells, group: NDArray[np.int64], number: int, by_day: bool) -> Groups:
    """The lifts of ``number`` groups; ``group`` (s,): of each stratum, ``number`` where it belongs to none.

    The units are buckets where there are any, else days if ``by_day`` and there are two of them, else none. Each group
    needs a stratum in which both arms were asked.
    """
    h, n = cells.hits.sum(2), cells.lookups.sum(2)
    gain, weight = _rate_difference(h[0], n[0], h[1], n[1])
    lift = _sums(gain, group, number) / _sums(weight, group, number)
    there = np.where((n > 0).all(0), group, number)
    asked, hit = (np.stack([_sums(of_arm, there, number) for of_arm in x]) for x in (n, h))
    rate = (hit + 1) / (asked + 2)  # never 0 or 1: what was not seen is not impossible
    replicates, loads = [], []
    if cells.bucketed:
        for arm in (0, 1):
            left_h, left_n = ([total[:, None] for total in x] for x in (h, n))
            left_h[arm], left_n[arm] = left_h[arm] - cells.hits[arm], left_n[arm] - cells.lookups[arm]
            without = _rate_difference(left_h[0], left_n[0], left_h[1], left_n[1])
            gains, weights = (_sums(x, group, number) for x in without)
            replicates.append(_ratio(gains, weights, lift))
            loads.append(_sums(cells.lookups[arm], there, number) / asked[arm][:, None])
        return Groups(lift, replicates, loads, rate * (1 - rate) / asked, "buckets")
    if by_day and len(days := np.unique(cells.day[there < number])) > 1:
        of_day = (cells.day[:, None] == days).astype(np.float64)
        gains, weights = (_sums(x[:, None] * (1 - of_day), group, number) for x in (gain, weight))
        replicates.append(_ratio(gains, weights, lift))
        loads.append(_sums(weight[:, None] * of_day, group, number))
        return Groups(lift, replicates, loads, rate * (1 - rate) / asked, "days")
    return Groups(lift, [], [], rate * (1 - rate) / asked, None)


def student(freedom: float) -> float:
    """The quantile of Student's t that leaves (1 - CONFIDENCE) / 2 above it; ``freedom`` >= 1, need not be whole.

    With t = sqrt(freedom) tan(angle) the density is cos(angle)^(freedom - 1), which is summed on a grid: good to 0.1%
    up to 1,000, which is the normal to 0.1% already.
    """
    freedom = min(freedom, 1000.0)
    angle = np.linspace(0, np.pi / 2, 20_001)
    density = np.cos(angle) ** (freedom - 1)
    below = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2)))
    return float(freedom**0.5 * np.tan(np.interp(CONFIDENCE * below[-1], below, angle)))


def _rate_difference(hw: Floats, nw: Floats, hh: Floats, nh: Floats) -> tuple[Floats, Floats]:
    """Numerator and denominator of each stratum in Mantel and Haenszel's rate difference; both 0 where it was not asked
    in both arms."""
    n = np.maximum(nw + nh, 1)
    return (hw * nh - hh * nw) / n, nw * nh / n


def _sums(values: Floats, group: NDArray[np.int64], number: int) -> Floats:
    """Of the strata (first axis) of each group; those of group ``number`` are left out."""
    out = np.zeros((number + 1, *values.shape[1:]), np.float64)
    np.add.at(out, group, values)
    return out[:number]


def _ratio(part: Floats, whole: Floats, otherwise: Floats) -> Floats:
    """(g, r). Where nothing is left without a unit, the unit tells nothing of how sure the lift is."""
    return np.where(whole > 1e-9, part / np.maximum(whole, 1e-9), otherwise[:, None])
