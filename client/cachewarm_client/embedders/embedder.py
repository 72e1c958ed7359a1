"""The embedder protocol: the few calls that readers and the pipeline need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class EmbedderInfo:
    """What made a vector. ``id`` keys stored vectors: vectors with different ids cannot be compared."""

    id: str
    """For example ``minilm:all-MiniLM-L6-v2-int8@8199be6f`` or ``openai:text-embedding-3-small``."""
    kind: str
    """``minilm`` or ``openai``: how a reader builds the same embedder."""
    model: str
    """The model's name, as its server or package knows it."""
    dimensions: int | None
    """None until the first answer of a server that was not asked for a size."""
    usd_per_million_tokens: float
    """0 for a local model."""


@dataclass
class Usage:
    """What embedding has used."""

    tokens: int = 0
    """As the server reported; an upper bound where it reports none; 0 for a local model."""
    requests: int = 0
    """Requests, or batches of a local model."""
    texts: int = 0


class Embedder(Protocol):
    """Turns texts into unit vectors. Thread-safe."""

    @property
    def info(self) -> EmbedderInfo:
        """What identifies the vectors."""
        ...

    @property
    def usage(self) -> Usage:
        """Totals since this object was created."""
        ...

    def embed(
        self, texts: Sequence[str], on_batch: "Callable[[Sequence[int], np.ndarray], None] | None" = None
    ) -> "np.ndarray":
        """Vectors of the texts, float32 (len(texts), dimensions), each of unit length, in the order of the texts.

        ``on_batch(positions, vectors)`` is called when a batch is finished, from one thread at a time, so that a crash
        loses one batch. Raises EmbeddingError for an empty text, an unreachable server, a refused key, and vectors that
        are not finite or not of one size.
        """
        ...
