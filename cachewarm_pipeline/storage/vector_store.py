"""The port of a store of vectors."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np


class VectorStore(Protocol):
    """Content-addressed vectors: key -> unit vector, written once."""

    def missing(self, keys: Iterable[str]) -> set[str]:
        """The keys that have no vector."""
        ...

    def put(self, keys: Sequence[str], vectors: "np.ndarray") -> None:
        """Store one batch: float32 (len(keys), dimensions)."""
        ...

    def get(self, keys: Sequence[str]) -> "np.ndarray":
        """float32 (len(keys), dimensions), in the order given. Raises DatasetError for an unknown key."""
        ...
