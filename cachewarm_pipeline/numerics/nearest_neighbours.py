"""The k nearest entries of many queries by cosine: exact in blocks, beyond EXACT_LIMIT by an index with measured
recall.

All rows are unit vectors, so that the inner product is the cosine. What a match rule does with the neighbours is in
match_rules.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXACT_LIMIT = 10_000_000_000
"""Up to this many query-entry pairs, all pairs are compared: 100,000 x 100,000 take a few minutes on two cores at 384
dimensions."""
LEAST_RECALL = 0.98
"""An index probes more lists until its recall is at least this: it may miss one neighbour in fifty, and
``Nearest.recall`` reports it."""
SAMPLE = 500
"""Queries on which recall is measured. At k = 10 they have 5,000 neighbours: a standard error of at most 0.3 points at
a recall of 0.98."""
BLOCK = 1024
"""Queries compared at a time: more do not make the product faster."""
CELLS = 1 << 24
"""Query-entry pairs in memory at a time: 9 bytes each, 150 MB, however many entries there are."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Nearest:
    """The neighbours of n queries."""

    places: NDArray[np.int64]
    """(n, k): rows of the entries, nearest first."""
    cosine: NDArray[np.float32]
    """(n, k): the cosines of these pairs."""
    recall: float
    """Share of the true k nearest (within the wanted cosine) that were found; 1.0 when all pairs were compared."""


def nearest_neighbours(
    queries: Vectors,
    entries: Vectors,
    k: int,
    *,
    exact_limit: int = EXACT_LIMIT,
    seed: int = 0,
    wanted: float = -1.0,
) -> Nearest:
    """The ``k`` entries nearest to each query, or all entries where there are fewer. Both arrays are float32 (n, d)
    with unit rows.

    Equal cosines are ordered by place. Beyond ``exact_limit`` pairs an IVF index answers. Its recall is measured
    against the exact result on SAMPLE queries drawn with ``seed``; it probes more lists, all if necessary, until the
    recall is LEAST_RECALL. Neighbours with a cosine below ``wanted`` do not count for the recall. The same input gives
    the same output on one machine. Memory besides input and output: CELLS pairs at a time, and for an index a copy of
    the entries.

    Raises ValueError for shapes that do not match, for values that are not finite and for k < 1.
    """
    if k < 1 or queries.ndim != 2 or entries.ndim != 2 or queries.shape[1] != entries.shape[1]:
        raise ValueError(f"{k} nearest of {entries.shape} entries for {queries.shape} queries")
    queries, entries = np.ascontiguousarray(queries, np.float32), np.ascontiguousarray(entries, np.float32)
    if not (np.isfinite(queries).all() and np.isfinite(entries).all()):
        raise ValueError("nearest neighbours need vectors of finite values: these are not finite")
    k = min(k, len(entries))
    if len(queries) * len(entries) > exact_limit:
        return _indexed(queries, entries, k, seed, wanted)
    return Nearest(*_exact(queries, entries, k), 1.0)


def block_rows(columns: int) -> int:
    """How many rows to compare with ``columns`` columns at a time: CELLS pairs, but at least 1 row and at most
    BLOCK."""
    return max(1, min(BLOCK, CELLS // max(columns, 1)))


def _exact(queries: Vectors, entries: Vectors, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    places, cosine = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    step = block_rows(len(entries))
    for start in range(0, len(queries) if k else 0, step):
        part = slice(start, start + step)
        places[part], cosine[part] = _best(queries[part] @ entries.T, k)
    return places, cosine


def _best(similarity: Vectors, k: int) -> tuple[NDArray[np.int64], Vectors]:
    """The k largest values of each row and their places, largest first; equal values are ordered by place.

    Partition finds the k-th value alone, in a third of argpartition's time. Then all values that reach it are ranked,
    so that chance never decides which of several equal values are among the k.
    """
    edge = np.partition(similarity, similarity.shape[1] - k, axis=1)[:, -k, None]
    row, place = np.nonzero(similarity >= edge)
    value = similarity[row, place]
    order = np.lexsort((place, -value, row))
    first = np.searchsorted(row, np.arange(len(similarity)))  # row is sorted, and lexsort keeps rows together
    kept = order[first[:, None] + np.arange(k)]
    return place[kept], value[kept]


def _indexed(queries: Vectors, entries: Vectors, k: int, seed: int, wanted: float) -> Nearest:
    """IVF-Flat: entries are in lists around k-means centres, and a query is compared with all entries of the nearest
    lists.

    Not HNSW: built on several threads, its graph differs each time.
    """
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(len(queries), min(SAMPLE, len(queries)), replace=False))
    truth = _exact(queries[sample], entries, k)[1]
    index = _index(entries, seed)
    index.nprobe = min(8, index.nlist)
    while True:
        found = _search(index, queries[sample], entries, k)[1]
        # Compared by cosine and not by place: one of several equal entries is as good as another. The slack is the
        # rounding of float32.
        expected = int((truth >= wanted).sum())
        recall = int((found >= np.maximum(truth[:, -1:], wanted) - 1e-6).sum()) / expected if expected else 1.0
        if recall >= LEAST_RECALL or index.nprobe == index.nlist:
            return Nearest(*_search(index, queries, entries, k), recall)
        index.nprobe = min(2 * index.nprobe, index.nlist)


def _index(entries: Vectors, seed: int) -> Any:
    import faiss

    lists = max(1, min(round(4 * len(entries) ** 0.5), len(entries) // 39))  # faiss wants at least 39 entries a list
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(entries.shape[1]), entries.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = seed
    index.cp.max_points_per_centroid = 64
    index.train(entries)
    index.add(entries)
    return index


def _search(index: Any, queries: Vectors, entries: Vectors, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    places, cosine = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    for start in range(0, len(queries), BLOCK):
        part = slice(start, start + BLOCK)
        cosine[part], places[part] = index.search(queries[part], k)
    order = np.lexsort((places, -cosine), axis=1)
    places, cosine = np.take_along_axis(places, order, 1), np.take_along_axis(cosine, order, 1)
    short = np.flatnonzero((places < 0).any(1))  # the probed lists have fewer than k entries
    places[short], cosine[short] = _exact(queries[short], entries, k)
    return places, cosine
