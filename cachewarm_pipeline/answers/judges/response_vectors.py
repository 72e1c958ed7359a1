"""Vectors of responses, which are embedded once; what that costs is added to a judge's usage."""

from collections.abc import Callable, Sequence

import numpy as np
from cachewarm_client.embedders.embedder import Embedder
from numpy.typing import NDArray

from cachewarm_pipeline.models.embed_new_texts import embed_new_texts, vectors_of
from cachewarm_pipeline.ports import JudgeUsage
from cachewarm_pipeline.storage.vector_store import VectorStore

KEPT_BYTES = 64 * 1024 * 1024
"""Vectors kept in memory for the pairs that follow: 43,000 of 384 dimensions. A store reads many files for each call,
and the same answers are compared again and again."""


def response_vectors(
    embedder: Embedder, vectors: VectorStore, progress: Callable[[str], object], usage: JudgeUsage
) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """A function that returns the unit vectors (n, d) of n responses. Raises EmbeddingError or DatasetError."""

    kept: dict[str, NDArray[np.float32]] = {}

    def vectors_of_responses(texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in kept]
        if texts and not new:
            return np.stack([kept[text] for text in texts])
        tokens = embed_new_texts(embedder, vectors, new, progress).tokens
        usage.embedding_tokens += tokens
        usage.usd += tokens * embedder.info.usd_per_million_tokens / 1e6
        found = vectors_of(embedder, vectors, new)
        if not new or (len(kept) + len(new)) * found[0].nbytes > KEPT_BYTES:
            kept.clear()
            return vectors_of(embedder, vectors, texts)
        kept.update(zip(new, found, strict=True))
        return np.stack([kept[text] for text in texts])

    return vectors_of_responses
