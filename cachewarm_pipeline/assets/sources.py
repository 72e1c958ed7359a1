"""The app's own tables: external assets, read and never written."""

import dagster as dg

from cachewarm_pipeline.assets.common import OWNERS, SOURCES


def _external(name: str, description: str, columns: dict[str, str]) -> dg.AssetSpec:
    schema = dg.TableSchema(columns=[dg.TableColumn(column, kind) for column, kind in columns.items()])
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
    {"id": "text", "url": "text", "content_preview": "text", "created_at": "timestamp"},
)

findings = _external(
    "findings",
    "What an agent found in an analysis, with its confidence: the golden dataset of answers.",
    {"analysis_id": "text", "agent_type": "text", "output": "JSON", "confidence_score": "0..1"},
)

llm_query_logs = _external(
    "llm_query_logs",
    "Every LLM request of the app. Columns after `created_at` are optional and used when there.",
    {
        "query": "text",
        "agent_type": "text",
        "response": "text",
        "created_at": "timestamp",
        "user_id": "text",
        "cache_hit": "bool",
        "feedback": "-1, 0, 1",
        "model": "text",
        "prompt_tokens": "int",
        "completion_tokens": "int",
        "cost_usd": "float",
        "latency_ms": "float",
    },
)

external_assets = [analyses, findings, llm_query_logs]
