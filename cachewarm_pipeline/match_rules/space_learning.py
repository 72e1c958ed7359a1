"""Learns the space in which wordings of one answer lie close together and different answers lie apart.

Shrunk linear discriminant analysis: within-class whitening (by the covariance of wordings around the centre of their
answer, shrunk towards the identity), then the directions with the most spread between answers. Nothing here reads or
writes.
"""

import numpy as np
from cachewarm_client.learned_space import Space
from cachewarm_client.match_features import Floats, Ints
from numpy.typing import NDArray

RANK = 128
"""Directions kept. On three data sets 64 was about as good and all 384 were worse; 128 x 384 in half precision are
98 KB."""
MIN_SHRINK = 0.05
MAX_LEARN = 40_000
"""Most log queries that the covariance is learned from: with these, its error is far below the shrinkage."""


def learn_space(vectors: Floats, groups: Ints, rank: int = RANK) -> Space | None:
    """The space learned from unit vectors (n, d) with the answers ``groups`` (n,).

    None where there is too little to learn from: fewer than 30 wordings beyond the first of each answer, or a single
    answer. Uses the first MAX_LEARN rows. Memory: three d x d matrices and one copy of the rows.
    """
    vectors, groups = vectors[:MAX_LEARN], groups[:MAX_LEARN]
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    free = int(len(groups) - len(counts))
    if free < 30 or len(counts) < 2:
        return None
    x = np.asarray(vectors, np.float64)
    around = x - group_sums(x, inverse, len(counts))[inverse] / counts[inverse, None]
    covariance = around.T @ around / free
    d = covariance.shape[0]
    covariance *= d / max(np.trace(covariance), 1e-12)
    shrink = _shrinkage(covariance, free)
    values, directions = np.linalg.eigh((1 - shrink) * covariance + shrink * np.eye(d))
    whiten = (directions * values**-0.5) @ directions.T
    white = x @ whiten
    centred = white - white.mean(0)
    means = group_sums(centred, inverse, len(counts)) / np.sqrt(counts)[:, None]
    # The small second term orders the remaining directions where the answers span fewer than `rank`.
    spread = means.T @ means / len(x) + 1e-3 * (centred.T @ centred) / len(x)
    _, axes = np.linalg.eigh(spread)
    projection = whiten @ axes[:, ::-1][:, :rank]
    # One scale for all directions: it changes no cosine, and half precision keeps its digits.
    return Space((projection / np.abs(projection).max()).astype(np.float16))


def group_sums(rows: Floats, inverse: Ints, groups: int) -> NDArray[np.float64]:
    """Sum of the rows of each group 0..groups-1: float64 (groups, columns)."""
    sums = np.zeros((groups, rows.shape[1]))
    if len(rows):
        order = np.argsort(inverse, kind="stable")
        present, starts = np.unique(inverse[order], return_index=True)
        sums[present] = np.add.reduceat(np.asarray(rows, np.float64)[order], starts)
    return sums


def _shrinkage(covariance: Floats, free: int) -> float:
    """Oracle approximating shrinkage (Chen, Wiesel, Eldar, Hero 2010) for a covariance with trace d, from ``free``
    degrees of freedom."""
    d = covariance.shape[0]
    squares = float((covariance * covariance).sum())
    away = (free + 1 - 2 / d) * max(squares - d, 1e-12)
    return float(np.clip(((1 - 2 / d) * squares + d * d) / away, MIN_SHRINK, 1.0))
