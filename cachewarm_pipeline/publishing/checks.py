"""The check after publishing: the live generation is the plan."""

from datetime import date

import dagster as dg

from cachewarm_pipeline.lineage.check_result import check_result
from cachewarm_pipeline.lineage.partitions import daily
from cachewarm_pipeline.proof import plan_gates
from cachewarm_pipeline.proof.gate_verdict import GateVerdict
from cachewarm_pipeline.workspace.workspace import Workspace


@dg.asset_check(
    asset="cache_entries",
    partitions_def=daily,
    description="After publishing, the live generation has exactly the planned entries.",
)
def loaded_equals_planned(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> GateVerdict:
        cache = workspace.cache
        live, filling, pin = cache.live(), cache.filling(), cache.pinned()
        if pin:
            return GateVerdict(True, f"{day} was not published: {pin.describe()}.", warning=True)
        if filling or (live is None and workspace.settings.progressive):
            loaded = f"{filling.loaded:,} of {filling.entries:,} entries of {filling.id}" if filling else "none so far"
            return GateVerdict(
                True,
                f"Loading continues in the off-peak window (loaded: {loaded}). Until it is complete, the previous "
                "generation serves.",
            )
        if live is None:
            return GateVerdict(False, f"Nothing is live under the name {workspace.settings.name!r}.")
        if live.as_of != day:
            return GateVerdict(True, f"The live generation is of {live.as_of}; {day} did not replace it.")
        plan = set(workspace.datasets.read("warming_plan", day, columns=["entry_id"])["entry_id"].to_pylist())
        found = cache.entry_ids(live.id)
        if workspace.settings.progressive and len(found) == live.entries and found != plan:
            return GateVerdict(True, f"{day} was planned again; loading it starts in the next off-peak window.")
        return plan_gates.loaded_equals_planned(plan, found)

    return check_result(context, judge)
