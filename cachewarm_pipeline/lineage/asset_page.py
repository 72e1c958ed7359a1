"""Metadata for an asset's page: tables, pictures, column schemas, costs."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa
from cachewarm_client.personal_data import mask

from cachewarm_pipeline.exclusion_reasons import Counts, as_metadata
from cachewarm_pipeline.plots.drawing import markdown_image
from cachewarm_pipeline.ports import Judge

_EXAMPLES = 5
_CELL = 120
"""Characters of a cell at most."""


def _cell(value: Any) -> str | int | float | bool | None:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if value is None or isinstance(value, int | bool):
        return value
    if isinstance(value, date):
        return value.isoformat()
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    text = mask(text[: 2 * _CELL])  # pages are open to more people than the log is
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def records(rows: Sequence[dict[str, Any]]) -> dg.MetadataValue:
    """Rows as a table on the asset's page. Long cells are cut and personal data is masked."""
    return (
        dg.MetadataValue.table([dg.TableRecord({k: _cell(v) for k, v in row.items()}) for row in rows])
        if rows
        else dg.MetadataValue.text("no rows")
    )


def column_schema(schema: pa.Schema) -> dg.TableSchema:
    """An Arrow schema as Dagster's table schema."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                field.name,
                _kind(field.type),
                description=(field.metadata or {}).get(b"description", b"").decode(),
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in schema
        ]
    )


def _kind(kind: pa.DataType) -> str:
    """The type in short: Dagster cuts off Arrow's long names of nested types, and they squeeze the other columns."""
    if pa.types.is_list(kind):
        return f"list of {_kind(kind.value_type)}"
    if pa.types.is_struct(kind):
        return f"({', '.join(part.name for part in kind)})"
    return str(kind)


def table_metadata(
    table: pa.Table, excluded: Counts | None = None, examples: Sequence[str] = (), **numbers: Any
) -> dict[str, Any]:
    """Row count, ``numbers``, exclusions by reason, a small table of the columns ``examples``, and the column schema.

    The schema comes last, because the page shows it in a section of its own.
    """
    columns = [name for name in examples if name in table.column_names] or table.column_names
    return {
        "dagster/row_count": table.num_rows,
        **numbers,
        "left_out_total": sum((excluded or Counts()).values()),
        "left_out": as_metadata(excluded or Counts()),
        "examples": records(table.select(columns).slice(0, _EXAMPLES).to_pylist()),
        "dagster/column_schema": column_schema(table.schema),
    }


def judge_metadata(judge: Judge, usd_per_million_tokens: float) -> dict[str, Any]:
    """What judging cost: pairs that a model judged, pairs known before, pairs without a verdict because the budget was
    spent, and pairs that were not sent because they instruct the judge. Zeros are omitted. ``judge_consistency`` says
    how the model answered the sample of pairs that it gets in both orders.

    ``usd_per_million_tokens``: the embedder's price. ``judge_usd`` is the total, including the embedding of responses.
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
        "judge_suspicious": usage.suspicious,
    }
    shown: dict[str, Any] = {"judge": judge.name, **{name: number for name, number in numbers.items() if number}}
    if usage.swapped:
        shown["judge_consistency"] = f"asked in both orders {usage.swapped:,}, inconsistent {usage.inconsistent:,}"
    return shown


def record_day(
    context: dg.AssetExecutionContext, day: date, metadata: dict[str, Any], spent: float | None = None
) -> None:
    """Adds the metadata of one day to the asset's page, in the given order. In a run over a range, each day has its
    own.

    Floats are rounded to nine digits: the page stays readable, and the report, which reads these numbers, still adds
    up. ``spent``: what the day cost in USD according to the usage ledger, for assets that can cost money. It is
    recorded for days without cost too, so that Dagster's history has a point for every day.
    """
    if spent is not None:
        metadata = {**metadata, "cost_usd": spent}
    shown = {name: _rounded(value) for name, value in metadata.items()}
    context.add_asset_metadata(shown, partition_key=day.isoformat())


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def observe_source(context: dg.AssetExecutionContext, table: str, rows: int, days: Sequence[date], what: str) -> None:
    """Records on the page of a source table how many rows this run has read. ``what`` describes the rows."""
    span = f"{days[0]} to {days[-1]}" if len(days) > 1 else str(days[0])
    context.log_event(
        dg.AssetObservation(table, metadata={"dagster/row_count": rows, "rows_are": what, "read_for": span})
    )


PageValue = dg.MetadataValue
"""The value of one metadata field."""


def text(sentence: str) -> PageValue:
    """A sentence on the asset's page."""
    return dg.MetadataValue.text(sentence)


def picture(uri: str, alt: str) -> PageValue:
    """A plot (data URI) on the asset's page, behind "Show Markdown"."""
    return dg.MetadataValue.md(markdown_image(uri, alt))


def pictures(*plots: tuple[str, str]) -> PageValue:
    """Plots (data URI, alternative text), one below the other."""
    return dg.MetadataValue.md("\n\n".join(markdown_image(*plot) for plot in plots))
