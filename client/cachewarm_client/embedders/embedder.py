"""What an embedder is: the few calls that readers and the pipeline need from one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class EmbedderInfo:
    """What made a vector. ``id`` keys stored vectors: any change in it means that vectors do not compare."""

    id: str
    """For example ``minilm:all-MiniLM-L6-v2-int8@8199be6f`` or ``openai:text-embedding-3-small``."""
    kind: str
    """``minilm`` or ``openai``: how a reader builds the same embedder."""
    model: str
    dimensions: int | None
    """None until the first answer of a server that was not asked for a size."""
    usd_per_million_tokens: float


@dataclass
class Usage:
    """Tokens that an embedder's server reported or, where it does not, the most they can be (0 for a local one); and
    the requests it took."""

    tokens: int = 0
    requests: int = 0
    texts: int = 0


class Embedder(Protocol):
    """Turns texts into unit vectors. Safe to call from several threads."""

    @property
    def info(self) -> EmbedderInfo: ...

    @property
    def usage(self) -> Usage:
        """Totals since this object was made."""
        ...

    def embed(
        self, texts: Sequence[str], on_batch: "Callable[[Sequence[int], np.ndarray], None] | None" = None
    ) -> "np.ndarray":
        """Vectors of the texts, float32 of shape (len(texts), dimensions), rows of unit length, in the order given.

        ``on_batch(positions, vectors)`` is called as each batch is finished, from one thread at a time, so that a
        crash loses one batch. Raises EmbeddingError for an empty text, an unreachable server, a refused key, or an
        answer that is not finite or not of one size.
        """
        ...
