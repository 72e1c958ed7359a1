"""Which files of a folder are read, and how columns of odd types are read."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cachewarm_pipeline.errors import SourceError
from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.ports import Source
from cachewarm_pipeline.query_log.sources.folder_files import list_files, may_hold
from cachewarm_pipeline.query_log.sources.open_source import open_source
from tests.support.source_data import (
    DAY,
    NOON,
    arrow,
    at,
    golden_data,
    log_row,
    mined,
    write_csv,
    write_jsonl,
    write_parquet,
)


def opened(folder: Path | str, **options: Any) -> Source:
    return open_source(folder, **({"tables": {}, "columns": {}} | options))


def write_day(folder: Path, name: str, *rows: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(arrow("llm_query_logs", list(rows)), folder / name)
    return folder / name


def write_column(folder: Path, name: str, values: pa.Array) -> Source:
    """A log with one row for each value, in a column that replaces the default one."""
    table = arrow("llm_query_logs", [log_row(f"q{n}") for n in range(len(values))])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "llm_query_logs.parquet"
    pq.write_table(table.set_column(table.column_names.index(name), name, values), path)
    return opened(folder)


def test_a_table_is_a_file_or_a_folder_of_day_files(tmp_path: Path) -> None:
    days = tmp_path / "llm_query_logs"
    write_day(days, "2026-11-10.parquet", log_row("one"))
    write_day(days / "month=11", "part-0.parquet", log_row("two"))
    assert [r["canonical"] for r in mined(opened(tmp_path))[0]] == ["one", "two"]


def test_files_that_are_not_data_are_never_read(tmp_path: Path) -> None:
    days = tmp_path / "llm_query_logs"
    write_day(days, "2026-11-10.parquet", log_row("one"))
    for name in (
        "_truth.parquet",
        "_SUCCESS",
        "x.parquet.tmp",
        ".x.parquet.crc",
        "_tmp/x.parquet",
        ".h/x.csv",
        "a.txt",
    ):
        (days / name).parent.mkdir(exist_ok=True)
        (days / name).write_bytes(b"half written")
    assert [r["canonical"] for r in mined(opened(tmp_path))[0]] == ["one"]


def test_a_table_of_only_unread_files_does_not_exist(tmp_path: Path) -> None:
    write_day(tmp_path / "llm_query_logs", "_a.parquet", log_row())
    (tmp_path / "_llm_query_logs.parquet").write_bytes(b"")
    with pytest.raises(SourceError, match="neither"):
        opened(tmp_path)


def test_a_table_that_exists_twice_is_refused_because_its_rows_would_count_twice(tmp_path: Path) -> None:
    write_parquet(tmp_path, {"llm_query_logs": [log_row()]})
    write_csv(tmp_path, {"llm_query_logs": [log_row()]})
    with pytest.raises(SourceError, match=r"more than once.*llm_query_logs.parquet, llm_query_logs.csv"):
        opened(tmp_path)


def test_a_folder_of_mixed_formats_is_refused(tmp_path: Path) -> None:
    write_day(tmp_path / "llm_query_logs", "a.parquet", log_row())
    (tmp_path / "llm_query_logs" / "b.csv").write_text("query\n")
    with pytest.raises(SourceError, match="csv and parquet"):
        opened(tmp_path)


def test_a_column_that_only_newer_files_have_is_not_lost(tmp_path: Path) -> None:
    old = {name: value for name, value in log_row(response="old").items() if name not in ("cache_hit", "user_id")}
    write_day(tmp_path / "llm_query_logs", "1.parquet", old)
    write_day(tmp_path / "llm_query_logs", "2.parquet", log_row(response="cached", cache_hit=True))
    (row,), _ = mined(opened(tmp_path))
    assert (row["count"], row["cache_hits"], [r["response"] for r in row["responses"]]) == (2, 1, ["old"])


def test_day_files_of_csv_with_other_columns_are_read_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "llm_query_logs"
    write_csv(folder, {"1": [log_row("one")]})
    write_csv(folder, {"2": [dict(reversed(list(log_row("two").items())))]})
    (folder / "3.csv").write_text("query,agent_type,response,created_at\n")
    (folder / "4.csv").write_text("")
    assert [(r["canonical"], r["count"]) for r in mined(opened(tmp_path))[0]] == [("one", 1), ("two", 1)]


def test_a_key_that_only_later_json_lines_have_is_not_lost(tmp_path: Path) -> None:
    early = {name: value for name, value in log_row().items() if name != "cache_hit"}
    write_jsonl(tmp_path, {"llm_query_logs": [early] * 3000 + [log_row(cache_hit=True)]})
    assert mined(opened(tmp_path))[0][0]["cache_hits"] == 1


def test_broken_json_lines_are_rows_without_a_date(tmp_path: Path) -> None:
    write_jsonl(tmp_path, {"llm_query_logs": [log_row()]})
    with (tmp_path / "llm_query_logs.jsonl").open("a") as file:
        file.write('{"query": "cut off", "agent_ty\nnot json at all\n')
    source = opened(tmp_path)
    assert source.describe(DAY).excluded == {ExclusionReason.NO_DATE: 2}
    assert len(mined(source)[0]) == 1


def test_nested_json_values_are_kept_as_json_text(tmp_path: Path) -> None:
    row = log_row(response={"b": [1, 2], "a": "x"}, user_id=17, cache_hit=0, created_at="2026-11-10T12:00:00Z")
    write_jsonl(tmp_path, {"llm_query_logs": [row]})
    (found,), _ = mined(opened(tmp_path))
    assert found["responses"][0]["response"].replace(" ", "") == '{"b":[1,2],"a":"x"}'


def test_compressed_text_files_are_read(tmp_path: Path) -> None:
    import gzip

    write_jsonl(tmp_path, {"llm_query_logs": [log_row()]})
    plain = tmp_path / "llm_query_logs.jsonl"
    (tmp_path / "llm_query_logs.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert len(mined(opened(tmp_path))[0]) == 1


def test_a_day_reads_only_the_files_that_can_hold_it(tmp_path: Path) -> None:
    days = tmp_path / "llm_query_logs"
    for offset in range(-3, 3):
        write_day(days, f"{offset}.parquet", log_row(f"day {offset}", created_at=NOON + timedelta(offset)))
    files = list_files(tmp_path, "llm_query_logs")
    assert files is not None
    assert [path.name for path in files.paths if may_hold(path, DAY, "created_at")] == ["0.parquet"]
    source = opened(tmp_path)
    # Torn after opening: reading it would fail.
    (days / "-2.parquet").write_bytes((days / "-2.parquet").read_bytes().replace(b"day -2", b"day X!")[: -0 or None])
    assert [r["canonical"] for r in mined(source)[0]] == ["day 0"]
    assert mined(source, DAY + timedelta(30)) == ([], {})


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ns")])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_no_file_of_a_day_is_skipped_for_any_time_type(
    tmp_path: Path, kind: pa.TimestampType, zone: str | None
) -> None:
    typed = pa.timestamp(kind.unit, tz=zone)
    edges = [at(0), at(24) - timedelta(seconds=1), at(0) - timedelta(seconds=1), at(24)]
    days = tmp_path / "llm_query_logs"
    days.mkdir()
    for number, moment in enumerate(edges):
        table = arrow("llm_query_logs", [log_row(f"q{number}")])
        value = pa.array([moment.replace(tzinfo=None)], pa.timestamp("us")).cast(pa.timestamp(kind.unit))
        column = value.cast(typed) if zone else value
        pq.write_table(table.set_column(3, "created_at", column), days / f"{number}.parquet")
    assert [r["canonical"] for r in mined(opened(tmp_path))[0]] == ["q0", "q1"]
    assert [may_hold(days / f"{n}.parquet", DAY, "created_at") for n in range(4)] == [True, True, False, False]


def test_files_without_statistics_are_read(tmp_path: Path) -> None:
    days = tmp_path / "llm_query_logs"
    days.mkdir()
    pq.write_table(arrow("llm_query_logs", [log_row()]), days / "1.parquet", write_statistics=False)
    text = pa.array(["2026-11-10T12:00:00Z"])
    table = arrow("llm_query_logs", [log_row("texts")])
    pq.write_table(table.set_column(3, "created_at", text), tmp_path / "t.parquet")
    assert may_hold(days / "1.parquet", DAY + timedelta(9), "created_at")
    assert may_hold(tmp_path / "t.parquet", DAY + timedelta(9), "created_at")
    assert len(mined(opened(tmp_path))[0]) == 1


def test_times_as_iso_text_are_read_and_other_texts_count_as_no_date(tmp_path: Path) -> None:
    good = [
        "2026-11-10",
        "2026-11-10T00:00",
        "2026-11-10 23:59:59",
        "2026-11-10T12:00:00Z",
        "2026-11-10 12:00:00.5",
        "2026-11-10T12:00:00.123456789Z",
        "2026-11-10 12:00:00 UTC",
        "2026-11-10T12:00:00+05:30",
        "2026-11-10T12:00:00+0530",
        "2026-11-10 12:00:00-08",
        "2026-11-11T01:00:00+02:00",
        " 2026-11-10T12:00:00 ",
    ]
    other_days = ["2026-11-10T23:00:00-02:00", "2024-02-29T00:00:00", "2000-02-29"]
    bad = [
        "",
        "yesterday",
        "2026-02-30T00:00:00",
        "2026-02-29",
        "2100-02-29",
        "2026-13-01",
        "2026-11-10T24:00:00",
        "10/11/2026",
        "1793491200",
        "0000-01-01",
        "2026-11-10T12:00:00+99:00",
        None,
    ]
    source = write_column(tmp_path, "created_at", pa.array(good + other_days + bad))
    assert [r["canonical"] for r in mined(source)[0]] == sorted(f"q{n}" for n in range(len(good)))
    found = source.describe(date(2026, 11, 20))
    assert found.excluded == {ExclusionReason.NO_DATE: len(bad)}
    assert (found.first_log_day, found.last_log_day) == (date(2000, 2, 29), date(2026, 11, 11))
    (precise,) = [r for r in mined(source)[0] if r["canonical"] == "q5"]
    assert precise["responses"][0]["last_at"] == datetime(2026, 11, 10, 12, 0, 0, 123456, tzinfo=UTC)


def test_dates_without_a_time_belong_to_their_day(tmp_path: Path) -> None:
    source = write_column(tmp_path, "created_at", pa.array([DAY, DAY + timedelta(1)], pa.date32()))
    assert [r["canonical"] for r in mined(source)[0]] == ["q0"]


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("created_at", pa.array([1793491200]), ["int64", "cannot be a time"]),
        ("created_at", pa.array([True]), ["boolean", "cannot be a time"]),
        ("query", pa.array([b"bytes"]), ["binary", "cannot be text"]),
        ("response", pa.array([["a", "b"]]), ["array", "cannot be text"]),
        ("agent_type", pa.array([{"name": "a"}]), ["struct", "cannot be text"]),
        ("cost_usd", pa.array([NOON]), ["timestamp", "cannot be a number"]),
        ("feedback", pa.array([True]), ["boolean", "cannot be a number"]),
        ("cache_hit", pa.array([NOON]), ["timestamp", "cannot be a truth value"]),
    ],
)
def test_a_column_of_an_impossible_type_is_named_with_its_type_and_the_setting(
    tmp_path: Path, column: str, values: pa.Array, words: list[str]
) -> None:
    with pytest.raises(SourceError) as raised:
        write_column(tmp_path, column, values).day_groups(DAY)
    message = str(raised.value)
    for word in ["llm_query_logs", f"'{column}'", "CACHEWARM_COLUMNS", *words]:
        assert word in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("values", "hits"),
    [
        (pa.array([True, False, None]), 1),
        (pa.array([1, 0, None, 2]), 2),
        (pa.array([1.0, 0.0, float("nan")][:2]), 1),
        (pa.array(["True", "true", "1", " TRUE ", "t", "yes", "False", "0", "None", "", "no", None]), 6),
    ],
)
def test_cache_hit_may_be_a_boolean_a_number_or_a_word(tmp_path: Path, values: pa.Array, hits: int) -> None:
    assert sum(r["cache_hits"] for r in mined(write_column(tmp_path, "cache_hit", values))[0]) == hits


@pytest.mark.parametrize(
    ("values", "negative"),
    [
        (pa.array([-1, 0, 1, None]), [1, 0, 0, 0]),
        (pa.array([-1.0, float("nan"), 1.0]), [1, 0, 0]),
        (pa.array(["-1", "1", "bad", "", " -1 ", None]), [1, 0, 0, 0, 1, 0]),
    ],
)
def test_feedback_may_be_a_number_or_text(tmp_path: Path, values: pa.Array, negative: list[int]) -> None:
    rows, _ = mined(write_column(tmp_path, "feedback", values))
    assert [r["responses"][0]["negative"] for r in rows] == negative


def test_numbers_as_text_are_read_and_other_texts_are_unknown(tmp_path: Path) -> None:
    texts = ["0.5", " 1 ", "1e-1", ".25", "free", "", "-1", "NaN", "1e999", "9" * 40, None]
    rows, _ = mined(write_column(tmp_path, "cost_usd", pa.array(texts)))
    by_query = {r["canonical"]: r["cost_usd"] for r in rows if r["costed"]}
    assert by_query == {"q0": 0.5, "q1": 1.0, "q2": 0.1, "q3": 0.25}


def test_nan_is_unknown_even_where_the_files_statistics_hide_it(tmp_path: Path) -> None:
    # Parquet statistics leave NaN out, and an engine that trusts them finds every value inside the bounds.
    rows, _ = mined(write_column(tmp_path, "cost_usd", pa.array([0.25, float("nan"), 0.75])))
    assert [(r["costed"], r["cost_usd"]) for r in rows] == [(1, 0.25), (0, 0.0), (1, 0.75)]


@pytest.mark.parametrize("content", [b"", b"PAR1 but not really PAR1", b"\x00" * 100])
def test_a_file_that_is_not_parquet_is_one_error_line(tmp_path: Path, content: bytes) -> None:
    write_day(tmp_path / "llm_query_logs", "1.parquet", log_row())
    (tmp_path / "llm_query_logs" / "0.parquet").write_bytes(content)
    with pytest.raises(SourceError) as raised:
        opened(tmp_path).day_groups(DAY)
    assert "\n" not in str(raised.value)
    assert "0.parquet" in str(raised.value)


def test_a_json_file_without_any_object_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "llm_query_logs.jsonl").write_text("this is\nnot JSON\n")
    with pytest.raises(SourceError, match="no line that is a JSON object"):
        opened(tmp_path).day_groups(DAY)


def test_ids_of_different_types_join(tmp_path: Path) -> None:
    data = golden_data({"analysis_id": 7}, analyses=[{"id": 7}])
    write_parquet(tmp_path, {"findings": data["findings"]})
    pq.write_table(pa.Table.from_pylist([row | {"id": "7"} for row in data["analyses"]]), tmp_path / "analyses.parquet")
    assert opened(tmp_path).golden(DAY, 0.8).table["analysis_id"].to_pylist() == ["7"]


def test_the_current_folder_stays_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    mined(opened(write_parquet(tmp_path / "source", {"llm_query_logs": [log_row()]})))
    assert list(here.iterdir()) == []
