"""Stored vectors: content-addressed, immutable, whole, safe for several processes; and which texts are embedded."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from cachewarm_client.embedders.embedder import EmbedderInfo, Usage
from cachewarm_client.text import embedding_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts
from cachewarm_pipeline.storage import vectors as vectors_module
from cachewarm_pipeline.storage.vectors import MAX_SMALL_SEGMENTS, ParquetVectorStore, folder_name

MODEL = "minilm:all-MiniLM-L6-v2-int8@8199be6f"


def _vectors(keys: Sequence[str], dimensions: int = 8) -> np.ndarray:
    """A vector that follows from its key."""
    rows = [np.random.default_rng(list(key.encode())).standard_normal(dimensions) for key in keys]
    return np.array(rows, dtype=np.float32).reshape(len(keys), dimensions)


def _segments(base: Path) -> list[Path]:
    return sorted(base.rglob("*.parquet"))


@pytest.fixture(params=["folder", "fsspec"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ParquetVectorStore:
    base = str(tmp_path / "a folder") if request.param == "folder" else f"memory://{uuid.uuid4()}/vectors"
    return ParquetVectorStore(base, MODEL)


def test_an_empty_store_misses_every_key(store: ParquetVectorStore) -> None:
    assert store.missing(["a", "b"]) == {"a", "b"}
    assert store.missing([]) == set()
    assert store.dimensions is None
    assert store.get([]).shape == (0, 0)


def test_vectors_are_returned_in_the_order_of_the_keys(store: ParquetVectorStore) -> None:
    store.put(["a", "b"], _vectors(["a", "b"]))
    store.put(["c"], _vectors(["c"]))
    asked = ["c", "a", "a", "b", "c"]
    assert store.get(asked).dtype == np.float32
    np.testing.assert_array_equal(store.get(asked), _vectors(asked))
    assert store.missing(["a", "x", "c"]) == {"x"}
    assert store.dimensions == 8
    assert store.get([]).shape == (0, 8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=12, unique=True), max_size=8),
    compact=st.booleans(),
    data=st.data(),
)
def test_any_history_of_batches_gives_every_key_its_vector(
    tmp_path: Path, batches: list[list[str]], compact: bool, data: st.DataObject
) -> None:
    store = ParquetVectorStore(str(tmp_path / uuid.uuid4().hex), MODEL)
    for batch in batches:
        store.put(batch, _vectors(batch))
    if compact:
        store.compact()
    known = sorted({key for batch in batches for key in batch})
    asked = data.draw(st.lists(st.sampled_from(known), max_size=20) if known else st.just([]))
    np.testing.assert_array_equal(store.get(asked), _vectors(asked) if known else np.empty((0, 0)))
    assert store.missing([*known, "never stored"]) == {"never stored"}


def test_an_unknown_key_is_an_error(store: ParquetVectorStore) -> None:
    store.put(["a"], _vectors(["a"]))
    with pytest.raises(DatasetError, match=r"1 of 2 vectors are not in .*materialise embeddings first"):
        store.get(["a", "b"])


def test_the_next_process_finds_what_this_one_stored(tmp_path: Path) -> None:
    ParquetVectorStore(str(tmp_path), MODEL).put(["a"], _vectors(["a"]))
    np.testing.assert_array_equal(ParquetVectorStore(str(tmp_path), MODEL).get(["a"]), _vectors(["a"]))


def test_models_never_share_vectors(tmp_path: Path) -> None:
    ids = ["openai:a/b", "openai:a-b", "openai:a b", MODEL]
    assert len({folder_name(model) for model in ids}) == len(ids)
    for number, model in enumerate(ids):
        store = ParquetVectorStore(str(tmp_path), model)
        assert store.missing(["k"]) == {"k"}
        store.put(["k"], _vectors([str(number)]))
    for number, model in enumerate(ids):
        np.testing.assert_array_equal(ParquetVectorStore(str(tmp_path), model).get(["k"]), _vectors([str(number)]))


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_models_folder_is_a_safe_name_of_its_own(one: str, other: str) -> None:
    for model in (one, other):
        name = folder_name(model)
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert not name.startswith(".")
        assert 8 < len(name) < 100
    assert (folder_name(one) == folder_name(other)) == (one == other)


def test_a_changed_number_of_dimensions_is_refused_and_nothing_is_stored(store: ParquetVectorStore) -> None:
    store.put(["a"], _vectors(["a"], 8))
    with pytest.raises(DatasetError, match=r"dimensions of minilm.* changed between runs.* have 8, new ones have 16"):
        store.put(["b"], _vectors(["b"], 16))
    assert store.missing(["a", "b"]) == {"b"}


def test_vectors_that_are_not_finite_are_never_stored(store: ParquetVectorStore) -> None:
    for bad in (np.nan, np.inf):
        with pytest.raises(DatasetError, match="NaN or infinite"):
            store.put(["a"], np.array([[1.0, bad]], dtype=np.float32))
    assert store.missing(["a"]) == {"a"}


def test_storing_a_batch_again_adds_no_file(tmp_path: Path) -> None:
    store = ParquetVectorStore(str(tmp_path), MODEL)
    for _ in range(3):
        store.put(["a", "b"], _vectors(["a", "b"]))
    assert len(_segments(tmp_path)) == 1


@pytest.mark.parametrize("damage", ["truncate", "empty", "flip"])
def test_a_damaged_segment_is_named_and_deleting_it_heals(tmp_path: Path, damage: str) -> None:
    store = ParquetVectorStore(str(tmp_path), MODEL)
    store.put(["good"], _vectors(["good"]))
    before = _segments(tmp_path)
    store.put(["a", "b"], _vectors(["a", "b"]))
    [segment] = set(_segments(tmp_path)) - set(before)
    content = bytearray(segment.read_bytes())
    if damage == "flip":
        start = bytes(content).index(_vectors(["a"]).tobytes())
        content[start] ^= 1
    segment.write_bytes(bytes(content[: {"truncate": len(content) // 2, "empty": 0}.get(damage)]))
    with pytest.raises(DatasetError, match=r"is damaged or unreadable.*delete it") as caught:
        store.get(["a", "b", "good"])
    assert str(segment) in str(caught.value)
    assert "\n" not in str(caught.value)
    segment.unlink()
    assert store.missing(["a", "b", "good"]) == {"a", "b"}


def test_files_that_are_not_segments_are_ignored(tmp_path: Path) -> None:
    store = ParquetVectorStore(str(tmp_path), MODEL)
    store.put(["a"], _vectors(["a"]))
    litter = [_segments(tmp_path)[0].parent / name for name in (".x.parquet.1-ab.tmp", "notes.txt", "x.parquet")]
    for path in litter:
        path.write_text("x")
    assert store.missing(["a", "b"]) == {"b"}
    store.compact()
    assert all(path.exists() for path in litter)


def test_small_segments_are_merged_before_they_are_many(tmp_path: Path) -> None:
    store = ParquetVectorStore(str(tmp_path), MODEL)
    keys = [f"k{number}" for number in range(150)]
    for key in keys:
        store.put([key], _vectors([key]))
        assert len(_segments(tmp_path)) <= MAX_SMALL_SEGMENTS + 1
    np.testing.assert_array_equal(store.get(keys), _vectors(keys))
    assert store.missing([*keys, "x"]) == {"x"}


def test_large_segments_are_not_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors_module, "SEGMENT_ROWS", 10)
    store = ParquetVectorStore(str(tmp_path), MODEL)
    large = [f"l{number}" for number in range(10)]
    store.put(large, _vectors(large))
    [kept] = _segments(tmp_path)
    for key in ("a", "b"):
        store.put([key], _vectors([key]))
    assert store.compact() == 2
    assert kept in _segments(tmp_path)
    assert len(_segments(tmp_path)) == 2
    assert store.compact() == 0


def test_readers_and_writers_lose_nothing_while_segments_are_merged(tmp_path: Path) -> None:
    def open_store() -> ParquetVectorStore:
        return ParquetVectorStore(str(tmp_path), MODEL)

    base = [f"base{number}" for number in range(30)]
    for key in base:
        open_store().put([key], _vectors([key]))
    wanted = _vectors(base)
    stop = threading.Event()
    faults: list[BaseException | str] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            faults.append(error)

    def write(name: str) -> None:
        store = open_store()
        for number in range(40):
            store.put([f"{name}-{number}"], _vectors([f"{name}-{number}"]))

    def merge() -> None:
        store = open_store()
        while not stop.is_set():
            store.compact()

    def read() -> None:
        store = open_store()
        while not stop.is_set():
            if store.missing(base) or not np.array_equal(store.get(base), wanted):
                faults.append("a stored vector was not found")
                return

    writers = [threading.Thread(target=run, args=(lambda name=name: write(name),)) for name in ("x", "y")]
    others = [threading.Thread(target=run, args=(work,)) for work in (merge, merge, read)]
    for thread in (*others, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in others:
        thread.join()
    assert faults == []
    everything = [*base, *(f"{name}-{number}" for name in "xy" for number in range(40))]
    np.testing.assert_array_equal(open_store().get(everything), _vectors(everything))


def test_a_killed_writer_loses_at_most_the_batch_under_way(tmp_path: Path) -> None:
    script = (
        "import sys, itertools\n"
        "from cachewarm_pipeline.storage.vectors import ParquetVectorStore\n"
        "import numpy as np\n"
        f"store = ParquetVectorStore(sys.argv[1], {MODEL!r})\n"
        "for number in itertools.count():\n"
        "    store.put([f'k{number}'], np.full((1, 8), number, dtype=np.float32))\n"
        "    print(number, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < MAX_SMALL_SEGMENTS + 5:  # a merge has happened too
            pass
        os.kill(writer.pid, signal.SIGKILL)
        stored = MAX_SMALL_SEGMENTS + 5 + len(writer.stdout.read().splitlines())
    keys = [f"k{number}" for number in range(stored + 1)]
    store = ParquetVectorStore(str(tmp_path), MODEL)
    assert store.missing(keys) == set()
    np.testing.assert_array_equal(store.get(keys)[:, 0], np.arange(stored + 1, dtype=np.float32))
    assert store.missing([f"k{stored + 2}"]) == {f"k{stored + 2}"}


def test_a_few_vectors_are_read_without_the_whole_store(tmp_path: Path) -> None:
    store = ParquetVectorStore(str(tmp_path), MODEL)
    keys = [f"k{number}" for number in range(20_000)]
    store.put(keys, np.ones((len(keys), 384), dtype=np.float32))
    script = (
        "import sys, pyarrow as pa\n"
        "from cachewarm_pipeline.storage.vectors import ParquetVectorStore\n"
        f"store = ParquetVectorStore(sys.argv[1], {MODEL!r})\n"
        "assert store.get(['k5', 'k19999']).shape == (2, 384)\n"
        "print(pa.default_memory_pool().max_memory())\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20_000 * 384 * 4 / 2


class CountingEmbedder:
    """A port that needs no model: batches of three, vectors that follow from the text, stops after ``fail_after``
    batches."""

    def __init__(self, fail_after: int | None = None, dimensions: int | None = 8) -> None:
        self._info = EmbedderInfo("test:model", "openai", "model", dimensions, 1.0)
        self.usage = Usage()
        self.embedded: list[str] = []
        self._fail_after = fail_after

    @property
    def info(self) -> EmbedderInfo:
        return self._info

    def embed(
        self, texts: Sequence[str], on_batch: Callable[[Sequence[int], np.ndarray], None] | None = None
    ) -> np.ndarray:
        for start in range(0, len(texts), 3):
            if self._fail_after is not None and self.usage.requests == self._fail_after:
                raise RuntimeError("crash")
            batch = list(texts[start : start + 3])
            self.embedded += batch
            self.usage.requests += 1
            self.usage.tokens += 10 * len(batch)
            if on_batch is not None:
                on_batch(range(start, start + len(batch)), _vectors(batch))
        return _vectors(texts)


def _key(text: str) -> str:
    return embedding_key("test:model", text)


def test_only_new_texts_are_embedded_and_each_once(store: ParquetVectorStore) -> None:
    embedder = CountingEmbedder()
    first = embed_new_texts(embedder, store, ["a", "b", "a", "c", "d"])
    assert (first.embedded, first.reused, first.tokens, first.dimensions) == (4, 0, 40, 8)
    second = embed_new_texts(embedder, store, ["d", "e", "a", "a"])
    assert (second.embedded, second.reused, second.tokens) == (1, 2, 10)
    assert embedder.embedded == ["a", "b", "c", "d", "e"]
    np.testing.assert_array_equal(store.get([_key("e"), _key("a")]), _vectors(["e", "a"]))


def test_an_unchanged_run_embeds_nothing_and_still_knows_the_dimension(store: ParquetVectorStore) -> None:
    embed_new_texts(CountingEmbedder(), store, ["a", "b"])
    again = CountingEmbedder(dimensions=None)
    report = embed_new_texts(again, store, ["a", "b"])
    assert (report.embedded, report.reused, report.tokens, report.dimensions) == (0, 2, 0, 8)
    assert again.embedded == []


def test_without_texts_nothing_is_done(store: ParquetVectorStore) -> None:
    report = embed_new_texts(CountingEmbedder(dimensions=None), store, [])
    assert (report.embedded, report.reused, report.dimensions) == (0, 0, None)


def test_a_crash_loses_one_batch_and_the_next_run_continues(store: ParquetVectorStore) -> None:
    texts = [f"text {number}" for number in range(12)]
    with pytest.raises(RuntimeError, match="crash"):
        embed_new_texts(CountingEmbedder(fail_after=3), store, texts)
    assert store.missing(map(_key, texts)) == {_key(text) for text in texts[9:]}
    report = embed_new_texts(CountingEmbedder(), store, texts)
    assert (report.embedded, report.reused) == (3, 9)


def test_long_work_is_done_in_blocks_and_its_progress_is_reported_a_few_times(
    store: ParquetVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cachewarm_pipeline.models.embed_new_texts.BLOCK_TEXTS", 7)
    texts = [f"text {number}" for number in range(100)]
    messages: list[str] = []
    embed_new_texts(CountingEmbedder(), store, texts, messages.append)
    np.testing.assert_array_equal(store.get([_key(text) for text in texts]), _vectors(texts))
    assert messages[-1] == "embedded 100 of 100 new texts; 0 were known"
    assert 2 <= len(messages) <= 11


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "base").write_text("a file")
    with pytest.raises(DatasetError, match=r"cannot (write|list)"):
        ParquetVectorStore(str(tmp_path / "base"), MODEL).put(["a"], _vectors(["a"]))


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    store = ParquetVectorStore(str(tmp_path), MODEL)
    with pytest.raises(DatasetError, match=r"cannot write vectors to .*: the disk is full"):
        store.put(["a"], _vectors(["a"]))
    assert _segments(tmp_path) == []
