"""What every asset shares: owners, groups, and the metadata that makes its page worth opening."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from cachewarm_pipeline.core.personal import mask
from cachewarm_pipeline.core.reasons import Counts, as_metadata
from cachewarm_pipeline.resources.ports import Judge

OWNERS = ["team:ml-platform"]

SOURCES = "sources"
CANDIDATES = "candidates"
VERIFICATION = "verification"
CACHE = "cache"

_EXAMPLES = 5
_CELL = 120


def _cell(value: Any) -> str | int | float | bool | None:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if value is None or isinstance(value, int | bool):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    text = mask(text[: 2 * _CELL])  # pages are open to more people than the log is
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def records(rows: Sequence[dict[str, Any]]) -> dg.MetadataValue:
    """Rows as a table on the asset's page; long cells are cut, personal data is masked."""
    return (
        dg.MetadataValue.table([dg.TableRecord({k: _cell(v) for k, v in row.items()}) for row in rows])
        if rows
        else (dg.MetadataValue.text("no rows"))
    )


def column_schema(schema: pa.Schema) -> dg.TableSchema:
    """The Arrow schema as Dagster shows one."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                field.name,
                str(field.type),
                description=(field.metadata or {}).get(b"description", b"").decode(),
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in schema
        ]
    )


def table_metadata(
    table: pa.Table, left_out: Counts | None = None, examples: Sequence[str] = (), **numbers: Any
) -> dict[str, Any]:
    """Row count, column schema, left-out counts by reason, a small table of examples, and further numbers."""
    columns = [name for name in examples if name in table.column_names] or table.column_names
    return {
        "dagster/row_count": table.num_rows,
        "dagster/column_schema": column_schema(table.schema),
        "left_out": as_metadata(left_out or Counts()),
        "left_out_total": sum((left_out or Counts()).values()),
        "examples": records(table.select(columns).slice(0, _EXAMPLES).to_pylist()),
        **numbers,
    }


def judge_metadata(judge: Judge, usd_per_million_tokens: float) -> dict[str, Any]:
    """What judging cost: asked of a model, known already, and held different for want of money; zeros are left away.

    ``usd_per_million_tokens``: the embedder's price; ``judge_usd`` is all, the embedding of responses included.
    """
    usage = judge.usage
    numbers = {
        "judge_embedding_tokens": usage.embedding_tokens,
        "judge_embedding_usd": usage.embedding_tokens * usd_per_million_tokens / 1e6,
        "judge_prompt_tokens": usage.prompt_tokens,
        "judge_completion_tokens": usage.completion_tokens,
        "judge_usd": usage.usd,
        "judge_asked": usage.asked,
        "judge_known": usage.known,
        "judge_unjudged": usage.unjudged,
    }
    return {"judge": judge.name, **{name: number for name, number in numbers.items() if number}}


def record(context: dg.AssetExecutionContext, day: date, metadata: dict[str, Any]) -> None:
    """Metadata of one day; in a range run every day has its own."""
    context.add_asset_metadata(metadata, partition_key=day.isoformat())
