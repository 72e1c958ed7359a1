"""Findings with high confidence created up to the day, best first, one per prompt and agent_type, capped."""

import dagster as dg

from cachewarm_pipeline.assets.common import CANDIDATES, OWNERS, record, table_metadata
from cachewarm_pipeline.core.golden import golden_candidates as select_golden
from cachewarm_pipeline.partitions import daily, days_of, one_run
from cachewarm_pipeline.resources.workspace import Workspace


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
    settings = workspace.settings
    for day in days_of(context):
        rows = workspace.source.golden(day, settings.min_quality)
        table, left_out = select_golden(
            rows.table, cap=settings.golden_max, max_response_bytes=settings.max_response_bytes
        )
        workspace.datasets.write("golden_candidates", day, table)
        record(
            context,
            day,
            table_metadata(table, rows.left_out + left_out, ("prompt", "agent_type", "quality_score", "response")),
        )
