"""How far an entry reaches: the chance that something holds at a cosine, as a logistic curve of it. Plain data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_CHANCE = 0.05
"""Smaller chances count as none: they would tie every query to every entry and bring nothing."""

LEAST_PAIRS = 10
"""Of each kind that a curve is fitted on; below, it is the pairs' plain share."""

_PENALTY = 1.0


@dataclass(frozen=True)
class Reach:
    """chance = 1 / (1 + exp(-(intercept + slope * cosine))), at most ``top``. ``slope`` is never negative."""

    intercept: float
    slope: float
    top: float = 1.0

    def __call__(self, cosine: NDArray[np.floating]) -> NDArray[np.float64]:
        """Chances at cosines of any shape, 0 below LEAST_CHANCE."""
        line = self.intercept + self.slope * np.asarray(cosine, np.float64)
        chance = self.top / (1 + np.exp(-np.clip(line, -700, 700)))
        return np.where(chance < LEAST_CHANCE, 0.0, chance)


NEVER = Reach(0.0, 0.0, 0.0)
"""Exact hits only."""


def step(radius: float) -> Reach:
    """1 from a cosine distance of ``radius`` on inwards, 0 outside; both within a thousandth of the edge."""
    slope = 1e5
    return Reach(slope * (radius - 1 + 1e-4), slope)


def fit_curve(cosine: NDArray[np.floating], holds: NDArray[np.bool_]) -> Reach:
    """The logistic curve through outcomes at cosines, both of shape (n,); a curve that falls is made flat."""
    good = int(holds.sum())
    if good == 0:
        return NEVER
    if min(good, len(holds) - good) < LEAST_PAIRS:
        share = (good + 0.5) / (len(holds) + 1)
        return Reach(float(np.log(share / (1 - share))), 0.0)
    from cachewarm_pipeline.match_rules.match_model_fit import logistic

    model = logistic(np.asarray(cosine, np.float64)[:, None], holds, _PENALTY)
    slope = model.weights[0]
    if slope > 0:
        return Reach(model.intercept, slope)
    share = good / len(holds)
    return Reach(float(np.log(share / (1 - share))), 0.0)
