"""Whether measuring is whole, as an asset check. It never stops a run."""

from datetime import date, timedelta

import dagster as dg
from cachewarm_client.counters import SERVED_SECONDS

from cachewarm_pipeline.lineage.check_result import check_result
from cachewarm_pipeline.lineage.partitions import daily
from cachewarm_pipeline.measurement.entry_payback_service import ENTRY_PAYBACK_ASSET
from cachewarm_pipeline.measurement.serving_counts_service import HITS, HOURS
from cachewarm_pipeline.proof.gate_verdict import GateVerdict
from cachewarm_pipeline.workspace.workspace import Workspace


@dg.asset_check(
    asset="entry_payback",
    partitions_def=daily,
    description="What readers counted on the day, and what entries earned by it, is stored. Never stops a run.",
)
def day_is_counted(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> GateVerdict:
        if workspace.dry:
            return GateVerdict(True, "A dry run reads no counters.")
        missing = [name for name in (HOURS, HITS, ENTRY_PAYBACK_ASSET) if not workspace.datasets.exists(name, day)]
        if not missing:
            return GateVerdict(True, f"What readers counted on {day} is stored.")
        if not workspace.settled(day):
            return GateVerdict(True, f"{day} is not over: its counters are read when it is.")
        if ENTRY_PAYBACK_ASSET not in missing and workspace.today - day > timedelta(seconds=SERVED_SECONDS):
            return GateVerdict(True, f"{day} was before its counters were read; Redis has them no more.")
        return GateVerdict(True, f"Measuring of {day} is not whole: no {', '.join(missing)} of it.", warning=True)

    return check_result(context, judge)
