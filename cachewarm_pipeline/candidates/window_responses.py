"""The logged responses of a window of days as numbers in columns, with 8-byte hashes in place of their texts.

`window_rollup` decides which queries are frequent, and which response is an answer.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MAX_CONTENDERS = 12
"""Distinct responses of a query that the judge sees: 66 pairs at most. Eight would find a weekly change in 92% of the
queries where twelve find it in 99% (benchmarks.volatility)."""

BEST_CONTENDERS = 6
"""Of these, the best supported, then the newest. The others are a sample of the rest, the same in every run. Where
every call has other words, the newest are close together in time, and the sample is spread over the days and
users: so both kinds of pairs are seen."""


class ResponseNumbers:
    """Responses as columns of equal length, 40 bytes a response: number of the query, hash of the text, rows with it,
    rows with negative feedback, and time of the newest row (microseconds since 1970 UTC).

    Two texts of one query are distinguished only by their 8-byte hashes.
    """

    def __init__(self, *columns: np.ndarray) -> None:
        self.query, self.text, self.count, self.negative, self.last_at = columns

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        return self.query, self.text, self.count, self.negative, self.last_at

    @classmethod
    def of(cls, rows: pa.Table, queries: np.ndarray) -> "ResponseNumbers":
        """The responses in one day's rows of ``daily_query_counts``. ``queries``: number of the query of each row."""
        parents, flat = flat_responses(rows, queries)
        last_at = flat.field("last_at").cast(pa.int64()).to_numpy()
        return cls(
            parents,
            hash_texts(flat.field("response")),
            flat.field("count").to_numpy(),
            flat.field("negative").to_numpy(),
            last_at,
        )

    @classmethod
    def best(cls, days: "Sequence[ResponseNumbers]") -> "ResponseNumbers":
        """The responses added up over the days: by query, the best supported and then the newest first, at most
        MAX_CONTENDERS for each query: the BEST_CONTENDERS and a sample by hash."""
        if not days:
            return cls(*(np.empty(0, kind) for kind in (np.int64, np.uint64, np.int64, np.int64, np.int64)))
        query, text, count, negative, last_at = (
            np.concatenate(column) for column in zip(*(day.columns for day in days), strict=True)
        )
        order = np.lexsort((text, query))
        query, text = query[order], text[order]
        starts = np.flatnonzero((np.diff(query, prepend=-1) != 0) | (np.diff(text, prepend=np.uint64(0)) != 0))
        if not len(starts):
            return cls(query, text, count, negative, last_at)
        count, negative = (np.add.reduceat(column[order], starts) for column in (count, negative))
        last_at = np.maximum.reduceat(last_at[order], starts)
        query, text = query[starts], text[starts]
        order = np.lexsort((text, -last_at, -count, query))
        best = _place(query[order]) < BEST_CONTENDERS
        rest = order[~best]
        rest = rest[np.lexsort((text[rest], query[rest]))]
        chosen = np.concatenate([order[best], rest[_place(query[rest]) < MAX_CONTENDERS - BEST_CONTENDERS]])
        order = order[np.isin(order, chosen)]
        return cls(query[order], text[order], count[order], negative[order], last_at[order])

    def of_queries(self, queries: np.ndarray) -> "ResponseNumbers":
        """The responses of these queries alone."""
        kept = np.isin(self.query, queries)
        return ResponseNumbers(*(column[kept] for column in self.columns))


def _place(query: np.ndarray) -> np.ndarray:
    """The place of each row within its query (n,): 0, 1, 2, ... The rows are sorted by query."""
    places: np.ndarray = np.arange(len(query)) - np.searchsorted(query, query)
    return places


def flat_responses(rows: pa.Table, queries: np.ndarray) -> tuple[np.ndarray, pa.StructArray]:
    """All responses of the rows, and the number of the query of each. ``queries``: the number for each row."""
    lists = rows["responses"].combine_chunks()
    parents = pc.list_parent_indices(lists).to_numpy()
    return queries[parents], pc.list_flatten(lists)


def combine_hashes(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """One uint64 for each pair of uint64; the order matters. The multiplier is the 64-bit golden ratio, which spreads
    the bits (Fibonacci hashing)."""
    mixed: np.ndarray = (one * np.uint64(0x9E3779B97F4A7C15)) ^ other
    return mixed


def hash_texts(texts: pa.Array) -> np.ndarray:
    """A uint64 hash of each text (n,): the same in all processes."""
    from pandas.util import hash_array

    encoded = texts.dictionary_encode()
    if not len(encoded):
        return np.empty(0, np.uint64)
    hashes: np.ndarray = hash_array(encoded.dictionary.to_numpy(zero_copy_only=False), categorize=False)
    spread: np.ndarray = hashes[encoded.indices.to_numpy()]
    return spread
