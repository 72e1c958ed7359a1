"""Opening a source: how its URL is read, what its fingerprint depends on, and the error of each connection fault."""

import importlib.util
import os
import socket
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from cachewarm_pipeline.errors import ConfigurationError, SourceError
from cachewarm_pipeline.query_log.sources.ibis_engines import normal_postgres_url
from cachewarm_pipeline.query_log.sources.ibis_source import IbisSource
from cachewarm_pipeline.query_log.sources.open_source import open_source
from tests.support.postgres_server import ACCOUNT_WITH_PASSWORD, PASSWORD
from tests.support.source_data import (
    DAY,
    golden_data,
    log_row,
    mined,
    write_csv,
    write_jsonl,
    write_parquet,
    write_postgres,
)


def opened(url: str | Path, **options: Any) -> IbisSource:
    source = open_source(url, **({"tables": {}, "columns": {}} | options))
    assert isinstance(source, IbisSource)
    return source


def refused(url: str | Path, **options: Any) -> str:
    """The one-line message of the SourceError that opening raises."""
    with pytest.raises(SourceError) as raised:
        opened(url, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:p@db.example.org:6432/app?sslmode=require",
        "postgresql+psycopg2://u:p@db.example.org:6432/app?sslmode=require",
        "postgresql+asyncpg://u:p@db.example.org:6432/app?sslmode=require",
        "PostgreSQL://u:p@db.example.org:6432/app?sslmode=require",
    ],
)
def test_every_spelling_of_a_postgres_url_becomes_libpqs(url: str) -> None:
    from psycopg.conninfo import conninfo_to_dict

    assert conninfo_to_dict(normal_postgres_url(url)) == {
        "user": "u",
        "password": "p",
        "host": "db.example.org",
        "port": "6432",
        "dbname": "app",
        "sslmode": "require",
    }


def test_sqlalchemys_spelling_of_a_postgres_url_opens(postgres_url: str) -> None:
    url = write_postgres(postgres_url, "spelling", {"llm_query_logs": [log_row()]})
    assert len(mined(opened(url.replace("postgresql://", "postgresql+psycopg2://")))[0]) == 1


def test_a_table_in_another_schema_is_mapped(postgres_url: str) -> None:
    write_postgres(postgres_url, "prod", {"llm_requests": [log_row()]})
    source = opened(postgres_url, tables={"llm_query_logs": "prod.llm_requests"})
    assert len(mined(source)[0]) == 1
    database = "postgres.prod.llm_requests"
    assert len(mined(opened(postgres_url, tables={"llm_query_logs": database}))[0]) == 1


def test_views_jsonb_naive_times_and_numerics_of_postgres_are_read(postgres_url: str) -> None:
    import psycopg

    url = write_postgres(postgres_url, "kinds", golden_data({}))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE raw (q varchar(50), a char(10), r jsonb, t timestamp, u uuid, hit int, cost numeric)"
        )
        connection.execute(
            "INSERT INTO raw VALUES "
            "('Hi', 'agent', '{\"b\": 1, \"a\": 2}', '2026-11-10 23:59:59.5', gen_random_uuid(), 0, 0.1), "
            "('Hi', 'agent', NULL, '2026-11-10', NULL, 1, 'NaN'), ('Hi', 'agent', NULL, 'infinity', NULL, 1, 1)"
        )
        connection.execute(
            "CREATE VIEW llm_query_logs AS SELECT q AS query, a AS agent_type, r AS response, t AS created_at, "
            "u AS user_id, hit AS cache_hit, cost AS cost_usd FROM raw"
        )
        connection.execute("ALTER TABLE findings ALTER output TYPE json USING output::json")
    source = opened(url)
    (row,), _ = mined(source)
    assert (row["agent_type"], row["count"], row["cache_hits"], len(row["users"])) == ("agent", 2, 1, 1)
    assert row["responses"][0]["response"] == '{"a": 2, "b": 1}'
    assert (row["cost_usd"], row["costed"]) == (0.1, 1)
    assert source.describe(DAY).last_log_day == DAY
    assert source.golden(DAY, 0.8).table["output"].to_pylist() == ['{"risk": "low"}']


def test_nothing_can_be_written_through_a_source(postgres_url: str) -> None:
    import psycopg

    source = opened(write_postgres(postgres_url, "readonly", {"llm_query_logs": [log_row()]}))
    mined(source)
    connection = source._tables.connection
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), connection.begin() as cursor:
        cursor.execute("DELETE FROM llm_query_logs")
    assert len(mined(source)[0]) == 1


def test_all_reads_of_a_postgres_day_see_the_same_state(postgres_url: str) -> None:
    import psycopg

    url = write_postgres(postgres_url, "moment", {"llm_query_logs": [log_row()]})
    source = opened(url)
    with source._tables.snapshot("anything"), psycopg.connect(url, autocommit=True) as other:
        connection = source._tables.connection
        before = connection.table("llm_query_logs").count().execute()
        other.execute("INSERT INTO llm_query_logs SELECT * FROM llm_query_logs")
        assert connection.table("llm_query_logs").count().execute() == before == 1
    assert connection.table("llm_query_logs").count().execute() == 2


def test_an_unreachable_postgres_is_an_error_without_the_password() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    message = refused(f"postgresql://me:hunter%402@127.0.0.1:{port}/app")
    assert "127.0.0.1" in message
    assert "hunter" not in message
    assert "CACHEWARM_SOURCE_URL" in message


def test_a_host_without_an_address_is_an_error() -> None:
    assert "nowhere.invalid" in refused("postgresql://me:hunter2@nowhere.invalid/app?connect_timeout=2")


def test_a_wrong_password_is_an_error_that_does_not_contain_it(postgres_url: str) -> None:
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {ACCOUNT_WITH_PASSWORD}")
        connection.execute(f"CREATE ROLE {ACCOUNT_WITH_PASSWORD} LOGIN PASSWORD '{PASSWORD}'")
    folder = postgres_url.partition("?host=")[2]
    message = refused(f"postgresql://{ACCOUNT_WITH_PASSWORD}:wrong-hunter2@/postgres?host={folder}")
    assert "password authentication failed" in message
    assert "wrong-hunter2" not in message
    # The right password connects, but the user may not read the tables.
    write_postgres(postgres_url, "forbidden", {"llm_query_logs": [log_row()]})
    url = f"postgresql://{ACCOUNT_WITH_PASSWORD}:{quote(PASSWORD)}@/postgres?host={folder}"
    source = opened(url, tables={"llm_query_logs": "forbidden.llm_query_logs"})
    with pytest.raises(SourceError, match="permission denied") as raised:
        source.day_groups(DAY)
    assert "\n" not in str(raised.value)
    assert quote(PASSWORD) not in str(raised.value)


def test_a_wrong_database_is_an_error(postgres_url: str) -> None:
    assert 'database "nope" does not exist' in refused(postgres_url.replace("/postgres?", "/nope?"))


def test_an_empty_database_is_an_error_that_names_the_missing_tables(postgres_url: str) -> None:
    assert "CACHEWARM_TABLES" in refused(write_postgres(postgres_url, "void", {}))


@pytest.mark.parametrize("url", ["nonsense://somewhere/x", "redis://127.0.0.1:1", "http://example.org/data"])
def test_a_url_of_an_unknown_engine_is_wrong_usage(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        opened(url)
    assert "postgresql://" in str(raised.value) or "pip install" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(importlib.util.find_spec("pyspark") is not None, reason="pyspark is installed")
def test_spark_without_pyspark_is_an_error_that_names_what_to_install(tmp_path: Path) -> None:
    write_parquet(tmp_path, {"llm_query_logs": [log_row()]})
    with pytest.raises(ConfigurationError, match=r"pyspark.*cachewarm-pipeline\[spark\]"):
        opened(f"spark://{tmp_path}")


@pytest.mark.skipif(importlib.util.find_spec("pyspark") is None, reason="needs the optional pyspark and Java 17")
@pytest.mark.parametrize("write", [write_csv, write_jsonl])
def test_spark_reads_text_files_too(tmp_path: Path, write: Any) -> None:
    rows = [log_row('two\nlines, "quoted"', cost_usd=0.5), log_row("second", cache_hit=True, user_id=None)]
    write(tmp_path / "source", {"llm_query_logs": rows})
    assert mined(opened(f"spark://{tmp_path / 'source'}")) == mined(opened(tmp_path / "source"))


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    assert str(tmp_path / "gone") in refused(tmp_path / "gone")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o000)
    assert "cannot be read" in refused(tmp_path / "closed")


def test_a_folder_may_be_a_path_a_text_or_a_file_url(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a folder", {"llm_query_logs": [log_row()]})
    for url in (tmp_path / "a folder", str(tmp_path / "a folder"), f"file://{tmp_path / 'a folder'}"):
        assert len(mined(opened(url))[0]) == 1


def test_a_duckdb_file_opens_as_any_other_backend(tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "app.duckdb"
    parquet = write_parquet(tmp_path / "rows", {"llm_query_logs": [log_row()]})
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE TABLE llm_query_logs AS FROM '{parquet}/llm_query_logs.parquet'")
    expected = mined(opened(parquet))
    first, second = opened(path), opened(f"duckdb://{path}")
    assert mined(first) == mined(second) == expected
    assert expected[0]
    with pytest.raises(duckdb.Error, match="read-only"):
        first._tables.connection.raw_sql("DELETE FROM llm_query_logs")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tables": {"log": "x"}}, ["CACHEWARM_TABLES", "'log'", "llm_query_logs"]),
        ({"columns": {"logs": {"query": "x"}}}, ["CACHEWARM_COLUMNS", "'logs'"]),
        ({"columns": {"llm_query_logs": {"prompt": "x"}}}, ["CACHEWARM_COLUMNS", "'prompt'", "query"]),
    ],
)
def test_a_mapping_of_unknown_names_is_wrong_usage(tmp_path: Path, options: Any, words: list[str]) -> None:
    write_parquet(tmp_path, {"llm_query_logs": [log_row()]})
    with pytest.raises(ConfigurationError) as raised:
        opened(tmp_path, **options)
    assert all(word in str(raised.value) for word in words)


def test_a_fingerprint_changes_with_the_source_and_its_mapping_and_nothing_else(tmp_path: Path) -> None:
    one = write_parquet(tmp_path / "one", {"llm_query_logs": [log_row()]})
    other = write_parquet(tmp_path / "other", {"llm_query_logs": [log_row()]})
    day = date(2026, 3, 1)
    mark = opened(one).fingerprint(day)
    assert mark == opened(f"{tmp_path}/./one/").fingerprint(day) == opened(f"file://{one}").fingerprint(day)
    others = [
        opened(other).fingerprint(day),
        opened(one, columns={"llm_query_logs": {"user_id": "model"}}).fingerprint(day),
        opened(one, max_response_bytes=9).fingerprint(day),
    ]
    assert len({mark, *others}) == 4
    assert len(mark) == 32
    write_parquet(tmp_path / "one", {"llm_query_logs": [log_row(), log_row()]})
    assert opened(one).fingerprint(day) != mark  # the file was replaced: its days are mined again


def test_a_fingerprint_does_not_depend_on_the_user_of_the_database(postgres_url: str) -> None:
    url = write_postgres(postgres_url, "print", {"llm_query_logs": [log_row()]})
    with_password = url.replace("://cachewarm@", "://cachewarm:secret@")
    assert opened(url).fingerprint(date(2026, 3, 1)) == opened(with_password).fingerprint(date(2026, 3, 1))
    assert opened(url).fingerprint(date(2026, 3, 1)) == opened(url.replace("postgresql:", "postgres:")).fingerprint(
        date(2026, 3, 1)
    )
    elsewhere = write_postgres(postgres_url, "print2", {"llm_query_logs": [log_row()]})
    assert opened(url).fingerprint(date(2026, 3, 1)) != opened(elsewhere).fingerprint(date(2026, 3, 1))
