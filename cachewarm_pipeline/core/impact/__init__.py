"""What warming brought: the lift over a holdout arm (lift), what the counters must keep for it (counts), and the
forecast against what came (forecast)."""

from cachewarm_pipeline.core.impact.counts import BUCKETS, HOLDOUT_ARM, Count
from cachewarm_pipeline.core.impact.forecast import DayCompared, Forecast, compare_days
from cachewarm_pipeline.core.impact.jackknife import Estimate
from cachewarm_pipeline.core.impact.lift import Impact, Lift, impact

__all__ = [
    "BUCKETS",
    "HOLDOUT_ARM",
    "Count",
    "DayCompared",
    "Estimate",
    "Forecast",
    "Impact",
    "Lift",
    "compare_days",
    "impact",
]
