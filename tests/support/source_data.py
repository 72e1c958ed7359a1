"""The same rows as a source of each form that the pipeline reads: Parquet, CSV and JSONL files, and a real Postgres."""

import csv
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cachewarm_pipeline.exclusion_reasons import Counts
from cachewarm_pipeline.ports import Source
from cachewarm_pipeline.query_log.daily_counts import count_day

Rows = list[dict[str, Any]]
Data = Mapping[str, Rows]
Write = Callable[[Data], str]
"""Writes tables and returns the URL of the source."""

DAY = date(2026, 11, 10)
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)

MOMENT = pa.timestamp("us", tz="UTC")
COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "analyses": {"id": pa.int64(), "url": pa.string(), "content_preview": pa.string(), "created_at": MOMENT},
    "findings": {
        "analysis_id": pa.int64(),
        "agent_type": pa.string(),
        "output": pa.string(),
        "confidence_score": pa.float64(),
    },
    "llm_query_logs": {
        "query": pa.string(),
        "agent_type": pa.string(),
        "response": pa.string(),
        "created_at": MOMENT,
        "user_id": pa.string(),
        "cache_hit": pa.bool_(),
        "feedback": pa.int64(),
        "model": pa.string(),
        "prompt_tokens": pa.int64(),
        "completion_tokens": pa.int64(),
        "cost_usd": pa.float64(),
        "latency_ms": pa.float64(),
    },
}


def log_row(query: str | None = "How do I log in?", **more: Any) -> dict[str, Any]:
    """A row of llm_query_logs with every column set."""
    return {
        "query": query,
        "agent_type": "support",
        "response": '{"answer": "With your password."}',
        "created_at": NOON,
        "user_id": "u1",
        "cache_hit": False,
        "feedback": None,
        "model": "gpt",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cost_usd": 0.25,
        "latency_ms": 100.0,
    } | more


def golden_data(*findings: dict[str, Any], analyses: Rows | None = None) -> dict[str, Rows]:
    """The golden tables: findings with defaults, by default of one analysis."""
    finding = {"analysis_id": 1, "agent_type": "reviewer", "output": '{"risk": "low"}', "confidence_score": 0.9}
    analysis = {"id": 1, "url": "https://example.org/1", "content_preview": "def f(): pass", "created_at": NOON}
    return {
        "analyses": [analysis | row for row in ([{}] if analyses is None else analyses)],
        "findings": [finding | row for row in findings],
    }


def arrow(table: str, rows: Rows) -> pa.Table:
    """The rows with the types of the contract, by column name. Other columns are timestamps or text."""
    known = {name: kind for columns in COLUMNS.values() for name, kind in columns.items()}
    first = rows[0] if rows else COLUMNS[table]
    guess = {name: MOMENT if isinstance(value, datetime) else pa.string() for name, value in first.items()}
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, known.get(name, guess[name])) for name in first]))


def write_parquet(folder: Path, data: Data) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in data.items():
        pq.write_table(arrow(table, rows), folder / f"{table}.parquet")
    return str(folder)


def write_csv(folder: Path, data: Data) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in data.items():
        with (folder / f"{table}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0] if rows else COLUMNS[table]))
            writer.writeheader()
            writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)
    return str(folder)


def write_jsonl(folder: Path, data: Data) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in data.items():
        lines = [json.dumps({k: v.isoformat() if isinstance(v, datetime) else v for k, v in r.items()}) for r in rows]
        # An empty table is an empty file: JSONL has no header.
        (folder / f"{table}.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return str(folder)


_POSTGRES = {pa.int64(): "bigint", pa.float64(): "double precision", pa.bool_(): "boolean", MOMENT: "timestamptz"}


def write_postgres(url: str, schema: str, data: Data) -> str:
    """Writes into a schema of its own. Returns a URL whose search path is that schema."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        connection.execute(f'CREATE SCHEMA "{schema}"')
        for table, rows in data.items():
            columns = arrow(table, rows).schema
            definition = ", ".join(f'"{c.name}" {_POSTGRES.get(c.type, "text")}' for c in columns)
            connection.execute(f'CREATE TABLE "{schema}"."{table}" ({definition})')
            marks = ", ".join(["%s"] * len(columns))
            if rows:
                with connection.cursor() as cursor:
                    values = [[row.get(name) for name in columns.names] for row in rows]
                    cursor.executemany(f'INSERT INTO "{schema}"."{table}" VALUES ({marks})', values)
    return f"{url}&options=-csearch_path%3D{schema}"


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def mined(source: Source, day: date = DAY) -> tuple[list[dict[str, Any]], Counts]:
    """The daily_query_counts of a day as rows, and the numbers of excluded rows by reason."""
    groups = source.day_groups(day)
    table, excluded = count_day(groups.queries, groups.responses, groups.users, groups.response_users)
    return table.to_pylist(), groups.excluded + excluded


def at(hours: float) -> datetime:
    """The time ``hours`` after the start of DAY."""
    return datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(hours=hours)
