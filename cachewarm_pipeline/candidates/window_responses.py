"""A window's logged responses without their texts: numbers in columns, and the 8-byte hashes that tell texts apart.

What is asked often, and which response wins, is decided in candidates.window_rollup.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MAX_CONTENDERS = 8
"""Distinct responses a query that the judge sees, best supported, then newest first; the rest is estimated."""


class ResponseNumbers:
    """Responses without their texts, as columns: 40 bytes each. Within one query, 8 bytes of hash tell texts apart."""

    def __init__(self, *columns: np.ndarray) -> None:
        self.query, self.text, self.count, self.negative, self.last_at = columns

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        return self.query, self.text, self.count, self.negative, self.last_at

    @classmethod
    def of(cls, rows: pa.Table, queries: np.ndarray) -> "ResponseNumbers":
        """The responses of one day's rows."""
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
        """The days' responses added up, by query, best supported and then newest first, MAX_CONTENDERS a query."""
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
        firsts = np.searchsorted(query[order], query[order])
        order = order[np.arange(len(order)) - firsts < MAX_CONTENDERS]
        return cls(query[order], text[order], count[order], negative[order], last_at[order])

    def of_queries(self, queries: np.ndarray) -> "ResponseNumbers":
        kept = np.isin(self.query, queries)
        return ResponseNumbers(*(column[kept] for column in self.columns))


def flat_responses(rows: pa.Table, queries: np.ndarray) -> tuple[np.ndarray, pa.StructArray]:
    """All responses of the rows, and the query of each."""
    lists = rows["responses"].combine_chunks()
    parents = pc.list_parent_indices(lists).to_numpy()
    return queries[parents], pc.list_flatten(lists)


def mix(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    mixed: np.ndarray = (one * np.uint64(0x9E3779B97F4A7C15)) ^ other
    return mixed


def hash_texts(texts: pa.Array) -> np.ndarray:
    from pandas.util import hash_array

    encoded = texts.dictionary_encode()
    if not len(encoded):
        return np.empty(0, np.uint64)
    hashes: np.ndarray = hash_array(encoded.dictionary.to_numpy(zero_copy_only=False), categorize=False)
    spread: np.ndarray = hashes[encoded.indices.to_numpy()]
    return spread
