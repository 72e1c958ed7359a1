"""The store of written texts: durable, whole, one key for one question, and safe for several processes."""

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from cachewarm_pipeline.candidates.variant_writers.writer_question import (
    WriterQuestion,
    answer_question,
    variants_question,
)
from cachewarm_pipeline.candidates.variant_writers.written_text_store import WrittenTexts
from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.ports import BaseQuery
from cachewarm_pipeline.storage import parquet_segments as segments_module
from cachewarm_pipeline.storage.files import below
from tests.support.segment_files import segments
from tests.support.writer_server import WriterServer, bases, open_writer

ID = "gpt-4.1-mini@0123abcd"
texts = st.lists(st.text(max_size=8), min_size=1, max_size=3)


@pytest.fixture
def server(_openai_http: HTTPServer) -> WriterServer:
    _openai_http.clear()
    return WriterServer(_openai_http)


@pytest.fixture
def reopened(store_uri: str) -> Callable[[], WrittenTexts]:
    """Opens the store again, as another process would see it."""
    return lambda: WrittenTexts(store_uri, ID)


def test_stored_texts_are_there_for_the_next_process(reopened: Callable[[], WrittenTexts]) -> None:
    stored = reopened()
    assert stored.get("a") is None
    stored.put({})
    stored.put({"a": ["one", "zwei ✓", "\x00"], "b": ["x"]})
    assert (stored.get("a"), reopened().get("a"), reopened().get("b")) == (2 * (["one", "zwei ✓", "\x00"],)) + (["x"],)
    assert reopened().get("c") is None


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.dictionaries(st.text(max_size=3), texts, max_size=4), max_size=6), most=st.integers(1, 4))
def test_all_readers_get_the_same_text_of_a_key_however_it_was_merged(
    tmp_path: Path, batches: list[dict[str, list[str]]], most: int
) -> None:
    base = str(tmp_path / uuid.uuid4().hex)
    wanted: dict[str, list[str]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments_module, "MAX_SEGMENTS", most)
        for batch in batches:
            WrittenTexts(base, ID).put(batch)
            for key, value in batch.items():
                wanted[key] = min(wanted.get(key, value), value)
        stored = WrittenTexts(base, ID)
        assert {key: stored.get(key) for key in wanted} == wanted
        assert len(segments(Path(base))) <= most + 1


def test_a_segment_is_named_by_its_content_and_has_no_base(tmp_path: Path) -> None:
    for _ in range(2):
        WrittenTexts(str(tmp_path), ID).put({"k": ["v"]})
    [segment] = segments(tmp_path)
    table = pq.read_table(segment)
    assert table.to_pydict() == {"key": ["k"], "texts": [["v"]]}
    assert table.schema.metadata == {b"cachewarm.model_id": ID.encode()}


def test_texts_of_another_model_or_question_are_not_used(tmp_path: Path) -> None:
    WrittenTexts(str(tmp_path), ID).put({"k": ["v"]})
    assert WrittenTexts(str(tmp_path), "gpt-4.1-mini@another1").get("k") is None


def test_a_folder_goes_before_the_options_of_an_object_store() -> None:
    assert below("s3://bucket/data?endpoint_override=a/b", "x") == "s3://bucket/data/x?endpoint_override=a/b"
    assert below("/a folder?/", "x") == "/a folder?/x"


def test_a_key_covers_everything_that_variants_depend_on() -> None:
    question, base = variants_question(8, 0.8), BaseQuery("a", "Rotate the key")
    same = [BaseQuery("a", "rotate  the key."), BaseQuery("a", "Rotate the key", response="x", origin="golden")]
    assert {question.key("m", base), *(question.key("m", other) for other in same)} == {question.key("m", base)}
    reworded = WriterQuestion("variants", question.instructions + ".", 0.8, 8)
    others = {
        question.key("n", base),
        question.key("m", BaseQuery("b", "Rotate the key")),
        question.key("m", BaseQuery("a", "Rotate the keys")),
        variants_question(7, 0.8).key("m", base),
        variants_question(8, 0.7).key("m", base),
        reworded.key("m", base),
        answer_question().key("m", base),
    }
    assert len(others | {question.key("m", base)}) == 8


def test_writers_and_merges_beside_each_other_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments_module, "MAX_SEGMENTS", 3)
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            stored = WrittenTexts(str(tmp_path), ID)
            for number in range(20):
                stored.put({f"{name}{number}": [name]})
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    stored = WrittenTexts(str(tmp_path), ID)
    assert all(stored.get(f"{name}{number}") == [name] for name in "abc" for number in range(20))


@pytest.mark.parametrize("damage", [b"", b"PAR1 not a segment", None], ids=["empty", "nonsense", "flipped"])
def test_a_damaged_segment_is_named_with_what_to_do(tmp_path: Path, damage: bytes | None) -> None:
    WrittenTexts(str(tmp_path), ID).put({f"key{number}": ["text"] for number in range(100)})
    [segment] = segments(tmp_path)
    data = bytearray(segment.read_bytes())
    data[200] ^= 0xFF
    segment.write_bytes(bytes(data) if damage is None else damage)
    with pytest.raises(DatasetError, match=r"damaged or unreadable.*delete it: its bases are written again") as caught:
        WrittenTexts(str(tmp_path), ID).get("key1")
    assert segment.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_question_is_paid_for_once_in_a_period_and_again_in_the_next(server: WriterServer, tmp_path: Path) -> None:
    (base,) = bases(1)
    weeks = [replace(base, period=period) for period in ("", "2026-W11", "2026-W12")]
    for week in weeks:
        for _ in range(2):
            assert open_writer(server, tmp_path).answers([week]) == [f"The answer to {base.prompt}"]
    assert len(server.requests) == len(weeks)


def test_a_question_without_a_period_has_the_key_that_it_always_had() -> None:
    (base,) = bases(1)
    assert answer_question().key("gpt", base) == "c636bbaecd10a3a42b8bb2bcf4289899"
