"""What warming brought: the lift over a holdout arm (lift), what the counters must keep for it (counts), and the
forecast against what came (forecast)."""

from cachewarm_pipeline.measurement.lift.arm_counts import BUCKETS, HOLDOUT_ARM, Count
from cachewarm_pipeline.measurement.lift.forecast_comparison import DayCompared, Forecast, compare_days
from cachewarm_pipeline.measurement.lift.holdout_lift import Impact, Lift, impact
from cachewarm_pipeline.measurement.lift.jackknife import Estimate

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
