"""Entries that cannot stand side by side: two answers for what no lookup can tell apart.

Near entries of different answers are wanted, they are the contrast that a match rule learns from. What cannot stand is
two answers for one canonical prompt, and a pair of prompts that differ in nothing that a match rule looks at.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cachewarm_client.match_features import Floats
from cachewarm_client.prompt_contradiction import contradiction
from cachewarm_client.words import Tokens

from cachewarm_pipeline.numerics.nearest_neighbours import nearest_neighbours

SAME_PLACE = 0.02
"""Cosine distance up to which two prompts may stand at one place; rewordings with other words are further apart."""

SAME_WORDS = 0.95
"""Share of the words in common from which nothing but filling is left to differ; one word of 20."""

_LOOKED_AT = 8

_EXACT_LIMIT = 1_000_000_000
"""Pairs up to which all are compared; past it an index finds at least 98% of those that stand at one place."""


@dataclass(frozen=True)
class Pair:
    """Two prompts that no feature tells apart, by position; ``first`` < ``second``."""

    first: int
    second: int
    distance: float


def inseparable_pairs(vectors: Floats, words: Sequence[Tokens]) -> list[Pair]:
    """Pairs of prompts of ONE agent_type that stand at one place, with the same words, numbers, names and negations.

    ``vectors`` float32 (n, d), unit rows. Looks at the 8 nearest of each: all pairs to 31,000 prompts, past that by an
    index that may miss one in fifty. In the order of (second, first).
    """
    if len(words) < 2:
        return []
    k = min(_LOOKED_AT + 1, len(words))
    found = nearest_neighbours(vectors, vectors, k, exact_limit=_EXACT_LIMIT, wanted=1 - SAME_PLACE)
    pairs: dict[tuple[int, int], float] = {}
    for i, j in zip(*np.nonzero(found.cosine >= 1 - SAME_PLACE), strict=True):
        first, second = sorted((int(i), int(found.places[i, j])))
        if first != second and _same_words(words[first], words[second]):
            pairs[second, first] = 1 - float(found.cosine[i, j])
    return [Pair(first, second, max(0.0, pairs[second, first])) for second, first in sorted(pairs)]


def _same_words(left: Tokens, right: Tokens) -> bool:
    shared = len(left.all & right.all)
    return shared >= SAME_WORDS * len(left.all | right.all) and contradiction(left, right) is None
