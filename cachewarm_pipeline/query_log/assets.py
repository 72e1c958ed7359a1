"""The assets of the log: the application's own tables (external) and one day of counts."""

import dagster as dg

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.lineage.asset_page import observe, record, table_metadata
from cachewarm_pipeline.lineage.daily_asset import CANDIDATES, DAILY_FRESH, OWNERS, SOURCES, daily_asset
from cachewarm_pipeline.lineage.partitions import days_of
from cachewarm_pipeline.query_log.daily_counts import count_day
from cachewarm_pipeline.query_log.mined_days import DAILY as ASSET
from cachewarm_pipeline.workspace.workspace import Workspace

_OPTIONAL = "Optional. "

Column = tuple[str, str]
"""(type, description)."""


def _external(name: str, description: str, columns: dict[str, Column]) -> dg.AssetSpec:
    schema = dg.TableSchema(
        columns=[dg.TableColumn(column, kind, description=what) for column, (kind, what) in columns.items()]
    )
    return dg.AssetSpec(
        name,
        description=description,
        group_name=SOURCES,
        owners=OWNERS,
        kinds={"table"},
        metadata={"dagster/column_schema": schema},
    )


analyses = _external(
    "analyses",
    "Contents that the app's agents analysed. Column names are mapped with `CACHEWARM_COLUMNS`.",
    {
        "id": ("text", "What findings refer to as analysis_id."),
        "url": ("text", "Where the content is from."),
        "content_preview": ("text", "The prompt of golden entries: its first 2,000 characters."),
        "created_at": ("timestamp", "When it was analysed. A run of a day ignores later ones."),
    },
)

findings = _external(
    "findings",
    "What an agent found in an analysis, with its confidence: the golden dataset of answers. The row count covers "
    "findings up to the day of the latest run.",
    {
        "analysis_id": ("text", "The analysis that it belongs to."),
        "agent_type": ("text", "The agent that found it: a lookup only matches entries of its own agent_type."),
        "output": ("JSON", "The answer that is warmed."),
        "confidence_score": ("0..1", "Findings from CACHEWARM_MIN_QUALITY up are golden."),
    },
)

llm_query_logs = _external(
    "llm_query_logs",
    "Every LLM request of the app. Columns after `created_at` are optional and used if present. The row count covers "
    "the days of the latest run: a run reads its own days and no others.",
    {
        "query": ("text", "What the app embeds to look the cache up."),
        "agent_type": ("text", "Tenant or category of the request."),
        "response": ("text", "The answer."),
        "created_at": ("timestamp", "When it was asked; the UTC day is the partition."),
        "user_id": ("text", _OPTIONAL + "Who asked: queries of too few users are not warmed. Only hashes are stored."),
        "cache_hit": (
            "bool",
            _OPTIONAL + "Served by a cache: such rows count as demand, never as evidence for an answer.",
        ),
        "feedback": ("int", _OPTIONAL + "-1, 0 or 1. Answers that users rejected are not warmed."),
        "model": ("text", _OPTIONAL + "The model that answered. When it changes, entries become stale."),
        "prompt_tokens": ("int", _OPTIONAL + "Tokens of the request."),
        "completion_tokens": ("int", _OPTIONAL + "Tokens of the answer."),
        "cost_usd": ("float", _OPTIONAL + "Cost of the call: what a hit saves."),
        "latency_ms": ("float", _OPTIONAL + "Latency of the call."),
    },
)

external_assets = [analyses, findings, llm_query_logs]


_ANSWERS = {ExclusionReason.EMPTY_RESPONSE, ExclusionReason.UNPARSABLE_OUTPUT, ExclusionReason.RESPONSE_TOO_LARGE}
"""Reasons that exclude only the answer: the row still counts as a lookup."""


@daily_asset(
    name=ASSET,
    deps=["llm_query_logs"],
    group=CANDIDATES,
    kinds={"ibis", "duckdb", "parquet"},
    freshness_policy=DAILY_FRESH,
)
def daily_query_counts(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """One day of the query log, by canonical query and agent_type: how often it was asked, by how many users, which
    answers it got and what they cost. A partition reads its own day and no other, so a day of a long backfill costs no
    more than any other day."""
    days, rows = days_of(context), 0
    for day in days:
        groups = workspace.source.day_groups(day)
        table, excluded = count_day(groups.queries, groups.responses, groups.users)
        lookups = sum(table["count"].to_pylist())
        excluded += groups.excluded
        rows += lookups + sum(number for reason, number in excluded.items() if reason not in _ANSWERS)
        workspace.datasets.write(ASSET, day, table, fingerprint=workspace.counts_fingerprint(day))
        record(
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
    observe(context, "llm_query_logs", rows, days, "log rows of the days that the latest run has mined")
