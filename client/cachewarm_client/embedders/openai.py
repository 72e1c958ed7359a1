"""Embeddings from OpenAI or any OpenAI-compatible server."""

import base64
import json
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cachewarm_client.embedders.batch_threads import prepare, run_batches
from cachewarm_client.embedders.embedder import EmbedderInfo, Usage
from cachewarm_client.embedders.openai_server import OpenAIServer, Remediation
from cachewarm_client.embedders.text_batches import summed_batches
from cachewarm_client.errors import EmbeddingError

MAX_INPUTS = 2_048
MAX_REQUEST_TOKENS = 300_000
"""OpenAI's documented limits of a request. A token is at least one byte of UTF-8, so bytes bound tokens without a
tokenizer. The third limit, 8,192 tokens per input, is never reached: a text is cut at 2,000 characters, which are at
most 8,000 bytes."""

_FRAME_TOKENS = 4
"""An upper bound for what some servers add around each text."""


def most_tokens(texts: Sequence[str]) -> int:
    """Upper bound of the tokens of prepared texts."""
    return sum(len(text.encode()) + _FRAME_TOKENS for text in texts)


def model_id(model: str, dimensions: int | None) -> str:
    """Id of a model's vectors, with their dimensions where shortened vectors are requested.

    The server's address is not part of it: a gateway to the same model returns the same vectors.
    """
    return f"openai:{model}" + (f"@{dimensions}" if dimensions else "")


def server_options(api_key: str | None, base_url: str | None) -> dict[str, Any]:
    """Arguments of ``OpenAIServer`` for embeddings; key and address default to OPENAI_API_KEY and OPENAI_BASE_URL."""
    return {
        "user": "the openai embedder",
        "key": api_key or os.environ.get("OPENAI_API_KEY", ""),
        "base_url": base_url or os.environ.get("OPENAI_BASE_URL") or None,
        "remediation": Remediation("CACHEWARM_EMBEDDING_MODEL"),
    }


class OpenAIEmbedder:
    """The ``Embedder`` protocol over HTTP. Thread-safe. The HTTP client is created on first use.

    Args:
        model: The model's name on the server.
        api_key: Default OPENAI_API_KEY.
        base_url: Default OPENAI_BASE_URL, or else OpenAI.
        dimensions: Request shortened vectors.
        expected_dimensions: Refuse vectors with other dimensions, without requesting a size; for vectors that must be
            compared with stored ones.
        usd_per_million_tokens: The price, for ``info``.
        concurrency: Requests in flight at once.
        timeout: Seconds for each attempt.
        max_retries: Further attempts after the first.
        max_inputs: Texts per request, for servers with a lower limit than OpenAI's.
        server: A server to use instead of one made from ``api_key`` and ``base_url``.

    Memory: the result, and the answers of the requests in flight. Raises ConfigurationError without the openai package,
    without a key, or with a base URL that is not http(s).
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        expected_dimensions: int | None = None,
        usd_per_million_tokens: float = 0.0,
        concurrency: int = 4,
        timeout: float = 30.0,
        max_retries: int = 5,
        max_inputs: int = MAX_INPUTS,
        server: OpenAIServer | None = None,
    ) -> None:
        self._server = server or OpenAIServer(
            model, **server_options(api_key, base_url), timeout=timeout, max_retries=max_retries
        )
        self._model, self._requested_dimensions, self._price = model, dimensions, usd_per_million_tokens
        self._dimensions = dimensions or expected_dimensions
        self._concurrency, self._max_inputs = concurrency, max_inputs
        self._usage = Usage()
        self._lock = threading.Lock()

    @property
    def info(self) -> EmbedderInfo:
        id_ = model_id(self._model, self._requested_dimensions)
        return EmbedderInfo(id_, "openai", self._model, self._dimensions, self._price)

    @property
    def usage(self) -> Usage:
        return self._usage

    def embed(
        self, texts: Sequence[str], on_batch: Callable[[Sequence[int], np.ndarray], None] | None = None
    ) -> np.ndarray:
        """See ``Embedder``."""
        prepared = prepare(texts)
        batches = summed_batches([len(text.encode()) for text in prepared], self._max_inputs, MAX_REQUEST_TOKENS)
        result = np.empty((0, self._dimensions or 0), dtype=np.float32)

        def work(batch: list[int]) -> np.ndarray:
            return self._request([prepared[position] for position in batch])

        def finished(batch: list[int], vectors: np.ndarray) -> None:
            nonlocal result
            if not len(result):
                result = np.empty((len(prepared), vectors.shape[1]), dtype=np.float32)
            result[batch] = vectors
            self._batch_finished()
            if on_batch is not None:
                on_batch(batch, vectors)

        try:
            run_batches(batches, work, finished, self._concurrency)
        finally:
            self._batch_finished()
        return result

    def _batch_finished(self) -> None:
        """Called after each batch, and when embedding ends."""

    def _request(self, texts: list[str]) -> np.ndarray:
        answer = self._answer(texts)
        vectors = self._vectors(answer, len(texts))
        with self._lock:
            if self._dimensions is None:
                self._dimensions = vectors.shape[1]
            expected = self._dimensions
            self._usage.requests += 1
            self._usage.texts += len(texts)
        if vectors.shape[1] != expected:
            why = "were requested" if self._requested_dimensions else "were expected from earlier vectors"
            raise self._bad_answer(f"vectors of {vectors.shape[1]} dimensions where {expected} {why}")
        return vectors

    def _answer(self, texts: list[str]) -> Any:
        """The JSON of an answer; the tokens that it took are added to the usage."""
        return self._parsed(texts, self._send(self._server.client, texts), self._used)

    def _used(self, tokens: int) -> None:
        with self._lock:
            self._usage.tokens += tokens

    def _parsed(self, texts: list[str], content: bytes, note: Callable[[int], None]) -> Any:
        """The JSON of an answer. ``note`` is called with the tokens that it reports, or else with their upper bound."""
        most = most_tokens(texts)
        try:
            answer = json.loads(content)
        except ValueError:
            note(most)
            raise self._bad_answer("something that is not JSON; is OPENAI_BASE_URL right?") from None
        tokens = _reported_tokens(answer)
        note(most if tokens is None else tokens)
        return answer

    def _send(self, client: Any, texts: list[str]) -> bytes:
        import openai

        shorten = {"dimensions": self._requested_dimensions} if self._requested_dimensions else {}
        try:
            # The raw answer, since the client's own decoding creates a Python float for every number.
            answer = client.embeddings.with_raw_response.create(
                model=self._model, input=texts, encoding_format="base64", **shorten
            )
        except openai.OpenAIError as error:
            raise EmbeddingError(self._server.explain(error, f"a request of {len(texts)} texts")) from None
        return bytes(answer.content)

    def _vectors(self, answer: Any, texts: int) -> np.ndarray:
        """Unit vectors of an answer, in the order of the texts."""
        try:
            items = sorted(answer["data"], key=lambda item: item["index"])
            indices = [item["index"] for item in items]
            rows = [_numbers(item["embedding"]) for item in items]
        except (KeyError, TypeError, ValueError):
            raise self._bad_answer("JSON without embeddings; is OPENAI_BASE_URL right?") from None
        if indices != list(range(texts)):
            raise self._bad_answer(f"{len(rows)} vectors for {texts} texts, or wrongly numbered vectors")
        if len({len(row) for row in rows}) != 1 or not len(rows[0]):
            raise self._bad_answer("vectors without dimensions, or with different dimensions in one answer")
        vectors = np.stack(rows).astype(np.float64)
        with np.errstate(over="ignore"):  # an infinite length is refused below
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise self._bad_answer("a vector with NaN or infinite numbers")
        if not (norms > 0).all():
            raise self._bad_answer("a vector of only zeros")
        return np.asarray(vectors / norms, dtype=np.float32)

    def _bad_answer(self, what: str) -> EmbeddingError:
        return EmbeddingError(f"{self._server.name} returned {what} (model {self._model!r})")


def _reported_tokens(answer: Any) -> int | None:
    """Tokens that an answer reports; None where it reports none."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    return tokens if isinstance(tokens, int) and tokens >= 0 else None


def _numbers(embedding: object) -> np.ndarray:
    """One vector, sent as base64 of little-endian float32 (what is requested) or as a list of numbers."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    if isinstance(embedding, list):
        vector = np.asarray(embedding, dtype=np.float64)
        if vector.ndim == 1:
            return vector
    raise ValueError("neither base64 nor a list of numbers")
