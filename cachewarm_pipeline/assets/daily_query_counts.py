"""One day of the query log reduced to canonical query and agent_type: how often, how many users, which answers,
what it cost. The backfill target: it reads its own day and nothing else, so a long look-back costs no more."""

import dagster as dg

from cachewarm_pipeline.exclusion_reasons import LeftOut
from cachewarm_pipeline.lineage.asset_page import CANDIDATES, DAILY_FRESH, OWNERS, observe, record, table_metadata
from cachewarm_pipeline.lineage.partitions import daily, days_of, one_run
from cachewarm_pipeline.query_log.daily_counts import daily_query_counts as count_day
from cachewarm_pipeline.query_log.service import DAILY as ASSET
from cachewarm_pipeline.workspace.workspace import Workspace

_ANSWERS = {LeftOut.EMPTY_RESPONSE, LeftOut.UNPARSABLE_OUTPUT, LeftOut.RESPONSE_TOO_LARGE}
"""Reasons why an answer is left out: its row still counts as a look-up."""


@dg.asset(
    name=ASSET,
    deps=["llm_query_logs"],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=CANDIDATES,
    owners=OWNERS,
    kinds={"ibis", "duckdb", "parquet"},
    freshness_policy=DAILY_FRESH,
    description=__doc__,
)
def daily_query_counts(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    days, rows = days_of(context), 0
    for day in days:
        groups = workspace.source.day_groups(day)
        table, left_out = count_day(groups.queries, groups.responses, groups.users)
        lookups = sum(table["count"].to_pylist())
        left_out += groups.left_out
        rows += lookups + sum(number for reason, number in left_out.items() if reason not in _ANSWERS)
        workspace.datasets.write(ASSET, day, table, fingerprint=workspace.counts_fingerprint(day))
        record(
            context,
            day,
            table_metadata(
                table.sort_by([("count", "descending")]),
                left_out,
                ("prompt", "agent_type", "count", "cache_hits", "cost_usd"),
                lookups=lookups,
                served_by_cache=sum(table["cache_hits"].to_pylist()),
            ),
        )
    observe(context, "llm_query_logs", rows, days, "log rows of the days that the latest run has mined")
