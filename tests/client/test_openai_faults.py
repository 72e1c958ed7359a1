"""All faults of an embedding server, over real HTTP: retried, or reported in one line without the key."""

import base64
import math
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from werkzeug import Response

from tests.support.openai_server import KEY, SOON, FakeServer, error_answer, open_fake, refusal, unit


@pytest.fixture
def server(openai_server: FakeServer) -> FakeServer:
    return openai_server


def test_the_client_waits_as_long_as_the_server_asks(server: FakeServer) -> None:
    server.faults = [error_answer(429, "slow down", {"retry-after": "1"})]
    started = time.monotonic()
    np.testing.assert_allclose(open_fake(server).embed(["a"]), unit(["a"]), atol=1e-6)
    assert time.monotonic() - started >= 1
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_a_passing_fault_is_retried(server: FakeServer, status: int) -> None:
    server.faults = [error_answer(status, "try again", SOON)] * 2
    np.testing.assert_allclose(open_fake(server).embed(["a"]), unit(["a"]), atol=1e-6)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (429, "limits the rate or the quota is used up (HTTP 429 in up to 3 attempts): no more"),
        (500, "failed (HTTP 500 in up to 3 attempts): no more"),
        (503, "failed (HTTP 503 in up to 3 attempts): no more"),
    ],
)
def test_a_lasting_fault_is_reported_after_the_allowed_attempts(server: FakeServer, status: int, expected: str) -> None:
    server.faults = [error_answer(status, f"no more\n for {KEY}", SOON)] * 3
    message = refusal(open_fake(server))
    assert expected in message
    assert server.url in message
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "refused the key (HTTP 401); check OPENAI_API_KEY"),
        (403, "refused the key (HTTP 403); check OPENAI_API_KEY"),
        (404, "not found (HTTP 404): the reason; check CACHEWARM_EMBEDDING_MODEL and OPENAI_BASE_URL"),
        (400, "refused a request of 2 texts (HTTP 400): the reason"),
        (413, "refused a request of 2 texts (HTTP 413): the reason"),
        (422, "refused a request of 2 texts (HTTP 422): the reason"),
    ],
)
def test_a_refusal_is_reported_at_once(server: FakeServer, status: int, expected: str) -> None:
    server.faults = [error_answer(status, f"the reason, {KEY} and sk-other-Qsecret")]
    assert expected.replace("the reason", "the reason, *** and ***") in refusal(open_fake(server))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [b"<html>gateway error</html>", b"", b"not json {", b"[]", b"{}", b"null", b'"text"', b'{"data": 7}', b"\xff\xfe"],
)
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_an_answer_that_is_not_json_is_reported_as_such(server: FakeServer, body: bytes, kind: str) -> None:
    server.faults = [Response(body, content_type=kind)]
    assert "is OPENAI_BASE_URL right?" in refusal(open_fake(server))


def _rows(*embeddings: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    data = [{"index": index, "embedding": embedding} for index, embedding in enumerate(embeddings)]
    return lambda answer: {**answer, "data": data}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_rows([1.0, 0.0]), "1 vectors for 2 texts"),
        (_rows([1.0, 0.0], [1.0, 0.0], [1.0, 0.0]), "3 vectors for 2 texts"),
        (_rows(), "0 vectors for 2 texts"),
        (lambda answer: {**answer, "data": [answer["data"][0]] * 2}, "wrongly numbered"),
        (_rows([1.0, 0.0], [1.0, 0.0, 0.0]), "without dimensions, or with different dimensions"),
        (_rows([], []), "without dimensions, or with different dimensions"),
        (_rows("", ""), "without dimensions, or with different dimensions"),
        (_rows([1.0, 0.0], [1.0, math.nan]), "NaN or infinite"),
        (_rows([1.0, 0.0], [1.0, math.inf]), "NaN or infinite"),
        (_rows([1.0, 0.0], [0.0, 0.0]), "only zeros"),
        (_rows([1.0, 0.0], None), "without embeddings"),
        (_rows([1.0, 0.0], ["x", "y"]), "without embeddings"),
        (_rows([1.0, 0.0], [[1.0], [0.0]]), "without embeddings"),
        (_rows([1.0, 0.0], "not base64!"), "without embeddings"),
        (_rows([1.0, 0.0], base64.b64encode(b"12345").decode()), "without embeddings"),
        (_rows([1e308, 1e308], [1e308, 1e308]), "NaN or infinite"),
    ],
)
def test_an_answer_without_usable_embeddings_is_refused(
    server: FakeServer, change: Callable[[dict[str, Any]], dict[str, Any]], expected: str
) -> None:
    server.change = change
    assert expected in refusal(open_fake(server))


def test_a_dimension_that_differs_between_batches_is_refused(server: FakeServer) -> None:
    embedder = open_fake(server)
    embedder.embed(["a"])
    server.dimensions = 16
    assert "vectors of 16 dimensions where 8 were expected from earlier vectors" in refusal(embedder)


def test_a_server_that_ignores_the_requested_dimensions_is_reported(server: FakeServer) -> None:
    server.change = _rows([1.0, 0.0], [0.0, 1.0])
    assert "vectors of 2 dimensions where 4 were requested" in refusal(open_fake(server, dimensions=4))


def test_a_slow_server_is_reported_after_the_timeout(server: FakeServer) -> None:
    server.hold = 0.3
    message = refusal(open_fake(server, timeout=0.05, max_retries=0))
    assert "within 0.05 s in 1 attempt" in message


def test_an_unreachable_server_is_reported() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://user:Qsecret@127.0.0.1:{free.getsockname()[1]}/v1"
        message = refusal(open_fake(url, max_retries=0))
    assert message.startswith("cannot reach http://***@127.0.0.1:")
    assert "OPENAI_BASE_URL" in message


def test_a_connection_that_breaks_during_the_answer_is_reported() -> None:
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
        message = refusal(open_fake(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", max_retries=0))
        thread.join()
    assert "cannot reach" in message
