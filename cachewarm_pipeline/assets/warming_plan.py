"""The desired entries of the day: golden first, then the log, without duplicates or conflicts,
each good enough, grouped by answer, within budget."""

import dagster as dg

from cachewarm_pipeline.assets import steps
from cachewarm_pipeline.assets.common import OWNERS, VERIFICATION, judge_metadata, record, records, table_metadata
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
    judge = workspace.judge(context.log.info)
    for day in days_of(context):
        candidates = [datasets.read(name, day) for name in ("golden_candidates", "frequent_queries")]
        embedded = set(datasets.read("embeddings", day, columns=["embedding_key"])["embedding_key"].to_pylist())
        plan = steps.plan(workspace, candidates, embedded, judge)
        datasets.write("plan_conflicts", day, plan.conflicts)
        datasets.write("warming_plan", day, plan.table)
        sources = plan.table["source"].to_pylist()
        record(
            context,
            day,
            table_metadata(
                plan.table,
                plan.left_out,
                ("rank", "prompt", "agent_type", "source", "quality_score", "demand"),
                budget=settings.budget,
                golden=sources.count("golden"),
                query_log=sources.count("query_log"),
                synthetic=sources.count("synthetic"),
                answer_groups=len(set(plan.table["answer_group"].to_pylist())),
                conflicts=records(plan.conflicts.slice(0, 10).drop_columns(["kept_id", "dropped_id"]).to_pylist()),
                **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
            ),
        )
