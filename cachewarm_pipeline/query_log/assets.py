"""The log as Dagster sees it: the application's own tables (external) and one day of counts."""

import dagster as dg

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.lineage.asset_page import observe_source, record_day, table_metadata
from cachewarm_pipeline.lineage.daily_asset import CANDIDATES_GROUP, DAILY_FRESH, OWNERS, SOURCES_GROUP, daily_asset
from cachewarm_pipeline.lineage.partitions import days_of
from cachewarm_pipeline.query_log.daily_counts import count_day as count_day
from cachewarm_pipeline.query_log.service import DAILY as ASSET
from cachewarm_pipeline.workspace.workspace import Workspace

_OPTIONAL = "Optional: used when it is there. "

Column = tuple[str, str]
"""Type, and what it holds."""


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
    "Contents that the app's agents analysed. Column names are mapped with `CACHEWARM_COLUMNS`.",
    {
        "id": ("text", "What findings name as analysis_id."),
        "url": ("text", "Where the content is from."),
        "content_preview": ("text", "The prompt of golden entries: its first 2,000 characters."),
        "created_at": ("timestamp", "When; later ones than the day are not seen."),
    },
)

findings = _external(
    "findings",
    "What an agent found in an analysis, with its confidence: the golden dataset of answers. The row count is of "
    "findings up to the day that was run last.",
    {
        "analysis_id": ("text", "The analysis it is of."),
        "agent_type": ("text", "The agent that found it: a lookup only matches entries of its own."),
        "output": ("JSON", "The answer that is warmed."),
        "confidence_score": ("0..1", "From CACHEWARM_MIN_QUALITY on it is golden."),
    },
)

llm_query_logs = _external(
    "llm_query_logs",
    "Every LLM request of the app. Columns after `created_at` are optional and used when there. The row count is of "
    "the days that were mined last: a run reads its own days and no others.",
    {
        "query": ("text", "What the app embeds to look the cache up."),
        "agent_type": ("text", "Tenant or category of the request."),
        "response": ("text", "What was answered."),
        "created_at": ("timestamp", "When; its UTC day is the partition."),
        "user_id": ("text", _OPTIONAL + "Who asked: what too few ask is not warmed. Only hashes are kept."),
        "cache_hit": ("bool", _OPTIONAL + "Served by a cache: counts as demand, never as evidence for an answer."),
        "feedback": ("int", _OPTIONAL + "-1, 0 or 1: answers that users rejected are not warmed."),
        "model": ("text", _OPTIONAL + "The model that answered: a change of it makes entries stale."),
        "prompt_tokens": ("int", _OPTIONAL + "Of the request."),
        "completion_tokens": ("int", _OPTIONAL + "Of the answer."),
        "cost_usd": ("float", _OPTIONAL + "Of the call: what a hit saves."),
        "latency_ms": ("float", _OPTIONAL + "Of the call."),
    },
)

external_assets = [analyses, findings, llm_query_logs]


_ANSWERS = {ExclusionReason.EMPTY_RESPONSE, ExclusionReason.UNPARSABLE_OUTPUT, ExclusionReason.RESPONSE_TOO_LARGE}
"""Reasons why an answer is left out: its row still counts as a lookup."""


@daily_asset(
    name=ASSET,
    deps=["llm_query_logs"],
    group=CANDIDATES_GROUP,
    kinds={"ibis", "duckdb", "parquet"},
    freshness_policy=DAILY_FRESH,
)
def daily_query_counts(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """One day of the query log reduced to canonical query and agent_type: how often, how many users, which answers,
    what it cost. The backfill target: it reads its own day and nothing else, so a long look-back costs no more."""
    days, rows = days_of(context), 0
    for day in days:
        groups = workspace.source.day_groups(day)
        table, excluded = count_day(groups.queries, groups.responses, groups.users)
        lookups = sum(table["count"].to_pylist())
        excluded += groups.excluded
        rows += lookups + sum(number for reason, number in excluded.items() if reason not in _ANSWERS)
        workspace.datasets.write(ASSET, day, table, fingerprint=workspace.counts_fingerprint(day))
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
    observe_source(context, "llm_query_logs", rows, days, "log rows of the days that the latest run has mined")
