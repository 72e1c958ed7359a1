"""Rows as LiteLLM, Langfuse and OpenTelemetry write them, with made-up content, in the forms that stores keep."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cachewarm_pipeline.ports import Source
from cachewarm_pipeline.query_log.log_formats.registry import connector_of
from cachewarm_pipeline.query_log.sources import ibis_engines as engines
from cachewarm_pipeline.query_log.sources.folder_files import FolderTables
from cachewarm_pipeline.query_log.sources.open_source import open_source
from cachewarm_pipeline.query_log.sources.table_columns import ANSWER_EXCLUDED, EXCLUDED
from tests.support.source_data import mined

Row = dict[str, Any]
Rows = list[Row]
Write = Callable[[str, Rows], str]

DAY = date(2026, 11, 10)
NOON = datetime(2026, 11, 10, 12, 0, 0, 250_000, tzinfo=UTC)
NOON_NANO = 1_794_312_000_250_000_000
QUESTION, ANSWER = "How do I log in?", "With your password."


def chat(question: Any = QUESTION, *before: Row, system: str | None = "Be brief.") -> Rows:
    """The messages of a request."""
    first = [] if system is None else [{"role": "system", "content": system}]
    return [*first, *before, {"role": "user", "content": question}]


def completion(answer: Any = ANSWER, finish: str | None = "stop", **message: Any) -> Row:
    """A chat completion as a provider returns it."""
    assistant = {"role": "assistant", "content": answer, "tool_calls": None, "function_call": None} | message
    return {
        "id": "c1",
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": finish, "message": assistant}],
    }


def spend_log(question: Any = QUESTION, answer: Any = ANSWER, **more: Any) -> Row:
    """A row of LiteLLM_SpendLogs as a version of 2026 writes it: the prompt is in the request's body."""
    return {
        "request_id": "chatcmpl-1",
        "call_type": "acompletion",
        "api_key": "88dc28",
        "spend": 0.25,
        "total_tokens": 15,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "startTime": "2026-11-10T12:00:00.250",
        "endTime": "2026-11-10T12:00:01.500",
        "model": "gpt-5.6-luna",
        "model_group": "fast",
        "user": "default_user_id",
        "metadata": {"status": "success", "user_api_key_alias": "web shop", "team": {"name": "sales"}},
        "cache_hit": "None",
        "cache_key": "Cache OFF",
        "request_tags": ["support", "User-Agent: OpenAI", "User-Agent: OpenAI/Python 3.54"],
        "end_user": "u1",
        "messages": {},
        "response": completion(answer),
        "proxy_server_request": {"model": "fast", "messages": chat(question)},
        "status": "success",
        "agent_id": None,
    } | more


def observation(question: Any = None, answer: Any = None, **more: Any) -> Row:
    """A row of Langfuse's enriched observations; objects are as in its JSONL."""
    return {
        "id": "o1",
        "trace_id": "t1",
        "type": "GENERATION",
        "start_time": "2026-11-10 12:00:00.250000",
        "end_time": "2026-11-10 12:00:01.500000",
        "name": "OpenAI-generation",
        "level": "DEFAULT",
        "status_message": "",
        "input": json.dumps(chat() if question is None else question),
        "output": json.dumps({"role": "assistant", "content": ANSWER} if answer is None else answer),
        "provided_model_name": "gpt-5.6-luna",
        "usage_details": {"input": 10, "output": 5, "total": 15},
        "total_cost": 0.25,
        "latency": 1.25,
        "user_id": "u1",
        "trace_name": "support",
        "tags": ["web"],
    } | more


def attributes(question: str = QUESTION, answer: str = ANSWER, **more: Any) -> Row:
    """The attributes of a span; a value of None removes one."""
    answered = {"role": "assistant", "parts": [{"type": "text", "content": answer}], "finish_reason": "stop"}
    all_of_them = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5.6-luna",
        "gen_ai.agent.name": "support",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": question}]}]),
        "gen_ai.output.messages": json.dumps([answered]),
        "user.id": "u1",
    } | {name.replace("__", "."): value for name, value in more.items()}
    return {name: value for name, value in all_of_them.items() if value is not None}


def otlp_line(*spans: Row, service: str = "shop") -> Row:
    """One line of the collector's file exporter."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [{"scope": {"name": "openai"}, "spans": [_otlp(span) for span in spans]}],
            }
        ]
    }


def _otlp(given: Row) -> Row:
    def value(one: Any) -> Row:
        return {"intValue": str(one)} if isinstance(one, int) else {"stringValue": one}

    return {
        "traceId": "5b8e",
        "spanId": "eee1",
        "name": "chat gpt-5.6-luna",
        "startTimeUnixNano": str(NOON_NANO),
        "endTimeUnixNano": str(NOON_NANO + 1_250_000_000),
        "attributes": [{"key": key, "value": value(one)} for key, one in given.items()],
        "status": {},
    }


def write_jsonl(folder: Path, table: str, rows: Rows) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{table}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(folder)


def write_parquet(folder: Path, table: str, rows: Rows) -> str:
    """Writes objects as JSON text and times as timestamps, as an export of a database does."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {name: [_plain(name, row.get(name)) for row in rows] for name in rows[0]}
    pq.write_table(pa.table(columns), folder / f"{table}.parquet")
    return str(folder)


def write_postgres(url: str, table: str, rows: Rows, *, json_type: str = "jsonb") -> str:
    """Writes objects into columns of ``json_type`` and times as timestamps, in a schema of its own."""
    import psycopg

    kinds = {dict: json_type, list: json_type, float: "double precision", int: "bigint", bool: "boolean"}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS connectors CASCADE")
        connection.execute("CREATE SCHEMA connectors")
        columns = {
            name: "timestamp(3)"
            if _is_time(name)
            else next((kinds[type(v)] for v in _of(rows, name)), "text")
            if all(type(v) in kinds for v in _of(rows, name))
            else "text"
            for name in rows[0]
        }
        definition = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        connection.execute(f'CREATE TABLE connectors."{table}" ({definition})')
        marks = ", ".join(["%s"] * len(columns))
        values = [[_plain(name, row.get(name)) for name in columns] for row in rows]
        with connection.cursor() as cursor:
            cursor.executemany(f'INSERT INTO connectors."{table}" VALUES ({marks})', values)
    return f"{url}&options=-csearch_path%3Dconnectors"


def _of(rows: Rows, name: str) -> list[Any]:
    return [row[name] for row in rows if row.get(name) is not None]


def _is_time(name: str) -> bool:
    return name in ("startTime", "endTime", "start_time", "end_time")


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, str) and _is_time(name):
        return datetime.fromisoformat(value)
    return json.dumps(value) if isinstance(value, dict | list) else value


FORMS = ["jsonl", "parquet", "postgres"]


def writer(request: pytest.FixtureRequest, folder: Path) -> Write:
    """A function that writes a table in the form of the test's parameter and returns the URL of the source."""
    form = request.param

    def write(table: str, rows: Rows) -> str:
        if form.startswith("postgres"):
            kind = "json" if form.endswith("json") else "jsonb"
            return write_postgres(request.getfixturevalue("postgres_url"), table, rows, json_type=kind)
        return (write_jsonl if form == "jsonl" else write_parquet)(folder, table, rows)

    return write


def read(url: str | Path, log_format: str, **columns: str) -> Source:
    """The source, with the given columns mapped."""
    return open_source(url, tables={}, columns={"llm_query_logs": columns} if columns else {}, log_format=log_format)


def counted(source: Source) -> tuple[list[tuple[str, str, int, int, list[str]]], dict[str, int]]:
    """(agent_type, prompt, rows, answered rows, responses) of the day, and the excluded rows by reason."""
    rows, excluded = mined(source, DAY)
    return (
        [
            (r["agent_type"], r["prompt"], r["count"], r["answered"], [one["response"] for one in r["responses"]])
            for r in rows
        ],
        {str(reason): number for reason, number in excluded.items()},
    )


def reasons(url: str, log_format: str, key: str) -> dict[str, tuple[str | None, str | None]]:
    """For each value of a column, or of a span's attribute: why the row is excluded, and why its answer is."""
    if url.startswith("postgresql"):
        tables: Any = engines.DatabaseTables(engines.connect_postgres(url), "the test's database")
    else:
        tables = FolderTables(Path(url), engines.DuckReader(), {})
    connector = connector_of(log_format)
    assert connector is not None
    table = next(tables.table(name) for name in connector.tables if tables.has(name))
    where = next((f"{name}.{key}" for name in ("SpanAttributes", "attributes") if name in table.columns), key)
    if "resourceSpans" in table.columns:
        where = f"attributes.{key}"
    rows = connector.map_table(tables.connection, table, {"user_id": where}, "the table", DAY).table
    found = rows.select("user_id", EXCLUDED, ANSWER_EXCLUDED).to_pyarrow().to_pydict()
    return {key: (row, answer) for key, row, answer in zip(*found.values(), strict=True)}


def is_the_one_call(mined: tuple[list[Row], Any]) -> None:
    """Asserts that the only mined row is the example call of the tool, with all our columns."""
    (row,), excluded = mined
    assert (row["agent_type"], row["prompt"], row["count"], row["cache_hits"]) == ("support", QUESTION, 1, 0)
    assert (row["cost_usd"], row["tokens"], row["latency_ms"]) == (0.25, 15, 1250.0)
    assert len(row["users"]) == 1
    (response,) = row["responses"]
    assert (response["response"], response["model"]) == (ANSWER, "gpt-5.6-luna")
    assert not excluded
