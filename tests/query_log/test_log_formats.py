"""All connectors: settings, faults, fingerprints, which files a day opens, and engines that agree."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.errors import ConfigurationError, SourceError
from cachewarm_pipeline.query_log.log_formats.json_dialects import PostgresDialect, dialect_of
from cachewarm_pipeline.query_log.log_formats.registry import CONNECTORS
from cachewarm_pipeline.query_log.sources.open_source import open_source
from cachewarm_pipeline.settings import load_settings
from tests.support.log_format_data import (
    DAY,
    Row,
    attributes,
    chat,
    completion,
    counted,
    observation,
    otlp_line,
    read,
    reasons,
    spend_log,
    write_jsonl,
    write_parquet,
    write_postgres,
)
from tests.support.source_data import golden_data, log_row
from tests.support.source_data import write_parquet as write_tables

ROWS = {
    "litellm": ("LiteLLM_SpendLogs", spend_log()),
    "langfuse": ("observations_v2", observation()),
    "otel": ("traces", otlp_line(attributes())),
}


def test_the_format_is_one_setting_and_an_unknown_one_lists_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CACHEWARM_LOG_FORMAT", "")
    assert load_settings().log_format == "own"
    monkeypatch.setenv("CACHEWARM_LOG_FORMAT", "langsmith")
    with pytest.raises(ConfigurationError, match="CACHEWARM_LOG_FORMAT") as caught:
        load_settings()
    assert all(name in str(caught.value) for name in ("own", *CONNECTORS))
    with pytest.raises(
        ConfigurationError, match="langsmith is not known; the formats are own, litellm, langfuse, otel"
    ):
        open_source(tmp_path, tables={}, columns={}, log_format="langsmith")


@pytest.mark.parametrize("log_format", list(CONNECTORS))
def test_a_missing_table_is_reported_by_the_tools_name_for_it(tmp_path: Path, log_format: str) -> None:
    url = write_tables(tmp_path, {"llm_query_logs": [log_row()]})
    with pytest.raises(SourceError, match=rf"has neither {CONNECTORS[log_format].tables[0]}.* nor both analyses"):
        read(url, log_format)


@pytest.mark.parametrize(
    ("log_format", "missing", "expected"),
    [
        ("litellm", "startTime", "startTime of LiteLLM's SpendLogs"),
        ("litellm", "response", "response of LiteLLM's SpendLogs"),
        ("langfuse", "input", "input of Langfuse's observations"),
        ("langfuse", "trace_name", "trace_name of Langfuse's observations"),
    ],
)
def test_a_missing_column_is_reported_with_the_tool_and_the_existing_columns(
    tmp_path: Path, log_format: str, missing: str, expected: str
) -> None:
    table, row = ROWS[log_format]
    source = read(write_jsonl(tmp_path, table, [{k: v for k, v in row.items() if k != missing}]), log_format)
    for question in (lambda: source.describe(DAY), lambda: source.day_groups(DAY)):
        with pytest.raises(SourceError, match="CACHEWARM_LOG_FORMAT=") as raised:
            question()
        assert expected in str(raised.value)
        assert "; found " in str(raised.value)
        assert "\n" not in str(raised.value)


def test_spans_without_any_attributes_are_an_error(tmp_path: Path) -> None:
    source = read(write_jsonl(tmp_path, "spans", [{"start_time_unix_nano": 1, "name": "chat"}]), "otel")
    with pytest.raises(SourceError, match=r"SpanAttributes or .*gen_ai\.input\.messages"):
        source.describe(DAY)


def test_a_mapped_column_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    source = read(write_jsonl(tmp_path, *_one("litellm")), "litellm", agent_type="tenant")
    with pytest.raises(SourceError, match="missing column tenant, which CACHEWARM_COLUMNS names for agent_type"):
        source.day_groups(DAY)


def test_another_table_can_be_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path, "spend", [spend_log()])
    source = open_source(tmp_path, tables={"llm_query_logs": "spend"}, columns={}, log_format="litellm")
    assert len(counted(source)[0]) == 1
    with pytest.raises(SourceError, match=r"nowhere .*does not exist; CACHEWARM_TABLES names it"):
        open_source(tmp_path, tables={"llm_query_logs": "nowhere"}, columns={}, log_format="litellm")


@pytest.mark.parametrize("log_format", list(CONNECTORS))
def test_a_fingerprint_changes_with_the_format_and_with_the_days_files(tmp_path: Path, log_format: str) -> None:
    table, row = _one(log_format)
    url = write_jsonl(tmp_path, table, row)
    write_tables(tmp_path, {"llm_query_logs": [log_row()]})
    before = read(url, log_format).fingerprint(DAY)
    assert read(url, "own").fingerprint(DAY)[:16] != before[:16]
    write_jsonl(tmp_path, table, row * 2)
    after = read(url, log_format).fingerprint(DAY)
    assert (before[:16], before != after) == (after[:16], True)


@pytest.mark.parametrize("log_format", ["litellm", "langfuse"])
def test_a_day_opens_only_its_own_parquet_files(tmp_path: Path, log_format: str) -> None:
    table, row = ROWS[log_format]
    start, end = ("startTime", "endTime") if log_format == "litellm" else ("start_time", "end_time")
    for back in range(3):
        moved = {name: row[name].replace("2026-11-10", str(DAY - timedelta(days=back))) for name in (start, end)}
        write_parquet(tmp_path / table, str(back), [row | moved])
    source = read(tmp_path, log_format)
    fingerprint = source.fingerprint(DAY)
    # A broken file of another day: opening it would fail.
    (tmp_path / table / "2.parquet").touch()
    assert source.fingerprint(DAY) == fingerprint
    assert [row[2] for row in counted(source)[0]] == [1]


@pytest.mark.parametrize("log_format", list(CONNECTORS))
def test_an_empty_file_is_an_empty_log(tmp_path: Path, log_format: str) -> None:
    (tmp_path / f"{CONNECTORS[log_format].tables[0]}.jsonl").touch()
    source = read(tmp_path, log_format)
    assert counted(source) == ([], {})
    info = source.describe(DAY)
    assert (info.first_log_day, info.last_log_day) == (None, None)


@pytest.mark.parametrize("log_format", list(CONNECTORS))
def test_golden_tables_are_read_beside_a_tools_log(tmp_path: Path, log_format: str) -> None:
    url = write_jsonl(tmp_path, *_one(log_format))
    write_tables(tmp_path, golden_data({}))
    source = read(url, log_format)
    assert source.golden(DAY, 0.8).table.num_rows == 1
    assert len(counted(source)[0]) == 1


def test_the_apps_own_columns_named_excluded_are_ignored(tmp_path: Path) -> None:
    url = write_tables(tmp_path, {"llm_query_logs": [log_row(excluded="multi_turn", answer_excluded="text_cut")]})
    assert counted(read(url, "own"))[1] == {}


def test_an_engine_that_connectors_do_not_run_on_is_an_error() -> None:
    class Spark:
        name = "pyspark"

    with pytest.raises(ConfigurationError, match="LOG_FORMAT=otel reads folders of files, DuckDB and PostgreSQL, not"):
        dialect_of(Spark(), "otel", "table spans")


def test_json_in_text_columns_of_an_old_postgres_is_an_error_and_jsonb_is_read(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def old(*_: Any) -> PostgresDialect:
        return PostgresDialect(parses_text=False)

    monkeypatch.setattr("cachewarm_pipeline.query_log.log_formats.connector.dialect_of", old)
    url = write_postgres(postgres_url, "LiteLLM_SpendLogs", [spend_log()])
    assert len(counted(read(url, "litellm"))[0]) == 1
    url = write_postgres(postgres_url, "LiteLLM_SpendLogs", [spend_log()], json_type="text")
    with pytest.raises(SourceError, match="reading JSON from it needs PostgreSQL 16: make the column jsonb"):
        read(url, "litellm").day_groups(DAY)


_TEXT = st.text(max_size=8) | st.sampled_from(
    ["[", "{", '"', "[]", "{}", "null", '[{"role": "user"}]', "redacted", "1"]
)
_PART = st.fixed_dictionaries({}, optional={"type": st.sampled_from(["text", "image_url"]), "text": _TEXT | st.none()})
_MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["system", "user", "assistant", "tool", "developer", ""]),
        "content": st.none() | _TEXT | st.lists(_PART, max_size=2) | st.integers(),
        "tool_calls": st.none() | st.lists(st.just({}), max_size=1),
    },
)
_ANYTHING = st.none() | st.booleans() | st.integers(-9, 9) | _TEXT | st.lists(_MESSAGE, max_size=3) | _MESSAGE
_ASKED = st.fixed_dictionaries({"messages": _ANYTHING}) | _ANYTHING
_TOLD = (
    st.fixed_dictionaries({"choices": _ANYTHING}) | _ANYTHING | _MESSAGE.map(lambda m: {"choices": [{"message": m}]})
)


def _no_null_characters(value: Any) -> bool:
    return "\\u0000" not in json.dumps(value)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(st.lists(st.tuples(_ASKED, _TOLD).filter(_no_null_characters), min_size=40, max_size=60))
def test_files_and_postgres_read_any_document_alike(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory, documents: list[tuple[Any, Any]]
) -> None:
    rows = [
        observation(id=str(n), input=json.dumps(request), output=json.dumps(answer), trace_name=f"a{n}")
        for n, (request, answer) in enumerate(documents)
    ]
    folder = write_jsonl(tmp_path_factory.mktemp("documents"), "observations_v2", rows)
    database = write_postgres(postgres_url, "observations_v2", rows)
    assert reasons(folder, "langfuse", "id") == reasons(database, "langfuse", "id")
    assert counted(read(folder, "langfuse")) == counted(read(database, "langfuse"))


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12),
        min_size=1,
        max_size=30,
        unique=True,
    )
)
def test_the_prompt_is_exactly_the_users_one_text(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """For any characters, as a message and within a request's body."""
    rows: list[Row] = [
        spend_log(proxy_server_request={"messages": chat(text, system="[{]")}, response=completion(f"So: {text}."))
        for text in texts
    ]
    groups = read(write_jsonl(tmp_path_factory.mktemp("texts"), "LiteLLM_SpendLogs", rows), "litellm").day_groups(DAY)
    nothing = {text for text in texts if text.strip(" \t\r\n") in ("", "{}", "[]", "null", '""')}
    assert set(groups.queries["query"].to_pylist()) == set(texts) - nothing
    answers = zip(*(groups.responses[name].to_pylist() for name in ("query", "response")), strict=True)
    assert all(answer == f"So: {query}." for query, answer in answers)


def _one(log_format: str) -> tuple[str, list[Row]]:
    table, row = ROWS[log_format]
    return table, [row]
