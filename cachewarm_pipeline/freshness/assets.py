"""The checks of answers as a Dagster asset."""

import dagster as dg

from cachewarm_pipeline.candidates.variants_page import llm_metadata
from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.freshness.answer_checks_page import checks_metadata
from cachewarm_pipeline.freshness.check_service import CANDIDATES, check_day
from cachewarm_pipeline.lineage.asset_page import judge_metadata, record_day, table_metadata
from cachewarm_pipeline.lineage.daily_asset import PAID_POOL, VERIFICATION_GROUP, daily_asset, paid_days
from cachewarm_pipeline.workspace.workspace import Workspace


class AnswerChecksConfig(dg.Config):
    """``whole``: check every entry and not a sample, as the monthly run does."""

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
    """Whether the answers of the newest plan are still right. A weekly sample of all frequent queries is compared with
    the log's later answers (CACHEWARM_REFRESH=log) or a model's fresh ones (llm), which measures how fast the answers
    of an agent_type change, and so sets its TTL and how old an answer may be. Entries whose model, prompt version,
    embedder, source or answer has changed, or whose answer is too old, are marked; the stale ones are a queue,
    ordered by hits (expected ones, until a week of them is measured) x change rate, of which a model answers the
    first again. The next plan follows this."""
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
