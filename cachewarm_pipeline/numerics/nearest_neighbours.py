"""The k nearest entries of many queries by cosine: exact in blocks, past EXACT_LIMIT by an index with measured recall.

Of unit rows, so that the inner product is the cosine. What a rule makes of neighbours lives in match_rules.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXACT_LIMIT = 10_000_000_000
"""Query-entry pairs up to which all are compared: 100,000 x 100,000, a few minutes on two cores at 384 dimensions."""
LEAST_RECALL = 0.98
"""Of an index, or it probes on: one neighbour in fifty may be missed, never silently (``Nearest.recall``)."""
SAMPLE = 500
"""Queries that recall is measured on: 5,000 neighbours at k = 10, a standard error of at most 0.3 points at 0.98."""
BLOCK = 1024
"""Queries at a time: more make the product no faster."""
CELLS = 1 << 24
"""Query-entry pairs held at a time: 9 bytes each, 150 MB, however many entries there are."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Nearest:
    """``places`` int64 (n, k): rows of the entries, best first; ``cosine`` float32 (n, k): theirs.

    ``recall``: share of the true k nearest (that were wanted) that were found, 1.0 when all pairs were compared.
    """

    places: NDArray[np.int64]
    cosine: NDArray[np.float32]
    recall: float


def nearest_neighbours(
    queries: Vectors,
    entries: Vectors,
    k: int,
    *,
    exact_limit: int = EXACT_LIMIT,
    seed: int = 0,
    wanted: float = -1.0,
) -> Nearest:
    """The ``k`` entries nearest to each query; of fewer entries, all. Both float32 (., d), unit rows.

    Equal cosines come in the order of place. With more than ``exact_limit`` pairs an IVF index answers, whose recall
    is measured against the exact result on SAMPLE queries drawn with ``seed``; it probes more lists until that is
    LEAST_RECALL, if need be all; of neighbours under the cosine ``wanted`` it may miss any number. The same input gives
    the same output on one machine.
    Memory beside input and output: CELLS pairs at a time, and in an index a copy of the entries.

    Raises ValueError for arrays that do not fit together, for values that are not finite and for k < 1.
    """
    if k < 1 or queries.ndim != 2 or entries.ndim != 2 or queries.shape[1] != entries.shape[1]:
        raise ValueError(f"{k} nearest of {entries.shape} entries for {queries.shape} queries")
    queries, entries = np.ascontiguousarray(queries, np.float32), np.ascontiguousarray(entries, np.float32)
    if not (np.isfinite(queries).all() and np.isfinite(entries).all()):
        raise ValueError("vectors that are not finite have no nearest ones")
    k = min(k, len(entries))
    if len(queries) * len(entries) > exact_limit:
        return _indexed(queries, entries, k, seed, wanted)
    return Nearest(*_exact(queries, entries, k), 1.0)


def block_rows(columns: int) -> int:
    """Rows that are compared with so many columns at a time: at least 1, at most BLOCK, else CELLS pairs."""
    return max(1, min(BLOCK, CELLS // max(columns, 1)))


def _exact(queries: Vectors, entries: Vectors, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    places, cosine = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    step = block_rows(len(entries))
    for start in range(0, len(queries) if k else 0, step):
        part = slice(start, start + step)
        places[part], cosine[part] = _best(queries[part] @ entries.T, k)
    return places, cosine


def _best(similarity: Vectors, k: int) -> tuple[NDArray[np.int64], Vectors]:
    """The k largest of each row, largest first, equal ones in the order of place.

    The k-th value alone is found by partition, a third of argpartition's time, and all that reach it are then ranked:
    so it is never chance which of equal ones are among the k.
    """
    edge = np.partition(similarity, similarity.shape[1] - k, axis=1)[:, -k, None]
    row, place = np.nonzero(similarity >= edge)
    value = similarity[row, place]
    order = np.lexsort((place, -value, row))
    first = np.searchsorted(row, np.arange(len(similarity)))  # row is sorted, and the order keeps rows together
    kept = order[first[:, None] + np.arange(k)]
    return place[kept], value[kept]


def _indexed(queries: Vectors, entries: Vectors, k: int, seed: int, wanted: float) -> Nearest:
    """IVF-Flat: lists around k-means centres, of which a query's nearest are compared in full.

    Not HNSW: built on several threads it is another graph each time.
    """
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(len(queries), min(SAMPLE, len(queries)), replace=False))
    truth = _exact(queries[sample], entries, k)[1]
    index = _index(entries, seed)
    index.nprobe = min(8, index.nlist)
    while True:
        found = _search(index, queries[sample], entries, k)[1]
        # By cosine and not by place: one of several equal entries is as good as another. The slack is float32's.
        there = int((truth >= wanted).sum())
        recall = int((found >= np.maximum(truth[:, -1:], wanted) - 1e-6).sum()) / there if there else 1.0
        if recall >= LEAST_RECALL or index.nprobe == index.nlist:
            return Nearest(*_search(index, queries, entries, k), recall)
        index.nprobe = min(2 * index.nprobe, index.nlist)


def _index(entries: Vectors, seed: int) -> Any:
    import faiss

    lists = max(1, min(round(4 * len(entries) ** 0.5), len(entries) // 39))  # 39 is what faiss wants at least a list
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
    short = np.flatnonzero((places < 0).any(1))  # the lists that were probed hold fewer than k
    places[short], cosine[short] = _exact(queries[short], entries, k)
    return places, cosine
