"""The Dagster asset `answer_checks`."""

import dagster as dg

from cachewarm_pipeline.candidates.variants_page import llm_metadata
from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.freshness.answer_checks_page import checks_metadata
from cachewarm_pipeline.freshness.answer_checks_service import CANDIDATES, check_day
from cachewarm_pipeline.lineage.asset_page import judge_metadata, record, table_metadata
from cachewarm_pipeline.lineage.daily_asset import PAID, VERIFICATION, daily_asset, paid_days
from cachewarm_pipeline.workspace.workspace import Workspace


class AnswerChecksConfig(dg.Config):
    """``whole``: check every entry instead of a sample, as the monthly run does."""

    whole: bool = False


@daily_asset(
    deps=[*CANDIDATES, "entry_payback"],
    group=VERIFICATION,
    kinds={"numpy", "openai", "parquet"},
    pool=PAID,
)
def answer_checks(
    context: dg.AssetExecutionContext, config: AnswerChecksConfig, workspace: dg.ResourceParam[Workspace]
) -> None:
    """Whether the answers of the newest plan are still right. A weekly sample of all frequent queries is compared with
    the log's later answers (CACHEWARM_REFRESH=log) or with a model's fresh ones (llm). This measures how fast the
    answers of an agent_type change, which sets its TTL and how old an answer may be. An entry is marked as stale when
    its model, prompt version, embedder, source or answer has changed, or when its answer is too old. The stale entries
    form a queue, ordered by hits x change rate (by expected hits until a week of hits is measured); a model answers the
    first of them again. The next plan uses the result."""
    datasets = workspace.datasets
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        found = check_day(workspace, day, judge, context.log.info, whole=config.whole)
        if found.fault:
            context.log.warning(f"{day}: answers are missing: {found.fault}")
        datasets.write("change_checks", day, found.checks)
        datasets.write("change_rates", day, found.rates)
        datasets.write("answer_checks", day, found.table)
        record(
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
