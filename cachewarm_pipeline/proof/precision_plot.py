"""The plot of precision against hit rate on the page of `replay`."""

from collections.abc import Mapping

from cachewarm_pipeline.plots.drawing import Point, line_plot, percent_label
from cachewarm_pipeline.proof.replay_summary import Curve


def precision_hit_rate(curves: Mapping[str, Curve], target: float, operating: Mapping[str, Point] | None = None) -> str:
    """Data URI of the precision of each curve against its hit rate, as a threshold loosens.

    ``target``: the wrong-hit rate [0, 1] that is allowed, shown as a line: a rule works where its curve is above.
    ``operating``: (hit rate, precision) where a curve's rule does work, ringed on it and told beside its name.
    """
    at = operating or {}
    told = {name: f"{hits:.1%} hits, {1 - right:.1%} wrong" for name, (hits, right) in at.items()}
    # The strictest thresholds serve a handful, of which one wrong one would squeeze all others to the top edge.
    lowest = min([1 - 2 * target, *(float(c.precision[-1]) for c in curves.values() if len(c.precision))])
    return line_plot(
        {name: (curve.hit_rate, curve.precision) for name, curve in curves.items()},
        title="Precision against hit rate, as the threshold loosens to the right",
        x_label="hits / lookups",
        y_label="right hits / hits",
        percent="xy",
        limit=(1 - target, f"target: {percent_label(target)} wrong"),
        marks=at,
        notes=told,
        y_range=(max(0.0, lowest - 0.02), 1.004),
    )
