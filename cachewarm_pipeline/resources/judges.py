"""Judges: which of a query's logged responses are equivalent. `exact` is pure; `embedding` needs vectors."""

from collections.abc import Callable, Sequence

from cachewarm_pipeline.core.judging import group_by_vectors
from cachewarm_pipeline.core.responses import exact_groups
from cachewarm_pipeline.core.text import cut, embedding_key
from cachewarm_pipeline.resources.embedding import embed_missing
from cachewarm_pipeline.resources.ports import Embedder, VectorStore

_BLOCK = 2_000
"""Queries whose responses' vectors are held at once: 25 MB with 8 responses each at 384 dimensions."""


class EmbeddingJudge:
    """Groups responses by the cosine of their vectors. Each distinct response is embedded once and for all.

    Only queries with several distinct responses cost anything. Memory: the vectors of _BLOCK queries' responses.
    """

    def __init__(self, embedder: Embedder, vectors: VectorStore, progress: Callable[[str], object]) -> None:
        self._embedder = embedder
        self._vectors = vectors
        self._progress = progress
        self.tokens = 0
        """Tokens that the embedder reported for responses so far."""

    def __call__(self, queries: Sequence[Sequence[str]]) -> list[list[int]]:
        """Group labels as ``GroupResponses`` asks for. Raises EmbeddingError or DatasetError."""
        result = exact_groups(queries)
        open_cases = [i for i, labels in enumerate(result) if len(set(labels)) > 1]
        model = self._embedder.info.id
        for start in range(0, len(open_cases), _BLOCK):
            block = open_cases[start : start + _BLOCK]
            texts = [cut(text) for i in block for text in queries[i]]
            self._progress(
                f"judging the answers of query {start + 1:,} to {start + len(block):,} of {len(open_cases):,}"
            )
            self.tokens += embed_missing(self._embedder, self._vectors, texts, self._progress).tokens
            vectors = self._vectors.get([embedding_key(model, text) for text in texts])
            for i in block:
                own, vectors = vectors[: len(queries[i])], vectors[len(queries[i]) :]
                result[i] = group_by_vectors(queries[i], own)
        return result


class ExactJudge:
    """Responses are equivalent when they say exactly the same: JSON by value, text in canonical form. Costs nothing."""

    tokens = 0

    def __call__(self, queries: Sequence[Sequence[str]]) -> list[list[int]]:
        return exact_groups(queries)
