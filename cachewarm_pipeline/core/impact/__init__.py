"""What warming brought: the lift over a holdout arm (lift), what the counters must keep for it (counts), and the
forecast against what came (forecast)."""

from cachewarm_pipeline.core.impact.counts import BUCKETS, HOLDOUT_ARM, Count
from cachewarm_pipeline.core.impact.forecast import BeforeAfter, DayCompared, Forecast, before_after, compare_days
from cachewarm_pipeline.core.impact.jackknife import Estimate
from cachewarm_pipeline.core.impact.lift import Impact, Lift, impact

__all__ = [
    "BUCKETS",
    "HOLDOUT_ARM",
    "BeforeAfter",
    "Count",
    "DayCompared",
    "Estimate",
    "Forecast",
    "Impact",
    "Lift",
    "before_after",
    "compare_days",
    "impact",
]
