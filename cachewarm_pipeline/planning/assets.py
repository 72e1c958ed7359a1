"""The embeddings and the warming plan as Dagster assets."""

import dagster as dg

from cachewarm_pipeline.lineage.asset_page import record_day
from cachewarm_pipeline.lineage.daily_asset import PAID_POOL, VERIFICATION_GROUP, daily_asset, paid_days
from cachewarm_pipeline.planning.embedding_service import PROMPT_DATASETS, embed_day
from cachewarm_pipeline.planning.gain_curves import curve_table
from cachewarm_pipeline.planning.plan_page import embeddings_metadata, plan_metadata
from cachewarm_pipeline.planning.service import plan_day
from cachewarm_pipeline.workspace.workspace import Workspace


@daily_asset(
    deps=list(PROMPT_DATASETS),
    group=VERIFICATION_GROUP,
    kinds={"onnx", "openai", "parquet"},
    pool=PAID_POOL,
)
def embeddings(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """The vector of every candidate's and every labelled query's prompt. A vector is stored under a hash of the model
    and the text, so no text is embedded twice. The page shows how many texts were new and what they cost."""
    for day in paid_days(context, workspace):
        embedded = embed_day(workspace, day, context.log.info)
        workspace.datasets.write("embeddings", day, embedded.table)
        record_day(context, day, embeddings_metadata(workspace, embedded), spent=workspace.ledger.usd())


_CANDIDATES = ("golden_candidates", "frequent_queries", "synthetic_variants")


@daily_asset(
    # Answer checks come from the weekly run: a plan uses the newest ones.
    deps=[*_CANDIDATES, "labelled_queries", "embeddings", "answer_checks", "entry_payback"],
    group=VERIFICATION_GROUP,
    kinds={"numpy", "parquet"},
    pool=PAID_POOL,
)
def warming_plan(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """The entries to warm, chosen under the budget for the hits that they are expected to bring: golden answers first,
    then the log, then synthetic variants, each only if it earns its place. There are no duplicates or conflicts, and
    entries with equivalent answers share an answer group. The page shows what more entries would bring, and why each
    other candidate was excluded."""
    datasets = workspace.datasets
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        candidates = [datasets.read(name, day) for name in _CANDIDATES]
        embedded = set(datasets.read("embeddings", day, columns=["embedding_key"])["embedding_key"].to_pylist())
        labelled = datasets.read("labelled_queries", day)
        planned = plan_day(workspace, day, candidates, labelled, embedded, judge, context.log.info)
        curve = curve_table(planned.curves)
        datasets.write("plan_conflicts", day, planned.plan.conflicts)
        datasets.write("plan_curve", day, curve)
        datasets.write("warming_plan", day, planned.plan.table)
        record_day(context, day, plan_metadata(workspace, day, planned, curve, judge), spent=workspace.ledger.usd())
