"""The learned space: a projection of the embedding in which wordings of one answer lie close and answers lie apart.

It re-scores the few nearest entries only; the search itself stays in the embedding's own space.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cachewarm_client.match_features import Floats


@dataclass(frozen=True)
class Space:
    """``projection``: float16 (dimensions, rank). Half precision is what is published, so it is what is fitted on."""

    projection: NDArray[np.float16]

    def project(self, vectors: Floats) -> NDArray[np.float32]:
        """Unit vectors of the learned space, float32 (n, rank). A vector that projects to nothing stays zero."""
        return unit(np.asarray(vectors, np.float32) @ self._wide)

    @cached_property
    def _wide(self) -> NDArray[np.float32]:
        return self.projection.astype(np.float32)


def unit(rows: Floats) -> NDArray[np.float32]:
    """Rows scaled to length 1; zero rows stay zero."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), np.float32)
