"""OpenTelemetry's GenAI spans as a log, in the forms that collectors write."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.log_format_data import (
    ANSWER,
    DAY,
    NOON,
    NOON_NANO,
    QUESTION,
    Row,
    Rows,
    attributes,
    counted,
    otlp_line,
    read,
    reasons,
    write_jsonl,
    write_parquet,
    write_postgres,
)
from tests.support.source_data import mined

Spans = Callable[..., str]


def flat(given: Row, **more: Any) -> Row:
    """A row whose columns are the attributes, with times in nanoseconds."""
    return {"start_time_unix_nano": NOON_NANO, "end_time_unix_nano": NOON_NANO + 1_250_000_000, **given, **more}


def with_attributes(given: Row, **more: Any) -> Row:
    """A row with all attributes in one object."""
    return {
        "start_time_unix_nano": NOON_NANO,
        "end_time_unix_nano": NOON_NANO + 1_250_000_000,
        "status_code": "Unset",
        "resource_attributes": {"service.name": "shop"},
        "attributes": given,
    } | more


def write_clickhouse(folder: Path, table: str, spans: Rows) -> str:
    """An export of the ClickHouse exporter's table: maps of texts, times and durations in nanoseconds."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = pa.map_(pa.string(), pa.string())
    start = NOON.replace(tzinfo=None)
    rows = {
        "Timestamp": pa.array([start] * len(spans), pa.timestamp("ns")),
        "SpanName": ["chat"] * len(spans),
        "ServiceName": ["shop"] * len(spans),
        "Duration": pa.array([1_250_000_000] * len(spans), pa.uint64()),
        "StatusCode": ["Unset"] * len(spans),
        "ResourceAttributes": pa.array([[("service.name", "shop")]] * len(spans), texts),
        "SpanAttributes": pa.array([[(k, str(v)) for k, v in span.items()] for span in spans], texts),
    }
    pq.write_table(pa.table(rows), folder / f"{table}.parquet")
    return str(folder)


@pytest.fixture(params=["columns", "object", "parquet", "clickhouse", "otlp", "postgres"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Spans:
    """Writes spans, given by their attributes, in one form."""
    folder, form = tmp_path / "source", request.param

    def write_(*spans: Row) -> str:
        names = list(dict.fromkeys(name for span in spans for name in span))
        if form == "columns":
            rows = [flat({name: span.get(name) for name in names}) for span in spans]
            return write_parquet(folder, "spans", rows)
        if form == "object":
            return write_jsonl(folder, "spans", [with_attributes(span) for span in spans])
        if form == "parquet":
            return write_parquet(folder, "spans", [with_attributes(span) for span in spans])
        if form == "clickhouse":
            return write_clickhouse(folder, "otel_traces", list(spans))
        if form == "otlp":
            return write_jsonl(folder, "traces", [otlp_line(*spans[:1]), otlp_line(*spans[1:])])
        url = request.getfixturevalue("postgres_url")
        return write_postgres(url, "spans", [with_attributes(span) for span in spans])

    return write_


def test_a_chat_span_is_a_row_with_all_our_columns(write: Spans) -> None:
    (row,), excluded = mined(read(write(attributes()), "otel"), DAY)
    assert (row["agent_type"], row["prompt"], row["count"], row["cache_hits"]) == ("support", QUESTION, 1, 0)
    assert (row["tokens"], row["latency_ms"], row["costed"]) == (15, 1250.0, 0)
    assert len(row["users"]) == 1
    (response,) = row["responses"]
    assert (response["response"], response["model"]) == (ANSWER, "gpt-5.6-luna")
    assert response["last_at"] == NOON
    assert not excluded


def _asked(*messages: tuple[str, Row]) -> str:
    return json.dumps([{"role": role, "parts": [part]} for role, part in messages])


def _told(*parts: Row, finish: str = "stop") -> str:
    return json.dumps([{"role": "assistant", "parts": list(parts), "finish_reason": finish}])


def _text(content: str) -> Row:
    return {"type": "text", "content": content}


SPANS: dict[str, tuple[Row, tuple[str | None, str | None]]] = {
    "a call": ({}, (None, None)),
    "a system message": (
        {"gen_ai.input.messages": _asked(("system", _text("Be brief")), ("user", _text(QUESTION)))},
        (None, None),
    ),
    "thoughts": (
        {"gen_ai.output.messages": _told({"type": "reasoning", "content": "Hm"}, _text(ANSWER))},
        (None, None),
    ),
    "an agent": ({"gen_ai.operation.name": "invoke_agent"}, ("not_a_chat_call", None)),
    "vectors": ({"gen_ai.operation.name": "embeddings"}, ("not_a_chat_call", None)),
    "no LLM's": ({"gen_ai.operation.name": None}, ("not_a_chat_call", None)),
    "failed": ({"error.type": "timeout"}, ("failed_call", None)),
    "the rest is at the provider": ({"gen_ai.request.previous_response.id": "r1"}, ("multi_turn", None)),
    "a conversation": (
        {
            "gen_ai.input.messages": _asked(
                ("user", _text("Hi")), ("assistant", _text("Hello")), ("user", _text("And then?"))
            )
        },
        ("multi_turn", None),
    ),
    "no messages": (
        {"gen_ai.input.messages": None, "gen_ai.output.messages": None},
        ("text_not_recorded", "text_not_recorded"),
    ),
    "cut by a limit": ({"gen_ai.input.messages": '[{"role": "user", "parts": [{"ty'}, ("text_cut", None)),
    "a picture": (
        {"gen_ai.input.messages": _asked(("user", {"type": "blob", "modality": "image", "content": "aGk="}))},
        ("no_text_message", None),
    ),
    "a tool call": (
        {"gen_ai.output.messages": _told({"type": "tool_call", "name": "find"}, finish="tool_call")},
        (None, "no_text_answer"),
    ),
    "unfinished": ({"gen_ai.output.messages": _told(_text("Half"), finish="length")}, (None, "unfinished_answer")),
    "unfinished, says the span": ({"gen_ai.response.finish_reasons": '["length"]'}, (None, "unfinished_answer")),
    "finished, says the span": ({"gen_ai.response.finish_reasons": '["stop"]'}, (None, None)),
    "two answers": (
        {"gen_ai.output.messages": json.dumps(json.loads(_told(_text("a"))) + json.loads(_told(_text("b"))))},
        (None, "no_text_answer"),
    ),
}


def test_a_span_without_prompt_and_answer_is_excluded_for_its_reason(write: Spans) -> None:
    spans = [
        {name: value for name, value in (attributes() | {"my.key": key} | more).items() if value is not None}
        for key, (more, _) in SPANS.items()
    ]
    url = write(*spans)
    assert reasons(url, "otel", "my.key") == {name: expected for name, (_, expected) in SPANS.items()}


def test_a_span_without_an_agents_name_belongs_to_its_service(tmp_path: Path) -> None:
    given = attributes(gen_ai__agent__name=None)
    for form in (
        write_jsonl(tmp_path / "object", "spans", [with_attributes(given)]),
        write_clickhouse(tmp_path / "clickhouse", "otel_traces", [given]),
        write_jsonl(tmp_path / "otlp", "traces", [otlp_line(given)]),
    ):
        assert [row[0] for row in counted(read(form, "otel"))[0]] == ["shop"]


@pytest.mark.parametrize("status", ["Error", "STATUS_CODE_ERROR", {"code": 2}, {"code": "STATUS_CODE_ERROR"}])
def test_a_span_with_an_errors_status_has_failed(tmp_path: Path, status: Any) -> None:
    name = "status" if isinstance(status, dict) else "status_code"
    row = {k: v for k, v in with_attributes(attributes()).items() if k != "status_code"} | {name: status}
    assert counted(read(write_jsonl(tmp_path, "spans", [row]), "otel")) == ([], {"failed_call": 1})


def test_the_spans_of_one_line_belong_to_their_own_days(tmp_path: Path) -> None:
    line = otlp_line(attributes("Today?"), attributes("Tomorrow?"))
    line["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["startTimeUnixNano"] = str(NOON_NANO + 86_400 * 10**9)
    source = read(write_jsonl(tmp_path, "traces", [line]), "otel")
    assert [prompt for _, prompt, *_ in counted(source)[0]] == ["Today?"]
    info = source.describe(DAY + timedelta(days=9))
    assert (info.first_log_day, info.last_log_day) == (DAY, DAY + timedelta(days=1))
    assert info.log is not None
    assert info.log.rows == 2
