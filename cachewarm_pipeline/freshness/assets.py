"""The Dagster asset `answer_checks`."""

import dagster as dg

from cachewarm_pipeline.candidates.variants_page import llm_metadata
from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.freshness.answer_checks_page import checks_metadata
from cachewarm_pipeline.freshness.answer_checks_service import CANDIDATES, check_day
from cachewarm_pipeline.lineage.asset_page import judge_metadata, record_day, table_metadata
from cachewarm_pipeline.lineage.daily_asset import PAID_POOL, VERIFICATION_GROUP, daily_asset, paid_days
from cachewarm_pipeline.workspace.workspace import Workspace


class AnswerChecksConfig(dg.Config):
    """``whole``: check every entry instead of a sample, as the monthly run does."""

    whole: bool = False


@daily_asset(
    deps=[*CANDIDATES, "entry_payback"],
    group=VERIFICATION_GROUP,
    kinds={"numpy", "openai", "parquet"},
    pool=PAID_POOL,
)
def answer_checks(
    context: dg.AssetExecutionContext, config: AnswerChecksConfig, workspace: dg.ResourceParam[Workspace]
) -> None:
    """Whether the answers of the newest plan are still right; the next plan uses the result. A weekly sample of the
    frequent queries is compared with later answers in the log (CACHEWARM_REFRESH=log) or with new answers of a model
    (llm). That gives the change rate of each agent_type, which sets the TTL of its entries and the age limit of its
    answers. Stale entries (changed model, prompt version, embedder, source or answer, or too old an answer) are queued
    by hits x change rate, and a model answers the first ones again."""
    datasets = workspace.datasets
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        found = check_day(workspace, day, judge, context.log.info, whole=config.whole)
        if found.fault:
            context.log.warning(f"{day}: answers are missing: {found.fault}")
        datasets.write("change_checks", day, found.checks)
        datasets.write("change_rates", day, found.rates)
        datasets.write("answer_checks", day, found.table)
        record_day(
            context,
            day,
            {
                **checks_metadata(found, end_of(day)),
                **table_metadata(
                    found.table, None, ("prompt", "agent_type", "why", "old_response", "new_response", "priority")
                ),
                **(llm_metadata(found.llm) if found.llm else {}),
                **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
            },
            spent=workspace.ledger.usd(),
        )
