"""How much warming adds to the hit rate, measured against users who never see warmed entries (the holdout).

In: the day's stored counters of both arms, and what the replay had forecast. Out: WARMING_IMPACT and its sentences.

- `arm_counts`: one count of the counters (ArmCount), and all counts as arrays (Cells).
- `jackknife`: lifts of groups of counts, and their variance when buckets of users are left out one at a time.
- `holdout_lift`: the lift of each agent_type and of all, with its 95% interval or the reason why it has none.
- `forecast_comparison`: forecast and measured hit rate and lift, day by day.
- `measured_impact`: a window of stored days: which days count, lift, plain hit rates, hits by source.
- `impact_table`: the same as rows of WARMING_IMPACT.
- `impact_text`: the same as sentences.
"""

from cachewarm_pipeline.measurement.lift.arm_counts import BUCKETS, HOLDOUT_ARM, ArmCount
from cachewarm_pipeline.measurement.lift.forecast_comparison import DayCompared, Forecast, compare_days
from cachewarm_pipeline.measurement.lift.holdout_lift import Impact, Lift, impact
from cachewarm_pipeline.measurement.lift.jackknife import Estimate

__all__ = [
    "BUCKETS",
    "HOLDOUT_ARM",
    "ArmCount",
    "DayCompared",
    "Estimate",
    "Forecast",
    "Impact",
    "Lift",
    "compare_days",
    "impact",
]
