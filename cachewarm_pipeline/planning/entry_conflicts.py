"""Pairs of prompts that cannot both be entries with different answers, because no lookup can tell them apart.

Entries that are near each other and have different answers are wanted: a match rule learns from the contrast. Two
answers for one canonical prompt are not, nor is a pair of prompts that differ in nothing that a match rule reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cachewarm_client.match_features import Floats
from cachewarm_client.prompt_contradiction import contradiction
from cachewarm_client.words import Tokens

from cachewarm_pipeline.numerics.nearest_neighbours import nearest_neighbours

MAX_DISTANCE = 0.02
"""Largest cosine distance of an inseparable pair; rewordings that use other words are further apart."""

MIN_SHARED_WORDS = 0.95
"""Least share of words that an inseparable pair has in common: one word of 20 may differ, which leaves only filler."""

_NEIGHBOURS = 8

_EXACT_LIMIT = 1_000_000_000
"""Number of pairs up to which all are compared. Above it, an index finds at least 98% of the pairs within the
distance."""


@dataclass(frozen=True)
class InseparablePair:
    """Two prompts that no feature tells apart, by position; ``first`` < ``second``."""

    first: int
    second: int
    distance: float


def inseparable_pairs(vectors: Floats, words: Sequence[Tokens]) -> list[InseparablePair]:
    """Pairs of prompts of ONE agent_type within MAX_DISTANCE that share their words, numbers, names and negations.

    ``vectors``: float32 (n, d), unit rows. Each prompt is compared with its 8 nearest neighbours. Up to 31,000 prompts
    the neighbours are exact; above that an index finds them, which may miss one in fifty. The pairs are ordered by
    (second, first).
    """
    if len(words) < 2:
        return []
    k = min(_NEIGHBOURS + 1, len(words))
    found = nearest_neighbours(vectors, vectors, k, exact_limit=_EXACT_LIMIT, wanted=1 - MAX_DISTANCE)
    pairs: dict[tuple[int, int], float] = {}
    for i, j in zip(*np.nonzero(found.cosine >= 1 - MAX_DISTANCE), strict=True):
        first, second = sorted((int(i), int(found.places[i, j])))
        if first != second and _same_words(words[first], words[second]):
            pairs[second, first] = 1 - float(found.cosine[i, j])
    return [InseparablePair(first, second, max(0.0, pairs[second, first])) for second, first in sorted(pairs)]


def _same_words(left: Tokens, right: Tokens) -> bool:
    shared = len(left.all & right.all)
    return shared >= MIN_SHARED_WORDS * len(left.all | right.all) and contradiction(left, right) is None
