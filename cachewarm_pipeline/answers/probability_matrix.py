"""The judge's probabilities for all pairs of a query's responses, for many queries in few calls."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.ports import AnswerPair, QueryAnswers

Probability = Callable[[Sequence[AnswerPair]], NDArray[np.float64]]
"""A judge as a function: the probability (n,) that the answers of each pair are equivalent. See ``Judge``."""

BLOCK = 20_000
"""Pairs that the judge gets at once: the queries of a block are its memory."""


def probability_matrices(queries: Sequence[QueryAnswers], judge: Probability) -> list[NDArray[np.float64]]:
    """For each query the matrix (n, n) of the probabilities of its responses; 1 on the diagonal."""
    found: list[NDArray[np.float64]] = []
    for block in _blocks(queries):
        pairs = [
            AnswerPair(query.question, left, right, query.model)
            for query in block
            for left, right in combinations(query.responses, 2)
        ]
        values = np.clip(np.asarray(judge(pairs), np.float64), 0.0, 1.0) if pairs else np.empty(0)
        for query in block:
            n = len(query.responses)
            number = n * (n - 1) // 2
            own, values = values[:number], values[number:]
            matrix = np.eye(n)
            matrix[np.triu_indices(n, 1)] = own
            found.append(np.maximum(matrix, matrix.T))
    return found


def _blocks(queries: Sequence[QueryAnswers]) -> Iterator[list[QueryAnswers]]:
    block: list[QueryAnswers] = []
    pairs = 0
    for query in queries:
        block.append(query)
        pairs += len(query.responses) * (len(query.responses) - 1) // 2
        if pairs >= BLOCK:
            yield block
            block, pairs = [], 0
    if block:
        yield block
