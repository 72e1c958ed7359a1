"""The OpenAI embedder over real HTTP with the real client: limits, retries, and every way a server can be wrong."""

import base64
import hashlib
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from cachewarm_pipeline.core.errors import ConfigurationError, DatasetError, EmbeddingError
from cachewarm_pipeline.resources.embedders import open_embedder, open_from_info
from cachewarm_pipeline.resources.embedders.openai import MAX_INPUTS, OpenAIEmbedder, model_id
from cachewarm_pipeline.resources.embedding import embed_missing
from cachewarm_pipeline.resources.vectors import ParquetVectorStore
from cachewarm_pipeline.settings import Settings

KEY = "sk-test-Qsecret1234"
MODEL = "text-embedding-3-small"
SOON = {"retry-after-ms": "1"}


def _vector(text: str, dimensions: int) -> list[float]:
    """A vector that can be told from its text; not of unit length."""
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8])
    return [float(x) for x in np.random.default_rng(seed).standard_normal(dimensions).astype(np.float32)]


def _unit(texts: Sequence[str], dimensions: int = 8) -> np.ndarray:
    rows = np.array([_vector(text, dimensions) for text in texts], dtype=np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


class FakeServer:
    """The embeddings endpoint: answers as documented, after the prepared faults; keeps what it was asked."""

    def __init__(self, http: HTTPServer) -> None:
        self.url = http.url_for("/v1")
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.faults: list[Response] = []
        self.floats = False
        self.dimensions = 8
        self.change: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.busy = 0
        self.most_busy = 0
        self.hold = 0.0
        self._lock = threading.Lock()
        http.expect_request("/v1/embeddings", method="POST").respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        with self._lock:
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            self.keys.add(request.headers.get("authorization"))
            self.requests.append(json.loads(request.data))
            asked = self.requests[-1]
            fault = self.faults.pop(0) if self.faults else None
        try:
            time.sleep(self.hold)
            return fault or Response(json.dumps(self.change(self._embeddings(asked))), content_type="application/json")
        finally:
            with self._lock:
                self.busy -= 1

    def _embeddings(self, asked: dict[str, Any]) -> dict[str, Any]:
        data = []
        for index, text in enumerate(asked["input"]):
            vector: Any = _vector(text, asked.get("dimensions", self.dimensions))
            if asked.get("encoding_format") == "base64" and not self.floats:
                vector = base64.b64encode(np.array(vector, dtype="<f4").tobytes()).decode()
            data.append({"object": "embedding", "index": index, "embedding": vector})
        tokens = sum(len(text.split()) for text in asked["input"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": asked["model"], "usage": usage}


@pytest.fixture(scope="module")
def http() -> Iterator[HTTPServer]:
    with HTTPServer(host="127.0.0.1", port=0, threaded=True) as server:
        yield server


@pytest.fixture
def server(http: HTTPServer) -> FakeServer:
    http.clear()
    return FakeServer(http)


def _embedder(server: FakeServer | str, **options: Any) -> OpenAIEmbedder:
    url = server if isinstance(server, str) else server.url
    return OpenAIEmbedder(MODEL, **{"api_key": KEY, "base_url": url, "timeout": 10.0, "max_retries": 2, **options})


def _refusal(embedder: OpenAIEmbedder, texts: Sequence[str] = ("a text", "another")) -> str:
    with pytest.raises(EmbeddingError) as caught:
        embedder.embed(texts)
    message = str(caught.value)
    assert "\n" not in message
    assert "Qsecret" not in message
    assert len(message) < 500
    return message


def _error(status: int, message: str = "", headers: dict[str, str] | None = None) -> Response:
    body = json.dumps({"error": {"message": message, "type": "x", "code": None}})
    return Response(body, status=status, headers=headers or {}, content_type="application/json")


@pytest.mark.parametrize("floats", [False, True], ids=["base64", "floats"])
def test_vectors_are_of_unit_length_in_the_order_of_the_texts(server: FakeServer, floats: bool) -> None:
    server.floats = floats
    texts = ["one", "two words", "日本語", "naïve 👩‍🚀"]
    vectors = _embedder(server).embed(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, _unit(texts), atol=1e-6)
    assert server.keys == {f"Bearer {KEY}"}
    assert server.requests[0]["model"] == MODEL
    assert "dimensions" not in server.requests[0]


def test_answers_out_of_order_are_put_in_order(server: FakeServer) -> None:
    server.change = lambda answer: {**answer, "data": answer["data"][::-1]}
    np.testing.assert_allclose(_embedder(server).embed(["a", "b", "c"]), _unit(["a", "b", "c"]), atol=1e-6)


def test_usage_is_what_the_server_reported(server: FakeServer) -> None:
    embedder = _embedder(server, usd_per_million_tokens=0.02)
    embedder.embed(["one two three", "four"])
    embedder.embed(["five six"])
    assert (embedder.usage.tokens, embedder.usage.requests, embedder.usage.texts) == (6, 2, 3)
    assert embedder.info.usd_per_million_tokens == 0.02


@pytest.mark.parametrize("usage", [None, {}, "free", {"total_tokens": None}])
def test_a_server_that_reports_no_usage_costs_nothing(server: FakeServer, usage: object) -> None:
    server.change = lambda answer: {**answer, "usage": usage}
    embedder = _embedder(server)
    embedder.embed(["a"])
    assert embedder.usage.tokens == 0


def test_info_learns_the_dimension_from_the_first_answer(server: FakeServer) -> None:
    embedder = _embedder(server)
    assert embedder.info.dimensions is None
    embedder.embed(["a"])
    assert embedder.info.dimensions == 8
    assert embedder.info.id == f"openai:{MODEL}"


def test_shortened_vectors_are_asked_for_and_have_an_id_of_their_own(server: FakeServer) -> None:
    embedder = _embedder(server, dimensions=4)
    assert embedder.embed(["a"]).shape == (1, 4)
    assert server.requests[0]["dimensions"] == 4
    assert embedder.info.id == f"openai:{MODEL}@4"


def test_no_request_has_more_than_the_documented_inputs(server: FakeServer) -> None:
    texts = [f"text {number}" for number in range(MAX_INPUTS + 10)]
    vectors = _embedder(server).embed(texts)
    assert sorted(len(request["input"]) for request in server.requests) == [10, MAX_INPUTS]
    np.testing.assert_allclose(vectors, _unit(texts), atol=1e-6)


def test_no_request_can_have_more_than_the_documented_tokens(server: FakeServer) -> None:
    texts = [chr(0x4E00 + number) * 3_000 for number in range(120)]  # 3 bytes a character, cut at 2,000
    _embedder(server).embed(texts)
    assert len(server.requests) == 3
    for request in server.requests:
        assert sum(len(text.encode()) for text in request["input"]) <= 300_000
        assert {len(text) for text in request["input"]} == {2_000}
        assert max(len(text.encode()) for text in request["input"]) <= 8_192


def test_a_lower_limit_of_inputs_is_kept(server: FakeServer) -> None:
    _embedder(server, max_inputs=3).embed([str(number) for number in range(10)])
    assert sorted(len(request["input"]) for request in server.requests) == [1, 3, 3, 3]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_never_more_requests_under_way_than_allowed(server: FakeServer, concurrency: int) -> None:
    server.hold = 0.05
    _embedder(server, max_inputs=1, concurrency=concurrency).embed([str(number) for number in range(9)])
    assert server.most_busy == concurrency


def test_each_batch_is_reported_once_from_the_callers_thread(server: FakeServer) -> None:
    texts = [str(number) for number in range(20)]
    seen: dict[int, np.ndarray] = {}
    threads: set[int] = set()

    def on_batch(positions: Sequence[int], batch: np.ndarray) -> None:
        threads.add(threading.get_ident())
        seen.update(zip(positions, batch, strict=True))

    _embedder(server, max_inputs=3).embed(texts, on_batch)
    np.testing.assert_allclose(np.array([seen[position] for position in range(20)]), _unit(texts), atol=1e-6)
    assert threads == {threading.get_ident()}


def test_batches_before_an_error_are_kept_and_later_ones_not_begun(server: FakeServer) -> None:
    answers: list[int] = []

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        answers.append(1)
        return answer if len(answers) < 3 else {"data": []}

    server.change = change
    done: list[int] = []
    embedder = _embedder(server, max_inputs=1, concurrency=1)
    with pytest.raises(EmbeddingError):
        embedder.embed([str(number) for number in range(10)], lambda positions, _: done.extend(positions))
    assert done == [0, 1]
    assert len(server.requests) == 3


def test_the_wait_that_the_server_asks_for_is_kept(server: FakeServer) -> None:
    server.faults = [_error(429, "slow down", {"retry-after": "1"})]
    started = time.monotonic()
    np.testing.assert_allclose(_embedder(server).embed(["a"]), _unit(["a"]), atol=1e-6)
    assert time.monotonic() - started >= 1
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_a_passing_fault_is_tried_again(server: FakeServer, status: int) -> None:
    server.faults = [_error(status, "try again", SOON)] * 2
    np.testing.assert_allclose(_embedder(server).embed(["a"]), _unit(["a"]), atol=1e-6)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (429, "limits the rate or the quota is used up (HTTP 429 in up to 3 tries): no more"),
        (500, "failed (HTTP 500 in up to 3 tries): no more"),
        (503, "failed (HTTP 503 in up to 3 tries): no more"),
    ],
)
def test_a_lasting_fault_is_told_after_the_allowed_tries(server: FakeServer, status: int, told: str) -> None:
    server.faults = [_error(status, f"no more\n for {KEY}", SOON)] * 3
    message = _refusal(_embedder(server))
    assert told in message
    assert server.url in message
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "refused the key (HTTP 401); check OPENAI_API_KEY"),
        (403, "refused the key (HTTP 403); check OPENAI_API_KEY"),
        (404, "not found (HTTP 404): said why; check CACHEWARM_EMBEDDING_MODEL and OPENAI_BASE_URL"),
        (400, "refused a request of 2 texts (HTTP 400): said why"),
        (413, "refused a request of 2 texts (HTTP 413): said why"),
        (422, "refused a request of 2 texts (HTTP 422): said why"),
    ],
)
def test_a_refusal_is_told_at_once(server: FakeServer, status: int, told: str) -> None:
    server.faults = [_error(status, f"said why, {KEY} and sk-other-Qsecret")]
    assert told.replace("said why", "said why, *** and ***") in _refusal(_embedder(server))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [b"<html>gateway error</html>", b"", b"not json {", b"[]", b"{}", b"null", b'"text"', b'{"data": 7}', b"\xff\xfe"],
)
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_nonsense_is_told_as_such(server: FakeServer, body: bytes, kind: str) -> None:
    server.faults = [Response(body, content_type=kind)]
    assert "is OPENAI_BASE_URL right?" in _refusal(_embedder(server))


def _rows(*embeddings: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    data = [{"index": index, "embedding": embedding} for index, embedding in enumerate(embeddings)]
    return lambda answer: {**answer, "data": data}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_rows([1.0, 0.0]), "1 vectors for 2 texts"),
        (_rows([1.0, 0.0], [1.0, 0.0], [1.0, 0.0]), "3 vectors for 2 texts"),
        (_rows(), "0 vectors for 2 texts"),
        (lambda answer: {**answer, "data": [answer["data"][0]] * 2}, "wrongly numbered"),
        (_rows([1.0, 0.0], [1.0, 0.0, 0.0]), "different or no length"),
        (_rows([], []), "different or no length"),
        (_rows("", ""), "different or no length"),
        (_rows([1.0, 0.0], [1.0, math.nan]), "NaN or infinite"),
        (_rows([1.0, 0.0], [1.0, math.inf]), "NaN or infinite"),
        (_rows([1.0, 0.0], [0.0, 0.0]), "only zeros"),
        (_rows([1.0, 0.0], None), "no embeddings"),
        (_rows([1.0, 0.0], ["x", "y"]), "no embeddings"),
        (_rows([1.0, 0.0], [[1.0], [0.0]]), "no embeddings"),
        (_rows([1.0, 0.0], "not base64!"), "no embeddings"),
        (_rows([1.0, 0.0], base64.b64encode(b"12345").decode()), "no embeddings"),
        (_rows([1e308, 1e308], [1e308, 1e308]), "NaN or infinite"),
    ],
)
def test_an_answer_that_is_no_embedding_is_refused(
    server: FakeServer, change: Callable[[dict[str, Any]], dict[str, Any]], told: str
) -> None:
    server.change = change
    assert told in _refusal(_embedder(server))


def test_a_dimension_that_differs_between_batches_is_refused(server: FakeServer) -> None:
    embedder = _embedder(server)
    embedder.embed(["a"])
    server.dimensions = 16
    assert "vectors of 16 dimensions where 8 were expected from the vectors before" in _refusal(embedder)


def test_a_server_that_ignores_the_asked_dimension_is_told(server: FakeServer) -> None:
    server.change = _rows([1.0, 0.0], [0.0, 1.0])
    assert "vectors of 2 dimensions where 4 it was asked for" in _refusal(_embedder(server, dimensions=4))


def test_a_slow_server_is_told_after_the_time_outs(server: FakeServer) -> None:
    server.hold = 0.3
    message = _refusal(_embedder(server, timeout=0.05, max_retries=0))
    assert "within 0.05 s in 1 try" in message


def test_an_unreachable_server_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://user:Qsecret@127.0.0.1:{free.getsockname()[1]}/v1"
        message = _refusal(_embedder(url, max_retries=0))
    assert message.startswith("cannot reach http://***@127.0.0.1:")
    assert "OPENAI_BASE_URL" in message


def test_a_connection_cut_in_the_answer_is_told() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def cut() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100_000)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")

        thread = threading.Thread(target=cut)
        thread.start()
        message = _refusal(_embedder(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", max_retries=0))
        thread.join()
    assert "cannot reach" in message


def test_an_empty_text_is_refused_before_it_is_sent(server: FakeServer) -> None:
    with pytest.raises(EmbeddingError, match="text 1 of 2 is empty"):
        _embedder(server).embed(["a", " \n"])
    assert server.requests == []


def test_no_texts_make_no_request(server: FakeServer) -> None:
    assert _embedder(server).embed([]).shape == (0, 0)
    assert _embedder(server, dimensions=4).embed([]).shape == (0, 4)
    assert server.requests == []


def test_unpaired_surrogates_are_taken(server: FakeServer) -> None:
    assert np.isfinite(_embedder(server).embed(["broken \ud800 text"])).all()


@pytest.mark.parametrize("key", [None, "", "  \n"])
def test_a_missing_key_names_the_variable(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        OpenAIEmbedder(MODEL, api_key=key)


@pytest.mark.parametrize("key", ["Qsecret\nx-injected: 1", "Qsecret é", "Q\x00secret"])
def test_a_key_that_no_header_can_carry_is_told_without_it(key: str) -> None:
    with pytest.raises(ConfigurationError, match="no HTTP header can carry") as caught:
        OpenAIEmbedder(MODEL, api_key=key)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", "http://:Qsecret@host:port", "http://[x"])
def test_a_base_url_that_is_none_is_told(url: str) -> None:
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
    writer = _embedder(server, dimensions=dimensions)
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


def test_a_model_changed_behind_its_name_is_told_before_its_vectors_are_stored(
    server: FakeServer, tmp_path: Path
) -> None:
    store = ParquetVectorStore(str(tmp_path), model_id(MODEL, None))
    embed_missing(_embedder(server), store, ["a", "b"])
    server.dimensions = 16
    with pytest.raises(DatasetError, match="changed between runs"):
        embed_missing(_embedder(server), store, ["a", "c"])
    assert store.dimensions == 8
