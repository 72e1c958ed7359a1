"""An HTTP server that speaks OpenAI's embeddings protocol, with faults on demand. The real client talks to it."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from cachewarm_pipeline.errors import EmbeddingError
from cachewarm_pipeline.models.openai_embedder import BudgetedOpenAIEmbedder

KEY = "sk-test-Qsecret1234"
MODEL = "text-embedding-3-small"
SOON = {"retry-after-ms": "1"}


def vector_of(text: str, dimensions: int) -> list[float]:
    """A vector that depends on the text only; it is not of unit length."""
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8])
    return [float(x) for x in np.random.default_rng(seed).standard_normal(dimensions).astype(np.float32)]


def unit(texts: Sequence[str], dimensions: int = 8) -> np.ndarray:
    """The unit vectors that the embedder must return for these texts."""
    rows = np.array([vector_of(text, dimensions) for text in texts], dtype=np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


class FakeServer:
    """The embeddings endpoint: sends the prepared faults, then answers as documented, and records the requests."""

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
            vector: Any = vector_of(text, asked.get("dimensions", self.dimensions))
            if asked.get("encoding_format") == "base64" and not self.floats:
                vector = base64.b64encode(np.array(vector, dtype="<f4").tobytes()).decode()
            data.append({"object": "embedding", "index": index, "embedding": vector})
        tokens = sum(len(text.split()) for text in asked["input"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": asked["model"], "usage": usage}


def open_fake(server: FakeServer | str, **options: Any) -> BudgetedOpenAIEmbedder:
    """An embedder that talks to the fake server, with few and quick retries."""
    url = server if isinstance(server, str) else server.url
    return BudgetedOpenAIEmbedder(
        MODEL, **{"api_key": KEY, "base_url": url, "timeout": 10.0, "max_retries": 2, **options}
    )


def refusal(embedder: BudgetedOpenAIEmbedder, texts: Sequence[str] = ("a text", "another")) -> str:
    """The message of the error when embedding is refused. Asserts that it is one short line without secrets."""
    with pytest.raises(EmbeddingError) as caught:
        embedder.embed(texts)
    message = str(caught.value)
    assert "\n" not in message
    assert "Qsecret" not in message
    assert len(message) < 500
    return message


def error_answer(status: int, message: str = "", headers: dict[str, str] | None = None) -> Response:
    """An error as OpenAI sends one."""
    body = json.dumps({"error": {"message": message, "type": "x", "code": None}})
    return Response(body, status=status, headers=headers or {}, content_type="application/json")
