"""The learned space: a projection of the embedding that brings the wordings of one answer close together and moves
different answers apart.

It only re-scores the few nearest entries; the search itself stays in the embedding's space.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cachewarm_client.match_features import Floats


@dataclass(frozen=True)
class Space:
    """A linear projection of the embedding's space."""

    projection: NDArray[np.float16]
    """Shape (dimensions, rank). It is published in half precision, so the model is fitted on half precision too."""

    def project(self, vectors: Floats) -> NDArray[np.float32]:
        """Unit vectors in the learned space, float32 (n, rank). A vector that projects to zero stays zero."""
        return unit(np.asarray(vectors, np.float32) @ self._wide)

    @cached_property
    def _wide(self) -> NDArray[np.float32]:
        return self.projection.astype(np.float32)


def unit(rows: Floats) -> NDArray[np.float32]:
    """Rows scaled to length 1, float32; zero rows stay zero."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), np.float32)
