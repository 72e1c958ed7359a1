"""Whether the answers of the newest plan are still right. A weekly sample of all frequent queries is compared with the
log's later answers (CACHEWARM_REFRESH=log) or a model's fresh ones (llm), which measures how fast the answers of an
agent_type change, and so sets its TTL and how old an answer may be. Entries whose model, prompt version, embedder,
source or answer has changed, or whose answer is too old, are marked; the stale ones are a queue, ordered by hits
(expected ones, until a week of them is measured) x change rate, of which a model answers the first again. The next plan
follows this."""

from collections import Counter
from datetime import datetime
from typing import Any

import dagster as dg
import pyarrow as pa

from cachewarm_pipeline.assets.synthetic_variants import llm_metadata
from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.freshness.check_service import CANDIDATES, Checked, check_day
from cachewarm_pipeline.freshness.refresh_queue import waits
from cachewarm_pipeline.lineage.asset_page import (
    OWNERS,
    PAID,
    VERIFICATION,
    judge_metadata,
    paid_days,
    record,
    records,
    table_metadata,
)
from cachewarm_pipeline.lineage.partitions import daily, one_run
from cachewarm_pipeline.workspace.workspace import Workspace

_QUEUE_SHOWN = 10


class AnswerChecksConfig(dg.Config):
    """``whole``: check every entry and not a sample, as the monthly run does."""

    whole: bool = False


@dg.asset(
    deps=[*CANDIDATES, "entry_payback"],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=VERIFICATION,
    owners=OWNERS,
    kinds={"numpy", "openai", "parquet"},
    pool=PAID,
    description=__doc__,
)
def answer_checks(
    context: dg.AssetExecutionContext, config: AnswerChecksConfig, workspace: dg.ResourceParam[Workspace]
) -> None:
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
                **_of_checks(found, end_of(day)),
                **table_metadata(
                    found.table, None, ("prompt", "agent_type", "why", "old_response", "new_response", "priority")
                ),
                **(llm_metadata(found.llm) if found.llm else {}),
                **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
            },
            spent=workspace.ledger.usd(),
        )


def _of_checks(found: Checked, at: datetime) -> dict[str, Any]:
    """Numbers with a history first, then the rates and the top of the queue."""
    if found.plan is None or found.overall is None:
        return {"checked": 0, "why_none": "there is no warming_plan at or before this day: nothing is warmed yet"}
    rows = found.table.to_pylist()
    waiting = [row for row in rows if waits(row, at)]
    queue = [
        {
            **{name: row[name] for name in ("prompt", "agent_type", "why", "priority")},
            "hits a day": found.hits[row["entry_id"]][0],
            "hits are": "measured" if found.hits[row["entry_id"]][1] else "expected",
            "old_response": row["old_response"],
        }
        for row in waiting[:_QUEUE_SHOWN]
    ]
    return {
        "plan": found.plan.isoformat(),
        "checked": found.overall.checked,
        "changed": found.overall.changed,
        **({} if found.overall.rate is None else {"change_rate": min(found.overall.rate, 1.0)}),
        "change_rates": records(_shown(found.rates)),
        "stale": len(waiting),
        "refreshed": sum(row["new_response"] is not None for row in rows),
        "reasons": dict(Counter(reason for row in rows for reason in row["reasons"])),
        "queue": records(queue),
        "hits_measured": sum(found.hits[row["entry_id"]][1] for row in waiting),
        "not_checked": {str(reason): number for reason, number in found.not_checked.most_common()},
        **({"fault": found.fault} if found.fault else {}),
    }


def _shown(rates: pa.Table) -> list[dict[str, Any]]:
    """Rates a day as a table shows them: an infinite one is no number there."""
    rows = rates.drop_columns(["entry_days", "measured"]).to_pylist()
    return [{name: "all" if value == float("inf") else value for name, value in row.items()} for row in rows]
