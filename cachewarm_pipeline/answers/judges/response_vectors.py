"""Vectors of responses, which are embedded once; what that costs is added to a judge's usage."""

from collections.abc import Callable, Sequence

import numpy as np
from cachewarm_client.embedders.embedder import Embedder
from numpy.typing import NDArray

from cachewarm_pipeline.models.embed_new_texts import embed_new_texts, vectors_of
from cachewarm_pipeline.ports import JudgeUsage
from cachewarm_pipeline.storage.vector_store import VectorStore


def response_vectors(
    embedder: Embedder, vectors: VectorStore, progress: Callable[[str], object], usage: JudgeUsage
) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """A function that returns the unit vectors (n, d) of n responses. Raises EmbeddingError or DatasetError."""

    def vectors_of_responses(texts: Sequence[str]) -> NDArray[np.float32]:
        tokens = embed_new_texts(embedder, vectors, texts, progress).tokens
        usage.embedding_tokens += tokens
        usage.usd += tokens * embedder.info.usd_per_million_tokens / 1e6
        return vectors_of(embedder, vectors, texts)

    return vectors_of_responses
