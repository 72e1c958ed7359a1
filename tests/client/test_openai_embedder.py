"""The OpenAI embedder over real HTTP with the real client: vectors, usage, limits and identity."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cachewarm_client.embedders.open_embedder import open_from_info
from cachewarm_client.embedders.openai import MAX_INPUTS, OpenAIEmbedder, model_id, most_tokens

from cachewarm_pipeline.errors import ConfigurationError, DatasetError, EmbeddingError
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts
from cachewarm_pipeline.models.embedders import open_embedder
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.storage.vectors import ParquetVectorStore
from tests.support.openai_server import KEY, MODEL, FakeServer, open_fake, unit


@pytest.fixture
def server(openai_server: FakeServer) -> FakeServer:
    return openai_server


@pytest.mark.parametrize("floats", [False, True], ids=["base64", "floats"])
def test_vectors_are_of_unit_length_in_the_order_of_the_texts(server: FakeServer, floats: bool) -> None:
    server.floats = floats
    texts = ["one", "two words", "日本語", "naïve 👩‍🚀"]
    vectors = open_fake(server).embed(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, unit(texts), atol=1e-6)
    assert server.keys == {f"Bearer {KEY}"}
    assert server.requests[0]["model"] == MODEL
    assert "dimensions" not in server.requests[0]


def test_answers_out_of_order_are_put_in_order(server: FakeServer) -> None:
    server.change = lambda answer: {**answer, "data": answer["data"][::-1]}
    np.testing.assert_allclose(open_fake(server).embed(["a", "b", "c"]), unit(["a", "b", "c"]), atol=1e-6)


def test_usage_is_what_the_server_reported(server: FakeServer) -> None:
    embedder = open_fake(server, usd_per_million_tokens=0.02)
    embedder.embed(["one two three", "four"])
    embedder.embed(["five six"])
    assert (embedder.usage.tokens, embedder.usage.requests, embedder.usage.texts) == (6, 2, 3)
    assert embedder.info.usd_per_million_tokens == 0.02


@pytest.mark.parametrize("usage", [None, {}, "free", {"total_tokens": None}])
def test_a_server_that_reports_no_usage_counts_with_the_upper_bound(server: FakeServer, usage: object) -> None:
    server.change = lambda answer: {**answer, "usage": usage}
    embedder = open_fake(server)
    embedder.embed(["a"])
    assert embedder.usage.tokens == most_tokens(["a"])


def test_info_learns_the_dimension_from_the_first_answer(server: FakeServer) -> None:
    embedder = open_fake(server)
    assert embedder.info.dimensions is None
    embedder.embed(["a"])
    assert embedder.info.dimensions == 8
    assert embedder.info.id == f"openai:{MODEL}"


def test_shortened_vectors_are_asked_for_and_have_an_id_of_their_own(server: FakeServer) -> None:
    embedder = open_fake(server, dimensions=4)
    assert embedder.embed(["a"]).shape == (1, 4)
    assert server.requests[0]["dimensions"] == 4
    assert embedder.info.id == f"openai:{MODEL}@4"


def test_no_request_has_more_than_the_documented_inputs(server: FakeServer) -> None:
    texts = [f"text {number}" for number in range(MAX_INPUTS + 10)]
    vectors = open_fake(server).embed(texts)
    assert sorted(len(request["input"]) for request in server.requests) == [10, MAX_INPUTS]
    np.testing.assert_allclose(vectors, unit(texts), atol=1e-6)


def test_no_request_can_have_more_than_the_documented_tokens(server: FakeServer) -> None:
    texts = [chr(0x4E00 + number) * 3_000 for number in range(120)]  # 3 bytes a character, cut at 2,000
    open_fake(server).embed(texts)
    assert len(server.requests) == 3
    for request in server.requests:
        assert sum(len(text.encode()) for text in request["input"]) <= 300_000
        assert {len(text) for text in request["input"]} == {2_000}
        assert max(len(text.encode()) for text in request["input"]) <= 8_192


def test_a_lower_limit_of_inputs_is_kept(server: FakeServer) -> None:
    open_fake(server, max_inputs=3).embed([str(number) for number in range(10)])
    assert sorted(len(request["input"]) for request in server.requests) == [1, 3, 3, 3]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_never_more_requests_are_in_flight_than_allowed(server: FakeServer, concurrency: int) -> None:
    server.hold = 0.05
    open_fake(server, max_inputs=1, concurrency=concurrency).embed([str(number) for number in range(9)])
    assert server.most_busy == concurrency


def test_each_batch_is_reported_once_from_the_callers_thread(server: FakeServer) -> None:
    texts = [str(number) for number in range(20)]
    seen: dict[int, np.ndarray] = {}
    threads: set[int] = set()

    def on_batch(positions: Sequence[int], batch: np.ndarray) -> None:
        threads.add(threading.get_ident())
        seen.update(zip(positions, batch, strict=True))

    open_fake(server, max_inputs=3).embed(texts, on_batch)
    np.testing.assert_allclose(np.array([seen[position] for position in range(20)]), unit(texts), atol=1e-6)
    assert threads == {threading.get_ident()}


def test_batches_before_an_error_are_kept_and_later_ones_are_not_started(server: FakeServer) -> None:
    answers: list[int] = []

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        answers.append(1)
        return answer if len(answers) < 3 else {"data": []}

    server.change = change
    done: list[int] = []
    embedder = open_fake(server, max_inputs=1, concurrency=1)
    with pytest.raises(EmbeddingError):
        embedder.embed([str(number) for number in range(10)], lambda positions, _: done.extend(positions))
    assert done == [0, 1]
    assert len(server.requests) == 3


def test_an_empty_text_is_refused_before_it_is_sent(server: FakeServer) -> None:
    with pytest.raises(EmbeddingError, match="text 1 of 2 is empty"):
        open_fake(server).embed(["a", " \n"])
    assert server.requests == []


def test_no_texts_make_no_request(server: FakeServer) -> None:
    assert open_fake(server).embed([]).shape == (0, 0)
    assert open_fake(server, dimensions=4).embed([]).shape == (0, 4)
    assert server.requests == []


def test_unpaired_surrogates_are_embedded(server: FakeServer) -> None:
    assert np.isfinite(open_fake(server).embed(["broken \ud800 text"])).all()


@pytest.mark.parametrize("key", [None, "", "  \n"])
def test_a_missing_key_names_the_variable(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        OpenAIEmbedder(MODEL, api_key=key)


@pytest.mark.parametrize("key", ["Qsecret\nx-injected: 1", "Qsecret é", "Q\x00secret"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigurationError, match="no HTTP header can carry") as caught:
        OpenAIEmbedder(MODEL, api_key=key)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", "http://:Qsecret@host:port", "http://[x"])
def test_an_unusable_base_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"OPENAI_BASE_URL .* is not usable") as caught:
        OpenAIEmbedder(MODEL, api_key=KEY, base_url=url)
    assert "Qsecret" not in str(caught.value)


def test_the_settings_open_it(server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "CACHEWARM_EMBEDDER": "openai",
        "CACHEWARM_EMBEDDING_DIMENSIONS": "4",
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": server.url,
    }.items():
        monkeypatch.setenv(name, value)
    assert open_embedder(Settings(home=tmp_path)).embed(["a"]).shape == (1, 4)


@pytest.mark.parametrize("dimensions", [None, 4])
def test_a_reader_builds_the_same_embedder_from_what_was_published(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, dimensions: int | None
) -> None:
    writer = open_fake(server, dimensions=dimensions)
    wanted = writer.embed(["a"])
    info = writer.info
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    reader = open_from_info({"id": info.id, "kind": info.kind, "model": info.model, "dimensions": info.dimensions})
    np.testing.assert_array_equal(reader.embed(["a"]), wanted)
    assert reader.info.id == info.id
    assert reader.info.dimensions == info.dimensions
    assert "dimensions" in server.requests[-1] if dimensions else "dimensions" not in server.requests[-1]


def test_a_reader_refuses_vectors_of_another_size_than_the_published(server: FakeServer) -> None:
    info = {"id": model_id(MODEL, None), "kind": "openai", "model": MODEL, "dimensions": 16}
    reader = open_from_info(info, api_key=KEY, base_url=server.url)
    with pytest.raises(EmbeddingError, match="8 dimensions where 16 were expected"):
        reader.embed(["a"])


@pytest.mark.parametrize(
    "info",
    [
        {"id": "openai:another", "kind": "openai", "model": MODEL, "dimensions": 8},
        {"id": "minilm:all-MiniLM-L6-v2-int8@00000000", "kind": "minilm", "model": "x", "dimensions": 384},
        {"id": "new:x", "kind": "new", "model": "x", "dimensions": 8},
        {},
    ],
)
def test_a_reader_refuses_an_embedder_with_another_id(info: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"the cache was embedded by"):
        open_from_info(info, api_key=KEY)


def test_another_model_under_the_same_name_is_refused_before_its_vectors_are_stored(
    server: FakeServer, tmp_path: Path
) -> None:
    store = ParquetVectorStore(str(tmp_path), model_id(MODEL, None))
    embed_new_texts(open_fake(server), store, ["a", "b"])
    server.dimensions = 16
    with pytest.raises(DatasetError, match="changed between runs"):
        embed_new_texts(open_fake(server), store, ["a", "c"])
    assert store.dimensions == 8
