"""Embeds the texts that have no stored vector, and stores each batch as soon as it is finished."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from cachewarm_client.embedders.embedder import Embedder
from cachewarm_client.text import embedding_key

from cachewarm_pipeline.errors import SpendCapError
from cachewarm_pipeline.storage.vector_store import VectorStore

BLOCK_TEXTS = 16_384
"""Texts given to the embedder at once. It returns all their vectors, so this bounds memory: 100 MB at 1,536
dimensions."""


@dataclass(frozen=True)
class EmbedReport:
    """What one call did. ``embedded + reused`` is the number of distinct texts."""

    embedded: int
    reused: int
    tokens: int
    """Tokens of the new texts; see ``Usage``."""
    seconds: float
    dimensions: int | None
    """Size of the vectors; None only where there were no texts. Known even when all were reused."""


def embed_new_texts(
    embedder: Embedder,
    vectors: VectorStore,
    texts: Iterable[str],
    progress: Callable[[str], object] | None = None,
) -> EmbedReport:
    """Make sure that every text has a stored vector under ``embedding_key(embedder.info.id, text)``.

    A crash loses only the batches under way. ``progress`` gets a sentence about every tenth of the work. Raises
    EmbeddingError or DatasetError; what was stored until then stays.
    """
    started = time.monotonic()
    tokens = embedder.usage.tokens
    model_id = embedder.info.id
    text_of = {embedding_key(model_id, text): text for text in texts}
    unknown = vectors.missing(text_of)
    keys = [key for key in text_of if key in unknown]  # in the order given: the work is the same in every run
    reused = len(text_of) - len(keys)
    done = 0
    reported = 0

    for start in range(0, len(keys), BLOCK_TEXTS):
        block = keys[start : start + BLOCK_TEXTS]

        def store(positions: Sequence[int], batch: np.ndarray, block: Sequence[str] = block) -> None:
            nonlocal done, reported
            vectors.put([block[position] for position in positions], batch)
            done += len(positions)
            if progress is not None and (done == len(keys) or done - reported >= len(keys) / 10):
                reported = done
                progress(f"embedded {done:,} of {len(keys):,} new texts; {reused:,} were known")

        try:
            embedder.embed([text_of[key] for key in block], on_batch=store)
        except SpendCapError as error:
            todo = "raise the cap to more than one request takes" if error.alone else "raise the cap, or run again"
            raise SpendCapError(
                f"{error}; {len(keys) - done:,} of {len(keys):,} new texts are not embedded. What is embedded stays "
                f"stored: {todo} to go on from there",
                error.alone,
            ) from None
    dimensions = embedder.info.dimensions
    if dimensions is None and text_of:
        dimensions = vectors.get([next(iter(text_of))]).shape[1]
    return EmbedReport(
        embedded=len(keys),
        reused=reused,
        tokens=embedder.usage.tokens - tokens,
        seconds=time.monotonic() - started,
        dimensions=dimensions,
    )


def vectors_of(embedder: Embedder, vectors: VectorStore, texts: Sequence[str]) -> np.ndarray:
    """The stored vectors of texts, float32 (n, d), in their order. Raises DatasetError for a text without a vector."""
    return vectors.get([embedding_key(embedder.info.id, text) for text in texts])
