"""The Dagster assets of the candidates: golden answers, frequent queries and synthetic variants."""

import dagster as dg

from cachewarm_pipeline.candidates.service import frequent_of_days, golden_of_day
from cachewarm_pipeline.candidates.variant_service import variants_of_day
from cachewarm_pipeline.candidates.variants_page import NO_LLM, llm_metadata
from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.lineage.asset_page import judge_metadata, observe, record, records, table_metadata
from cachewarm_pipeline.lineage.daily_asset import CANDIDATES, PAID, daily_asset, paid_days
from cachewarm_pipeline.lineage.partitions import days_of, lookback
from cachewarm_pipeline.query_log.service import DAILY, mined_days
from cachewarm_pipeline.workspace.workspace import Workspace


@daily_asset(
    deps=["analyses", "findings"],
    group=CANDIDATES,
    kinds={"ibis", "parquet"},
)
def golden_candidates(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """Findings with high confidence, created up to the end of the day: one for each prompt and agent_type, best first,
    up to a cap. Findings with personal data or secrets are excluded."""
    days, rows = days_of(context), 0
    for day in days:
        table, excluded = golden_of_day(workspace, day)
        workspace.datasets.write("golden_candidates", day, table)
        rows = table.num_rows + excluded.total()
        record(
            context,
            day,
            table_metadata(table, excluded, ("prompt", "agent_type", "quality_score", "response")),
        )
    observe(context, "findings", rows, days[-1:], "findings up to the day, including excluded ones")


_UNFIT_SHOWN = 10
"""Unfit queries on the page, the most frequent first. The dataset has all of them."""


@daily_asset(
    deps=[dg.AssetDep(DAILY, partition_mapping=lookback)],
    group=CANDIDATES,
    kinds={"pyarrow", "parquet"},
    pool=PAID,
)
def frequent_queries(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """The lookback window of daily counts, rolled up: queries that enough users ask often, each with the answer to
    reuse. Every excluded query is counted under a reason. Queries that are unfit for a cache (personal data, volatile
    answers) are listed for reviewers in the dataset unfit_queries."""
    settings, datasets = workspace.settings, workspace.datasets
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        mined = mined_days(workspace, day, settings.lookback_days)
        found = frequent_of_days(workspace, mined, judge)
        datasets.write("frequent_queries", day, found.table)
        datasets.write("unfit_queries", day, found.unfit_queries)
        record(
            context,
            day,
            table_metadata(
                found.table,
                found.excluded,
                ("prompt", "agent_type", "frequency", "distinct_users", "stability", "response"),
                window_days=len(mined),
                days_missing=settings.lookback_days - len(mined),
                unfit_personal=found.excluded[ExclusionReason.PERSONAL],
                unfit_volatile=found.excluded[ExclusionReason.VOLATILE],
                unfit=records(found.unfit_queries.drop_columns(["entry_id"]).slice(0, _UNFIT_SHOWN).to_pylist()),
                **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
            ),
            spent=workspace.ledger.usd(),
        )


@daily_asset(
    deps=["golden_candidates", "frequent_queries"],
    group=CANDIDATES,
    kinds={"openai", "parquet"},
    pool=PAID,
)
def synthetic_variants(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """Variants: other wordings of base queries, written by a model. Base queries are the configured ones and, where a
    model is asked, also the best golden answers and the most frequent queries. A variant is excluded where its meaning
    changed, where it adds nothing, or where it is nearer to another question. It has the verified answer of its
    base."""
    datasets = workspace.datasets
    usd_per_million_tokens = workspace.embedder.info.usd_per_million_tokens
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        golden, frequent = (datasets.read(name, day) for name in ("golden_candidates", "frequent_queries"))
        found = variants_of_day(workspace, golden, frequent, judge, context.log.info)
        if found.fault:
            context.log.warning(f"{day}: variants are missing: {found.fault}")
        datasets.write("synthetic_variants", day, found.table)
        record(
            context,
            day,
            table_metadata(
                found.table,
                found.excluded,
                ("base_prompt", "prompt", "agent_type", "base_distance", "response"),
                **({"fault": found.fault} if found.fault else {}),
                **({"why_none": NO_LLM} if found.llm is None else llm_metadata(found.llm)),
                **{f"bases_{origin}": number for origin, number in found.bases.items()},
                tokens=found.tokens,
                usd=found.tokens * usd_per_million_tokens / 1e6,
                **judge_metadata(judge, usd_per_million_tokens),
            ),
            spent=workspace.ledger.usd(),
        )
