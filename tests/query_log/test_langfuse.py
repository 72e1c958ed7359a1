"""Langfuse's observation exports as a log: JSONL and Parquet as it writes them, CSV-like text, and a real Postgres."""

import csv
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cachewarm_pipeline.errors import SourceError
from tests.support.log_format_data import (
    ANSWER,
    DAY,
    QUESTION,
    Row,
    Rows,
    Write,
    chat,
    completion,
    counted,
    is_the_one_call,
    observation,
    read,
    reasons,
    writer,
)
from tests.support.source_data import mined

TABLE = "observations_v2"


def write_native_parquet(folder: Path, table: str, rows: Rows) -> str:
    """A folder with the column types of Langfuse's own Parquet: timestamps, a map of tokens, lists of texts."""
    (folder / table).mkdir(parents=True, exist_ok=True)
    types = {"usage_details": pa.map_(pa.string(), pa.uint64()), "tags": pa.list_(pa.string())}
    columns: dict[str, Any] = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if name.endswith("_time"):
            values = [None if value is None else datetime.fromisoformat(value) for value in values]
        if name == "usage_details":
            values = [list(value.items()) for value in values]
        columns[name] = pa.array(values, types.get(name))
    pq.write_table(pa.table(columns), folder / table / "2026-11-10T13-00.parquet")
    return str(folder)


@pytest.fixture(params=["jsonl", "parquet", "native parquet", "postgres"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    if request.param == "native parquet":
        return lambda table, rows: write_native_parquet(tmp_path / "source", table, rows)
    return writer(request, tmp_path / "source")


def test_a_generation_is_a_row_with_all_our_columns(write: Write) -> None:
    is_the_one_call(mined(read(write(TABLE, [observation()]), "langfuse"), DAY))


INPUTS: dict[str, tuple[Any, str | None]] = {
    "messages": (chat(), None),
    "messages and tools": ({"messages": chat(), "tools": []}, None),
    "one message": ({"role": "user", "content": QUESTION}, None),
    "LangChain's role": ([{"role": "human", "content": QUESTION}], None),
    "text": (QUESTION, None),
    "an object of the app's": ({"question": QUESTION}, "no_text_message"),
    "a number": (7, None),
    "nothing": ("", "text_not_recorded"),
    "null": (None, "text_not_recorded"),
    "an empty list": ([], "text_not_recorded"),
    "cut whole": ("<truncated due to size exceeding limit>", "text_cut"),
    "masked": ("<fully masked due to failed mask function>", "text_not_recorded"),
    "redacted by LiteLLM": (chat("redacted-by-litellm"), "text_not_recorded"),
    "a picture": (chat("@@@langfuseMedia:type=image/png|id=1|source=base64_data_uri@@@"), "no_text_message"),
    "a conversation": ([*chat(), {"role": "assistant", "content": ANSWER}, *chat("And?")], "multi_turn"),
}

OUTPUTS: dict[str, tuple[Any, str | None, str]] = {
    "a message": ({"role": "assistant", "content": ANSWER}, None, ANSWER),
    "a list of one": ([{"role": "assistant", "content": ANSWER}], None, ANSWER),
    "a completion": (completion(), None, ANSWER),
    "text": (ANSWER, None, ANSWER),
    "JSON in a message": ({"role": "assistant", "content": '{"risk": "low"}'}, None, '{"risk": "low"}'),
    "JSON of the app's": ({"risk": "low"}, None, '{"risk": "low"}'),
    "nothing": ("", "text_not_recorded", ""),
    "cut": ("<truncated due to size exceeding limit>", "text_cut", ""),
    "a tool call": ({"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, "no_text_answer", ""),
    "an unknown wrapper": ({"message": ANSWER, "usage": {}}, "no_text_answer", ""),
    "a transcript": ([{"role": "assistant", "content": "a"}, {"role": "tool", "content": "b"}], "no_text_answer", ""),
}


def _io(value: Any) -> Any:
    """A value as Langfuse stores it: text unchanged, anything else as JSON, no value as null or empty text."""
    return value if isinstance(value, str) or value is None else json.dumps(value)


def test_an_input_that_is_not_one_prompt_is_excluded_for_its_reason(write: Write) -> None:
    rows = [observation(id=name, input=_io(value)) for name, (value, _) in INPUTS.items()]
    rows += [observation(id="unfinished JSON", input='[{"role": "user", "content": "How do')]
    rows += [observation(id="a span", type="SPAN"), observation(id="an embedding", type="EMBEDDING")]
    rows += [observation(id="failed", level="ERROR", output=None)]
    found = reasons(write(TABLE, rows), "langfuse", "id")
    assert {name: row for name, (row, _) in found.items()} == {
        **{name: reason for name, (_, reason) in INPUTS.items()},
        "unfinished JSON": "text_cut",
        "a span": "not_a_chat_call",
        "an embedding": "not_a_chat_call",
        "failed": "failed_call",
    }


def test_an_output_is_read_in_each_form_and_excluded_if_it_is_not_text(write: Write) -> None:
    rows = [observation(id=name, input=name, output=_io(value)) for name, (value, *_) in OUTPUTS.items()]
    url = write(TABLE, rows)
    assert reasons(url, "langfuse", "id") == {name: (None, reason) for name, (_, reason, _) in OUTPUTS.items()}
    responses = {prompt: answers for _, prompt, _, _, answers in counted(read(url, "langfuse"))[0]}
    assert responses == {name: [text] if text else [] for name, (_, _, text) in OUTPUTS.items()}


def test_latency_is_computed_because_exports_disagree_on_its_unit(write: Write) -> None:
    rows = [observation(latency=1250.0), observation(latency=1.25), observation(end_time=None, latency=9.0)]
    (row,), _ = mined(read(write(TABLE, rows), "langfuse"), DAY)
    assert (row["latency_ms"], row["timed"]) == (2500.0, 2)


def test_an_older_export_needs_another_column_for_agent_type(write: Write) -> None:
    rows: Rows = [{k: v for k, v in observation().items() if k not in ("user_id", "trace_name", "tags")}]
    url = write("observations", rows)
    with pytest.raises(SourceError, match=r"CACHEWARM_LOG_FORMAT=langfuse needs column.*trace_name of Langfuse's"):
        read(url, "langfuse").describe(DAY)
    (row,), _ = counted(read(url, "langfuse", agent_type="name"))
    assert row == ("OpenAI-generation", QUESTION, 1, 1, [ANSWER])


def test_a_question_inside_the_apps_own_object_is_found_if_mapped(write: Write) -> None:
    row: Row = observation({"question": QUESTION, "k": 3}, {"answer": ANSWER})
    columns = {"query": "input.question", "response": "output.answer"}
    assert counted(read(write(TABLE, [row]), "langfuse", **columns)) == (
        [("support", QUESTION, 1, 1, [ANSWER])],
        {},
    )


def test_a_csv_export_gives_the_same_rows_as_the_others(tmp_path: Path) -> None:
    rows = [observation(), observation(QUESTION, ANSWER, input=QUESTION, output='With "quotes", and\nlines.')]
    folder = tmp_path / "project" / TABLE
    folder.mkdir(parents=True)
    with (folder / "2026-11-10.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows({k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()} for row in rows)
    (row,), excluded = counted(read(tmp_path / "project", "langfuse"))
    assert row == ("support", QUESTION, 2, 2, ['With "quotes", and\nlines.', ANSWER])
    assert not excluded
