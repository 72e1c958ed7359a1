"""The embeddings and the warming plan as Dagster assets."""

import dagster as dg
import pyarrow as pa
from cachewarm_client.text import embedding_key

from cachewarm_pipeline.lineage.asset_page import judge_metadata, record, records, table_metadata
from cachewarm_pipeline.lineage.daily_asset import PAID, VERIFICATION, daily_asset, paid_days
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts
from cachewarm_pipeline.planning.gain_curve import curve_table
from cachewarm_pipeline.planning.plan_page import idle_entries_table, selection_metadata
from cachewarm_pipeline.planning.service import plan_day
from cachewarm_pipeline.storage.schemas import EMBEDDINGS
from cachewarm_pipeline.workspace.workspace import Workspace

_OF = ("golden_candidates", "frequent_queries", "synthetic_variants", "labelled_queries")


@daily_asset(
    deps=list(_OF),
    group=VERIFICATION,
    kinds={"onnx", "openai", "parquet"},
    pool=PAID,
)
def embeddings(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """Content-addressed vectors of every candidate's and labelled query's prompt: a text is never embedded twice."""
    datasets = workspace.datasets
    for day in paid_days(context, workspace):
        tables = [datasets.read(asset, day, columns=["prompt"]) for asset in _OF]
        texts = sorted({prompt for table in tables for prompt in table["prompt"].to_pylist()})
        done = embed_new_texts(workspace.embedder, workspace.vectors, texts, context.log.info)
        info = workspace.embedder.info
        keys = [embedding_key(info.id, text) for text in texts]
        table = pa.table(
            [keys, [info.id] * len(texts), texts, pa.array([done.dimensions] * len(texts), pa.int32())],
            schema=EMBEDDINGS,
        )
        datasets.write("embeddings", day, table)
        record(
            context,
            day,
            table_metadata(
                table,
                examples=("text", "embedding_key", "dimensions"),
                model=info.id,
                embedded=done.embedded,
                reused=done.reused,
                tokens=done.tokens,
                usd=done.tokens * info.usd_per_million_tokens / 1e6,
                seconds=done.seconds,
            ),
            spent=workspace.ledger.usd(),
        )


_CANDIDATES = ("golden_candidates", "frequent_queries", "synthetic_variants")


@daily_asset(
    # The checks are of the weekly run: a plan takes the newest there are.
    deps=[*_CANDIDATES, "labelled_queries", "embeddings", "answer_checks", "entry_payback"],
    group=VERIFICATION,
    kinds={"numpy", "parquet"},
    pool=PAID,
)
def warming_plan(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """The entries of the day, chosen for the hits that they bring under the budget: golden first, then the log, then
    synthetic variants, each only where it earns its place; without duplicates or conflicts, grouped by answer."""
    settings, datasets = workspace.settings, workspace.datasets
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        candidates = [datasets.read(name, day) for name in _CANDIDATES]
        embedded = set(datasets.read("embeddings", day, columns=["embedding_key"])["embedding_key"].to_pylist())
        labelled = datasets.read("labelled_queries", day)
        planned = plan_day(workspace, day, candidates, labelled, embedded, judge, context.log.info)
        plan, curve = planned.plan, curve_table(planned.curves)
        datasets.write("plan_conflicts", day, plan.conflicts)
        datasets.write("plan_curve", day, curve)
        datasets.write("warming_plan", day, plan.table)
        sources = plan.table["source"].to_pylist()
        record(
            context,
            day,
            {
                **selection_metadata(planned, curve),
                **table_metadata(
                    plan.table,
                    plan.excluded,
                    ("rank", "prompt", "agent_type", "source", "gain", "demand", "quality_score"),
                    budget=settings.budget,
                    selection=settings.selection,
                    golden=sources.count("golden"),
                    query_log=sources.count("query_log"),
                    synthetic=sources.count("synthetic"),
                    refreshed=planned.admitted.refreshed,
                    stale=dict(planned.admitted.stale),
                    earned_nothing=idle_entries_table(workspace, day, planned.admitted.idle),
                    answer_groups=len(set(plan.table["answer_group"].to_pylist())),
                    conflicts=records(plan.conflicts.slice(0, 10).drop_columns(["kept_id", "dropped_id"]).to_pylist()),
                    **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
                ),
            },
            spent=workspace.ledger.usd(),
        )
