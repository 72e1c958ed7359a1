"""Findings with high confidence created up to the day, best first, one per prompt and agent_type, capped; none
with personal data or secrets."""

import dagster as dg

from cachewarm_pipeline.candidates.service import golden_of_day
from cachewarm_pipeline.lineage.asset_page import CANDIDATES, OWNERS, observe, record, table_metadata
from cachewarm_pipeline.lineage.partitions import daily, days_of, one_run
from cachewarm_pipeline.workspace.workspace import Workspace


@dg.asset(
    deps=["analyses", "findings"],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=CANDIDATES,
    owners=OWNERS,
    kinds={"ibis", "parquet"},
    description=__doc__,
)
def golden_candidates(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    days, rows = days_of(context), 0
    for day in days:
        table, left_out = golden_of_day(workspace, day)
        workspace.datasets.write("golden_candidates", day, table)
        rows = table.num_rows + left_out.total()
        record(
            context,
            day,
            table_metadata(table, left_out, ("prompt", "agent_type", "quality_score", "response")),
        )
    observe(context, "findings", rows, days[-1:], "findings up to the day, with those that were left out")
