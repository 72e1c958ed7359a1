"""The check that measuring is complete. It never stops a run."""

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
    description="The day's serving counts and entry payback are stored. A warning; it never stops a run.",
)
def day_is_counted(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> GateVerdict:
        if workspace.dry:
            return GateVerdict(True, "A dry run reads no counters.")
        missing = [name for name in (HOURS, HITS, ENTRY_PAYBACK_ASSET) if not workspace.datasets.exists(name, day)]
        if not missing:
            return GateVerdict(True, f"The counts of {day} are stored.")
        if not workspace.settled(day):
            return GateVerdict(True, f"{day} is not over yet; its counters are read once it is.")
        if ENTRY_PAYBACK_ASSET not in missing and workspace.today - day > timedelta(seconds=SERVED_SECONDS):
            return GateVerdict(True, f"The counters of {day} were not read in time, and Redis no longer has them.")
        return GateVerdict(
            True, f"The measurements of {day} are incomplete: {', '.join(missing)} missing.", warning=True
        )

    return check_result(context, judge)
