"""The dataset store: whole files or none, exact schemas, equal bytes for equal tables, and clear errors."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.errors import ConfigurationError, DatasetError
from cachewarm_pipeline.storage.datasets import DatasetStore
from cachewarm_pipeline.storage.files import Folder
from cachewarm_pipeline.storage.schemas import DAILY_QUERY_COUNTS, EMBEDDINGS, RESPONSE

DAY = date(2026, 11, 1)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
ROWS = st.lists(st.tuples(TEXT, TEXT, TEXT, st.integers(1, 4_096)), max_size=50)


def _embeddings(rows: list[tuple[str, str, str, int]]) -> pa.Table:
    return pa.table([list(column) for column in zip(*rows, strict=True)] or [[]] * 4, schema=EMBEDDINGS)


def _counts() -> pa.Table:
    when = datetime(2026, 11, 1, 12, tzinfo=UTC)
    row: dict[str, Any] = {
        **{field.name: 1 for field in DAILY_QUERY_COUNTS},
        "agent_type": "a",
        "canonical": "q",
        "prompt": "Q?",
        "users": ["u1", "u2"],
        "responses": [{"response": "r", "count": 1, "last_at": when, "negative": 0}],
    }
    return pa.Table.from_pylist([row], schema=DAILY_QUERY_COUNTS)


SMALL = [("k1", "m", "a text", 384), ("k2", "m", "another", 384)]


@pytest.fixture(params=["folder", "file-uri", "fsspec"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> DatasetStore:
    bases = {
        "folder": str(tmp_path / "a folder"),
        "file-uri": (tmp_path / "a-folder").as_uri(),
        "fsspec": f"memory://{uuid.uuid4()}/base",
    }
    return DatasetStore(bases[request.param])


def test_what_is_written_is_read(store: DatasetStore) -> None:
    for asset, table in {"embeddings": _embeddings(SMALL), "daily_query_counts": _counts()}.items():
        assert not store.exists(asset, DAY)
        store.write(asset, DAY, table)
        assert store.exists(asset, DAY)
        assert store.read(asset, DAY).equals(table)
        assert store.read(asset, DAY).schema.equals(table.schema)


def test_only_the_columns_asked_for_are_given_in_that_order(store: DatasetStore) -> None:
    store.write("embeddings", DAY, _embeddings(SMALL))
    table = store.read("embeddings", DAY, ["text", "embedding_key"])
    assert table.column_names == ["text", "embedding_key"]
    assert table["text"].to_pylist() == ["a text", "another"]


def test_a_table_without_rows_keeps_its_schema(store: DatasetStore) -> None:
    store.write("embeddings", DAY, _embeddings([]))
    assert store.read("embeddings", DAY).schema.equals(EMBEDDINGS)
    assert store.read("embeddings", DAY).num_rows == 0


def test_days_are_listed_oldest_first_and_other_files_are_ignored(tmp_path: Path) -> None:
    store = DatasetStore(str(tmp_path))
    assert store.days("embeddings") == []
    days = [date(2026, 11, 2), date(2025, 12, 31), date(2026, 1, 1)]
    for day in days:
        store.write("embeddings", day, _embeddings(SMALL))
    for name in (".2026-11-03.parquet.1-ab.tmp", "2026-11-04.parquet.bak", "notes.txt"):
        (tmp_path / "embeddings" / name).write_text("x")
    assert store.days("embeddings") == sorted(days)


def test_the_fingerprint_is_kept_with_the_file(store: DatasetStore) -> None:
    assert store.fingerprint("embeddings", DAY) is None
    store.write("embeddings", DAY, _embeddings(SMALL))
    assert store.fingerprint("embeddings", DAY) == ""
    store.write("embeddings", DAY, _embeddings(SMALL), fingerprint="source é 1")
    assert store.fingerprint("embeddings", DAY) == "source é 1"
    assert store.read("embeddings", DAY).equals(_embeddings(SMALL))


def test_the_fingerprint_is_read_without_the_rows(tmp_path: Path) -> None:
    store = DatasetStore(str(tmp_path))
    store.write("embeddings", DAY, _embeddings([(str(n), "m", "text" * 50, n) for n in range(1, 500)]), fingerprint="f")
    path = tmp_path / "embeddings" / "2026-11-01.parquet"
    content = bytearray(path.read_bytes())
    content[4:1_000] = b"\xff" * 996
    path.write_bytes(content)
    assert store.fingerprint("embeddings", DAY) == "f"
    with pytest.raises(DatasetError, match=r"cannot read .*2026-11-01.parquet.*delete it and materialise embeddings"):
        store.read("embeddings", DAY)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, cuts=st.lists(st.integers(0, 50), max_size=5), extra=st.integers(0, 3))
def test_equal_tables_give_equal_bytes_however_they_are_chunked(
    tmp_path: Path, rows: list[tuple[str, str, str, int]], cuts: list[int], extra: int
) -> None:
    store = DatasetStore(str(tmp_path))
    path = tmp_path / "embeddings" / "2026-11-01.parquet"
    padding = [("x", "x", "x", 1)] * extra
    whole = _embeddings(rows)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    sliced = _embeddings(padding + rows).slice(extra)
    parts = [sliced.slice(start, stop - start) for start, stop in pairwise(edges)]
    store.write("embeddings", DAY, whole)
    before = path.read_bytes()
    path.unlink()
    store.write("embeddings", DAY, pa.concat_tables(parts))
    assert path.read_bytes() == before


def test_writing_the_same_table_again_changes_nothing_and_returns_false(store: DatasetStore, tmp_path: Path) -> None:
    assert store.write("embeddings", DAY, _embeddings(SMALL), fingerprint="f") is True
    files = {path: path.stat().st_ino for path in tmp_path.rglob("*.parquet")}
    assert store.write("embeddings", DAY, _embeddings(SMALL), fingerprint="f") is False
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*.parquet")} == files
    assert store.write("embeddings", DAY, _embeddings(SMALL), fingerprint="g") is True
    assert store.write("embeddings", DAY, _embeddings(SMALL[:1]), fingerprint="g") is True


def test_a_missing_day_says_what_to_materialise(store: DatasetStore) -> None:
    with pytest.raises(
        DatasetError, match=r"embeddings has no 2026-11-01 .*: materialise embeddings for 2026-11-01 first"
    ):
        store.read("embeddings", DAY)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all" * 100])
def test_a_file_that_is_not_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "embeddings").mkdir()
    (tmp_path / "embeddings" / "2026-11-01.parquet").write_bytes(content)
    store = DatasetStore(str(tmp_path))
    for read in (store.read, store.fingerprint):
        with pytest.raises(DatasetError, match=r"cannot read .*embeddings/2026-11-01\.parquet.*delete it") as caught:
            read("embeddings", DAY)
        assert "\n" not in str(caught.value)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_truncated_or_flipped_file_never_gives_other_rows(tmp_path: Path, data: st.DataObject) -> None:
    store = DatasetStore(str(tmp_path))
    table = _embeddings(SMALL)
    path = tmp_path / "embeddings" / "2026-11-01.parquet"
    path.unlink(missing_ok=True)
    store.write("embeddings", DAY, table)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans(), label="truncate"):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:  # in the data part: the footer's own hash is not Parquet's business
        content[data.draw(st.integers(4, 150))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        read = store.read("embeddings", DAY)
    except DatasetError:
        return
    assert read.equals(table)


def test_a_table_of_another_schema_is_refused_before_anything_is_written(store: DatasetStore) -> None:
    good = _embeddings(SMALL)
    bad = {
        "'text' is missing": good.drop_columns(["text"]),
        "'dimensions' is not int32": good.set_column(3, "dimensions", pa.array(["many", "few"])),
        "'model_id' has 1 nulls": good.set_column(1, "model_id", pa.array([None, "m"])),
    }
    for message, table in bad.items():
        with pytest.raises(DatasetError, match=message):
            store.write("embeddings", DAY, table)
    assert not store.exists("embeddings", DAY)


def test_unknown_datasets_and_columns_are_named(store: DatasetStore) -> None:
    with pytest.raises(DatasetError, match="no dataset 'nonsense'"):
        store.write("nonsense", DAY, _embeddings(SMALL))
    with pytest.raises(DatasetError, match=r"no dataset '../x'"):
        store.read("../x", DAY)
    with pytest.raises(DatasetError, match="embeddings has no column 'nonsense'"):
        store.read("embeddings", DAY, ["nonsense"])


def test_a_file_of_an_older_schema_says_to_materialise_again(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    (tmp_path / "embeddings").mkdir()
    pq.write_table(_embeddings(SMALL).drop_columns(["text"]), tmp_path / "embeddings" / "2026-11-01.parquet")
    store = DatasetStore(str(tmp_path))
    with pytest.raises(DatasetError, match=r"'text' is missing.*materialise embeddings for 2026-11-01"):
        store.read("embeddings", DAY)
    assert store.read("embeddings", DAY, ["model_id"]).num_rows == 2


def test_counts_of_a_version_that_kept_no_users_of_responses_are_read_with_nulls(tmp_path: Path) -> None:
    rows = _counts().to_pylist()
    response = {"response": "r", "count": 2, "last_at": datetime(2026, 11, 1, tzinfo=UTC), "negative": 0, "model": None}
    rows[0]["responses"] = [response]
    older = pa.struct([field for field in RESPONSE if field.name not in ("users", "anonymous")])
    schema = DAILY_QUERY_COUNTS.set(
        DAILY_QUERY_COUNTS.get_field_index("responses"), pa.field("responses", pa.list_(older))
    )
    (tmp_path / "daily_query_counts").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "daily_query_counts" / f"{DAY}.parquet")
    read = DatasetStore(str(tmp_path)).read("daily_query_counts", DAY, ["responses"])
    assert read.to_pylist() == [{"responses": [response | {"users": None, "anonymous": None}]}]


def test_readers_see_the_old_or_the_new_file_and_never_a_partial_one(tmp_path: Path) -> None:
    store = DatasetStore(str(tmp_path))
    tables = [_embeddings([(str(n), "m", f"text {version}", n) for n in range(1, 3_000)]) for version in (1, 2)]
    store.write("embeddings", DAY, tables[0])
    stop = threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            for table in tables:
                store.write("embeddings", DAY, table)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        seen = [store.read("embeddings", DAY) for _ in range(60)]
    finally:
        stop.set()
        writer.join()
    assert all(any(table.equals(version) for version in tables) for table in seen)


def test_a_failed_write_leaves_the_old_file_and_no_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DatasetStore(str(tmp_path))
    store.write("embeddings", DAY, _embeddings(SMALL))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DatasetError, match=r"cannot write dataset embeddings for 2026-11-01 to .*: the disk is full"):
        store.write("embeddings", DAY, _embeddings(SMALL[:1]))
    assert store.read("embeddings", DAY).equals(_embeddings(SMALL))
    assert [path.name for path in (tmp_path / "embeddings").iterdir()] == ["2026-11-01.parquet"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting a small disk needs root")
def test_a_full_disk_is_reported_and_leaves_the_old_file(tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        store = DatasetStore(str(tmp_path))
        store.write("embeddings", DAY, _embeddings(SMALL))
        large = _embeddings(
            [(hashlib.sha256(bytes([n % 256, n // 256])).hexdigest(), "m", "x", 1) for n in range(20_000)]
        )
        with pytest.raises(DatasetError, match="the disk is full"):
            store.write("embeddings", DAY, large)
        assert store.read("embeddings", DAY).equals(_embeddings(SMALL))
        assert [path.name for path in (tmp_path / "embeddings").iterdir()] == ["2026-11-01.parquet"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that this process cannot write to, even as root: then an ordinary user's rights are taken."""
    folder = Path(tempfile.mkdtemp(prefix="cachewarm-test-"))
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65_534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_read_only_folder_is_reported(read_only_folder: Path) -> None:
    store = DatasetStore(str(read_only_folder))
    with pytest.raises(DatasetError, match=r"cannot write dataset embeddings .*: no permission to write there"):
        store.write("embeddings", DAY, _embeddings(SMALL))


def test_a_base_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "base").write_text("a file")
    store = DatasetStore(str(tmp_path / "base"))
    with pytest.raises(DatasetError, match="cannot write dataset embeddings"):
        store.write("embeddings", DAY, _embeddings(SMALL))
    assert store.exists("embeddings", DAY) is False
    (tmp_path / "embeddings").write_text("a file")
    with pytest.raises(DatasetError, match=r"cannot list .*embeddings"):
        DatasetStore(str(tmp_path)).days("embeddings")


@pytest.mark.parametrize("uri", ["nonsense://user:Qsecret@x/y", "s4://Qkey:Qsecret@bucket/x"])
def test_a_uri_that_cannot_be_opened_is_a_configuration_error_without_its_secrets(uri: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot open .*CACHEWARM_DATASET_URL") as caught:
        DatasetStore(uri).read("embeddings", DAY)
    assert "Qsecret" not in str(caught.value)


def test_names_in_messages_hide_credentials() -> None:
    assert Folder("s3://Qkey:Qsecret@bucket/base").show("a/b.parquet") == "s3://***@bucket/base/a/b.parquet"
