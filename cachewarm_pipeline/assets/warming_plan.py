"""The desired entries of the day: golden first, then the log, without duplicates, each good enough, within budget."""

import dagster as dg

from cachewarm_pipeline.assets.common import OWNERS, VERIFICATION, record, table_metadata
from cachewarm_pipeline.core.plan import build_plan
from cachewarm_pipeline.partitions import daily, days_of, one_run
from cachewarm_pipeline.resources.workspace import Workspace


@dg.asset(
    deps=["golden_candidates", "frequent_queries", "embeddings"],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=VERIFICATION,
    owners=OWNERS,
    kinds={"pyarrow", "parquet"},
    description=__doc__,
)
def warming_plan(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    settings, datasets = workspace.settings, workspace.datasets
    for day in days_of(context):
        table, left_out = build_plan(
            [datasets.read("golden_candidates", day), datasets.read("frequent_queries", day)],
            model_id=workspace.embedder.info.id,
            embedded=set(datasets.read("embeddings", day, columns=["embedding_key"])["embedding_key"].to_pylist()),
            floors=settings.floors,
            budget=settings.budget,
        )
        datasets.write("warming_plan", day, table)
        sources = table["source"].to_pylist()
        record(
            context,
            day,
            table_metadata(
                table,
                left_out,
                ("rank", "prompt", "agent_type", "source", "quality_score", "demand"),
                budget=settings.budget,
                golden=sources.count("golden"),
                query_log=sources.count("query_log"),
                synthetic=sources.count("synthetic"),
            ),
        )
