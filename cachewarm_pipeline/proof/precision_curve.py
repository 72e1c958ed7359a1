"""Precision against hit rate as a threshold loosens: the curve, and its plot on the page of `replay`."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.plots.drawing import Point, line_plot, percent_label

Floats = NDArray[np.float64]

CURVE_POINTS = 200
"""Points of a curve at most: more than a plot of 700 pixels can show."""


@dataclass(frozen=True)
class PrecisionCurve:
    """Precision against hit rate as a threshold loosens, strictest first; all of shape (p,), p <= CURVE_POINTS."""

    threshold: Floats
    hit_rate: Floats
    precision: Floats


def precision_curve(score: Floats, right_weight: Floats, wrong_weight: Floats, lookups_total: float) -> PrecisionCurve:
    """What each threshold would serve: a query is a hit if its score >= threshold.

    One row per distinct query, all (m,). ``right_weight`` and ``wrong_weight``: lookups of the query that would be
    answered correctly and wrongly (of a query that was judged in part, its lookups in the proportion of the judged
    ones). Queries without either weight are ignored, and so are those that no threshold serves (score -inf or NaN).
    ``lookups_total``: the denominator of the hit rate. Equal scores are served together. Points are thinned evenly in
    hit rate, and both ends are kept.
    """
    weight = right_weight + wrong_weight
    used = (weight > 0) & (score > -np.inf)
    if not used.any():
        return PrecisionCurve(*(np.empty(0) for _ in range(3)))
    order = np.argsort(-score[used], kind="stable")
    ranked = score[used][order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of each run of equal scores
    hits = np.cumsum(weight[used][order])[last]
    right = np.cumsum(right_weight[used][order])[last]
    if len(last) > CURVE_POINTS:
        levels = np.linspace(hits[0], hits[-1], CURVE_POINTS)
        at = np.unique(np.searchsorted(hits, levels).clip(0, len(hits) - 1))
    else:
        at = np.arange(len(last))
    return PrecisionCurve(ranked[last[at]], hits[at] / lookups_total, right[at] / hits[at])


def precision_plot(
    curves: Mapping[str, PrecisionCurve], target: float, operating: Mapping[str, Point] | None = None
) -> str:
    """Data URI of a plot of precision against hit rate, one line per curve.

    ``target``: the allowed wrong-hit rate [0, 1], drawn as a line: a rule works where its curve is above it.
    ``operating``: (hit rate, precision) at which a curve's rule operates, ringed and noted beside the curve's name.
    """
    at = operating or {}
    notes = {name: f"{hits:.1%} hits, {1 - right:.1%} wrong" for name, (hits, right) in at.items()}
    # The strictest thresholds serve a handful of queries; a single wrong one would compress all else to the top edge.
    lowest = min([1 - 2 * target, *(float(c.precision[-1]) for c in curves.values() if len(c.precision))])
    return line_plot(
        {name: (curve.hit_rate, curve.precision) for name, curve in curves.items()},
        title="Precision against hit rate, as the threshold loosens to the right",
        x_label="hits / lookups",
        y_label="right hits / hits",
        percent="xy",
        limit=(1 - target, f"target: {percent_label(target)} wrong"),
        marks=at,
        notes=notes,
        y_range=(max(0.0, lowest - 0.02), 1.004),
    )
