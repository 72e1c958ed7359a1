"""The chance of a hit at a cosine, as a logistic curve of the cosine: how likely an entry answers a lookup.

The same curve describes how likely two answers are the same at a cosine.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_CHANCE = 0.05
"""Smaller chances count as 0: they would connect every query with every entry and gain nothing."""

LEAST_PAIRS = 10
"""A curve is fitted on at least this many outcomes of each kind; with fewer it is flat, at the plain share."""

_PENALTY = 1.0


@dataclass(frozen=True)
class HitProbability:
    """chance = top / (1 + exp(-(intercept + slope * cosine))). ``slope`` is never negative."""

    intercept: float
    slope: float
    top: float = 1.0

    def __call__(self, cosine: NDArray[np.floating]) -> NDArray[np.float64]:
        """Chances at cosines of any shape, 0 below LEAST_CHANCE."""
        line = self.intercept + self.slope * np.asarray(cosine, np.float64)
        chance = self.top / (1 + np.exp(-np.clip(line, -700, 700)))
        return np.where(chance < LEAST_CHANCE, 0.0, chance)


NEVER = HitProbability(0.0, 0.0, 0.0)
"""Exact hits only: an entry answers no other prompt."""


def certain_within(radius: float) -> HitProbability:
    """Chance 1 within a cosine distance of ``radius``, 0 outside; both hold from 1/1000 off the edge."""
    slope = 1e5
    return HitProbability(slope * (radius - 1 + 1e-4), slope)


def fit_curve(cosine: NDArray[np.floating], holds: NDArray[np.bool_]) -> HitProbability:
    """The logistic curve through outcomes ``holds`` at cosines, both of shape (n,).

    NEVER where no outcome is true. Flat, at the share of true outcomes, with fewer than LEAST_PAIRS of either kind and
    where the fitted curve would fall.
    """
    good = int(holds.sum())
    if good == 0:
        return NEVER
    if min(good, len(holds) - good) < LEAST_PAIRS:
        share = (good + 0.5) / (len(holds) + 1)
        return HitProbability(float(np.log(share / (1 - share))), 0.0)
    from cachewarm_pipeline.match_rules.logistic_regression import logistic

    model = logistic(np.asarray(cosine, np.float64)[:, None], holds, _PENALTY)
    slope = model.weights[0]
    if slope > 0:
        return HitProbability(model.intercept, slope)
    share = good / len(holds)
    return HitProbability(float(np.log(share / (1 - share))), 0.0)
