"""The Dagster assets of the candidates: golden answers, frequent queries and synthetic variants."""

from typing import Any

import dagster as dg

from cachewarm_pipeline.candidates.service import frequent_of_days, golden_of_day
from cachewarm_pipeline.candidates.variant_service import SyntheticVariants, variants_of_day
from cachewarm_pipeline.candidates.variants_page import NO_LLM, llm_metadata
from cachewarm_pipeline.candidates.window_rollup import FrequentQueries
from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.lineage.asset_page import judge_metadata, observe_source, record_day, records, table_metadata
from cachewarm_pipeline.lineage.daily_asset import CANDIDATES_GROUP, PAID_POOL, daily_asset, paid_days
from cachewarm_pipeline.lineage.partitions import days_of, lookback
from cachewarm_pipeline.ports import Judge
from cachewarm_pipeline.query_log.mined_days import DAILY, mined_days
from cachewarm_pipeline.workspace.workspace import Workspace


@daily_asset(
    deps=["analyses", "findings"],
    group=CANDIDATES_GROUP,
    kinds={"ibis", "parquet"},
)
def golden_candidates(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """The golden answers: findings with high confidence up to the day, best first, one per prompt and agent_type. They
    come from `analyses` and `findings`, and are admitted to the plan before all other candidates. Findings with
    personal data or secrets are excluded."""
    days, rows = days_of(context), 0
    for day in days:
        table, excluded = golden_of_day(workspace, day)
        workspace.datasets.write("golden_candidates", day, table)
        rows = table.num_rows + excluded.total()
        record_day(
            context,
            day,
            table_metadata(table, excluded, ("prompt", "agent_type", "quality_score", "response")),
        )
    observe_source(context, "findings", rows, days[-1:], "findings up to the day, including excluded ones")


_UNFIT_SHOWN = 10
"""Unfit queries on the page, those asked most; the dataset has all of them."""


@daily_asset(
    deps=[dg.AssetDep(DAILY, partition_mapping=lookback)],
    group=CANDIDATES_GROUP,
    kinds={"pyarrow", "parquet"},
    pool=PAID_POOL,
)
def frequent_queries(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """The queries that users asked often enough in the lookback window, each with the answer to reuse. They come from
    `daily_query_counts`. The page counts the reasons why other queries were excluded; reviewers find those that do not
    fit a cache (personal data, answers that change) in the dataset unfit_queries. The table `noise` shows for each
    agent_type how often two answers to one query disagree: close in time, far apart, for one user and for two."""
    settings, datasets = workspace.settings, workspace.datasets
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        days = mined_days(workspace, day, settings.lookback_days)
        found = frequent_of_days(workspace, days, judge)
        datasets.write("frequent_queries", day, found.table)
        datasets.write("unfit_queries", day, found.unfit_queries)
        datasets.write("judge_noise", day, found.noise)
        metadata = _frequent_metadata(workspace, found, len(days), judge)
        record_day(context, day, metadata, spent=workspace.ledger.usd())


def _frequent_metadata(workspace: Workspace, found: FrequentQueries, days: int, judge: Judge) -> dict[str, Any]:
    """``days``: days of the lookback window that have counts."""
    return table_metadata(
        found.table,
        found.excluded,
        ("prompt", "agent_type", "frequency", "distinct_users", "stability", "response"),
        window_days=days,
        days_missing=workspace.settings.lookback_days - days,
        unfit_personal=found.excluded[ExclusionReason.PERSONAL],
        unfit_volatile=found.excluded[ExclusionReason.VOLATILE],
        sampled_queries=found.sampled,
        noise=records(found.noise.to_pylist()),
        unfit=records(found.unfit_queries.drop_columns(["entry_id"]).slice(0, _UNFIT_SHOWN).to_pylist()),
        **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
    )


@daily_asset(
    deps=["golden_candidates", "frequent_queries"],
    group=CANDIDATES_GROUP,
    kinds={"openai", "parquet"},
    pool=PAID_POOL,
)
def synthetic_variants(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """Other wordings of base queries, written by a model; each has the verified answer of its base. The bases are
    configured per agent_type; with an API they also include the best golden answers and the most asked queries.
    Variants that changed the meaning, add nothing or are nearer to another question are excluded, and the page counts
    why."""
    datasets = workspace.datasets
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        golden, frequent = (datasets.read(name, day) for name in ("golden_candidates", "frequent_queries"))
        found = variants_of_day(workspace, golden, frequent, judge, context.log.info)
        if found.fault:
            context.log.warning(f"{day}: variants are missing: {found.fault}")
        datasets.write("synthetic_variants", day, found.table)
        record_day(context, day, _variants_metadata(workspace, found, judge), spent=workspace.ledger.usd())


def _variants_metadata(workspace: Workspace, found: SyntheticVariants, judge: Judge) -> dict[str, Any]:
    usd_per_million_tokens = workspace.embedder.info.usd_per_million_tokens
    return table_metadata(
        found.table,
        found.excluded,
        ("base_prompt", "prompt", "agent_type", "base_distance", "response"),
        **({"fault": found.fault} if found.fault else {}),
        **({"why_none": NO_LLM} if found.llm is None else llm_metadata(found.llm)),
        **{f"bases_{origin}": number for origin, number in found.bases.items()},
        tokens=found.tokens,
        usd=found.tokens * usd_per_million_tokens / 1e6,
        **judge_metadata(judge, usd_per_million_tokens),
    )
