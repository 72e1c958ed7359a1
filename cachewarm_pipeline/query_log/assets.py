"""The application's own tables as external assets, and the daily counts of the query log."""

import dagster as dg

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.lineage.asset_page import observe_source, record_day, table_metadata
from cachewarm_pipeline.lineage.daily_asset import CANDIDATES_GROUP, DAILY_FRESH, OWNERS, SOURCES_GROUP, daily_asset
from cachewarm_pipeline.lineage.partitions import days_of
from cachewarm_pipeline.query_log.daily_counts import count_day
from cachewarm_pipeline.query_log.mined_days import DAILY
from cachewarm_pipeline.workspace.workspace import Workspace

_OPTIONAL = "Optional. "

Column = tuple[str, str]
"""Type and description."""


def _external(name: str, description: str, columns: dict[str, Column]) -> dg.AssetSpec:
    schema = dg.TableSchema(
        columns=[dg.TableColumn(column, kind, description=what) for column, (kind, what) in columns.items()]
    )
    return dg.AssetSpec(
        name,
        description=description,
        group_name=SOURCES_GROUP,
        owners=OWNERS,
        kinds={"table"},
        metadata={"dagster/column_schema": schema},
    )


analyses = _external(
    "analyses",
    "The contents that the application's agents analysed, read from its own table and never written. Each is the "
    "prompt of golden candidates. If the table has other column names, map them with `CACHEWARM_COLUMNS`.",
    {
        "id": ("text", "Referenced by findings as analysis_id."),
        "url": ("text", "Where the content comes from."),
        "content_preview": ("text", "The prompt of golden entries: its first 2,000 characters."),
        "created_at": ("timestamp", "Time of the analysis. A run ignores rows that are later than its day."),
    },
)

findings = _external(
    "findings",
    "What each agent found in an analysis, with its confidence, read from the application's own table. Findings with "
    "high confidence are the golden answers. The row count is the number of findings up to the day of the latest run.",
    {
        "analysis_id": ("text", "The analysis that the finding belongs to."),
        "agent_type": ("text", "The agent that found it. A lookup only matches entries of its own agent_type."),
        "output": ("JSON", "The answer that is warmed."),
        "confidence_score": ("0..1", "A finding is golden if this is at least CACHEWARM_MIN_QUALITY."),
    },
)

llm_query_logs = _external(
    "llm_query_logs",
    "Every LLM request of the application, read from its own table. It shows what users ask, and how the model "
    "answered. Columns after `created_at` are optional. The row count covers the days of the latest run: a run reads "
    "only its own days.",
    {
        "query": ("text", "The text that the application embeds to look up the cache."),
        "agent_type": ("text", "Tenant or category of the request."),
        "response": ("text", "The answer."),
        "created_at": ("timestamp", "Time of the request. Its UTC day is the partition."),
        "user_id": ("text", _OPTIONAL + "Queries of too few users are not warmed. Only hashes are stored."),
        "cache_hit": ("bool", _OPTIONAL + "Rows served by a cache count as demand, never as evidence for an answer."),
        "feedback": ("int", _OPTIONAL + "-1, 0 or 1. Answers that users rejected are not warmed."),
        "model": ("text", _OPTIONAL + "The model that answered. If it changes, entries become stale."),
        "prompt_tokens": ("int", _OPTIONAL + "Tokens of the request."),
        "completion_tokens": ("int", _OPTIONAL + "Tokens of the answer."),
        "cost_usd": ("float", _OPTIONAL + "Cost of the call: what a hit saves."),
        "latency_ms": ("float", _OPTIONAL + "Latency of the call."),
    },
)

external_assets = [analyses, findings, llm_query_logs]


_ANSWERS = {ExclusionReason.EMPTY_RESPONSE, ExclusionReason.UNPARSABLE_OUTPUT, ExclusionReason.RESPONSE_TOO_LARGE}
"""Reasons that exclude an answer; its row still counts as a lookup."""


@daily_asset(
    name=DAILY,
    deps=["llm_query_logs"],
    group=CANDIDATES_GROUP,
    kinds={"ibis", "duckdb", "parquet"},
    freshness_policy=DAILY_FRESH,
)
def daily_query_counts(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """One day of the query log, counted by canonical query and agent_type: how often each was asked, by how many users,
    with which answers, and at what cost. Each partition reads only its own day of `llm_query_logs`, so this is the
    asset to backfill, and a long lookback window costs nothing extra."""
    days, rows = days_of(context), 0
    for day in days:
        groups = workspace.source.day_groups(day)
        table, excluded = count_day(groups.queries, groups.responses, groups.users, groups.response_users)
        lookups = sum(table["count"].to_pylist())
        excluded += groups.excluded
        rows += lookups + sum(number for reason, number in excluded.items() if reason not in _ANSWERS)
        workspace.datasets.write(DAILY, day, table, fingerprint=workspace.counts_fingerprint(day))
        record_day(
            context,
            day,
            table_metadata(
                table.sort_by([("count", "descending")]),
                excluded,
                ("prompt", "agent_type", "count", "cache_hits", "cost_usd"),
                lookups=lookups,
                served_by_cache=sum(table["cache_hits"].to_pylist()),
            ),
        )
    observe_source(context, "llm_query_logs", rows, days, "log rows of the days of the latest run")
