"""The match features: which of a lookup's nearest entries is picked, and the numbers that say whether it is right.

Fitting (many lookups at once) and serving (a batch of one) run the same code, so the two cannot drift apart. Pure
numpy; about 0.1 ms per lookup. The comments beside the names in FEATURES say what each feature means.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cachewarm_client.words import Tokens, exchanged, word_key

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

VERSION = 2
"""Version of the features below, of the words they are made of (cachewarm_client.words) and of the word lists
(cachewarm_client.word_lists). It must rise when any of them changes: weights fitted on one version mean nothing to
another."""

SIMILARITY_FEATURES = (
    "similarity",  # cosine of the lookup and the picked entry
    "similarity_best",  # the same, best entry of the picked answer group
    "similarity_margin",  # over the best entry of another answer group
    "similarity_mean",  # over all neighbours: how crowded the neighbourhood is
    "vote_wide",  # share of the picked group in a vote weighted exp(similarity / 0.1)
    "learned",  # cosine in the learned space of the lookup and the picked entry
    "learned_margin",
    "centre",  # cosine in the learned space of the lookup and the centre of the picked answer group
    "centre_margin",
    "score_margin",  # score = (learned + centre) / 2, by which the entry is picked
    "vote_narrow",  # share of the picked group in a vote weighted exp(score / 0.03)
    "share",  # of the neighbours that are of the picked group
)
TEXT_FEATURES = (
    "overlap",  # Jaccard of the token sets
    "only_lookup",  # log(1 + tokens of the lookup that the entry lacks)
    "only_entry",  # log(1 + tokens of the entry that the lookup lacks)
    "number_differs",  # 1 if the sets of tokens with a digit (numbers, versions) are not the same
    "number_conflict",  # 1 if each side has such a token that the other lacks
    "negation_differs",  # 1 if one has an odd and the other an even count of negations
    "name_differs",  # 1 if the sets of names (quoted, code-like, capitalised inside a sentence) are not the same
    "name_conflict",  # 1 if each side has a name that the other lacks
    "swapped",  # overlap, if the shared tokens come in another order, else 0
    "exchanged",  # 1 if a word has another role in each: "from Kafka", "to Kafka"
    "length_lookup",  # log(1 + tokens)
    "length_entry",
)
LOG_FEATURES = (
    "reliability",  # log-odds that the picked entry is right when it is picked
    "words_sum",  # of the weights (match_rules.word_weights) of the words that only one of the two has
    "words_least",  # the least of them: the word that speaks most against the entry
    "words_most",
)
FEATURES = SIMILARITY_FEATURES + TEXT_FEATURES + LOG_FEATURES


@dataclass(frozen=True)
class Neighbours:
    """The nearest entries of n lookups, best first, at most k each. All arrays have the shape (n, k)."""

    similarity: Floats
    """Cosine in the embedding's space."""
    group: Ints
    """Any integer that is the same for entries of one answer group; -1 in unused places."""
    learned: Floats
    """Cosine with the entry in the learned space; ``similarity`` where there is no such space."""
    centre: Floats
    """Cosine with the centre of the entry's answer group in the learned space; ``similarity`` where there is none."""
    reliability: Floats
    """Log-odds that the entry is right when it is picked."""


def similarity_features(found: Neighbours) -> tuple[Ints, Floats]:
    """The pick (n,) and the similarity features, float64 (n, len(SIMILARITY_FEATURES)), of n lookups.

    The pick is the place of the entry with the highest score. It is not always the nearest entry, which is right less
    often. Every lookup must have at least one neighbour.
    """
    group = np.asarray(found.group)
    n, k = group.shape
    there = group >= 0
    sims = np.empty((4, n, k))
    sims[0], sims[1], sims[2] = found.similarity, found.learned, found.centre
    sims[3] = (sims[1] + sims[2]) / 2
    rows = np.arange(n)
    low = np.where(there, sims, -9.0)
    pick = low[3].argmax(1)
    own = (group == group[rows, pick][:, None]) & there
    other = there & ~own
    best_own = np.where(own, sims, -9.0).max(2)
    best_other = np.where(other, sims, -9.0).max(2)
    alone = ~other.any(1)
    if alone.any():
        # An entry beyond k used places is no nearer than the last of them. With unused places there is no other entry.
        full = there.all(1)
        edge = np.where(full, np.where(there, sims, 9.0).min(2), 0.0)
        best_other = np.where(alone, edge, best_other)
    margin = best_own - best_other
    count = there.sum(1)
    wide = np.exp((low[0] - low[0].max(1, keepdims=True)) / 0.1)
    narrow = np.exp((low[3] - low[3].max(1, keepdims=True)) / 0.03)
    columns = (
        sims[0, rows, pick],
        best_own[0],
        margin[0],
        np.where(there, sims[0], 0.0).sum(1) / count,
        (wide * own).sum(1) / wide.sum(1),
        sims[1, rows, pick],
        margin[1],
        sims[2, rows, pick],
        margin[2],
        margin[3],
        (narrow * own).sum(1) / narrow.sum(1),
        own.sum(1) / count,
    )
    return pick, np.stack(columns, 1)


def text_features(lookup: Tokens, entry: Tokens) -> list[float]:
    """The values of TEXT_FEATURES: how the words of a lookup differ from the picked entry's."""
    shared = lookup.all & entry.all
    only_lookup = len(lookup.all) - len(shared)
    only_entry = len(entry.all) - len(shared)
    overlap = len(shared) / max(1, len(shared) + only_lookup + only_entry)
    swapped = False
    if shared and lookup.order != entry.order:
        swapped = list(dict.fromkeys(t for t in lookup.order if t in shared)) != list(
            dict.fromkeys(t for t in entry.order if t in shared)
        )
    return [
        overlap,
        math.log1p(only_lookup),
        math.log1p(only_entry),
        float(lookup.numbers != entry.numbers),
        float(bool(lookup.numbers - entry.numbers) and bool(entry.numbers - lookup.numbers)),
        float(lookup.negated != entry.negated),
        float(lookup.names != entry.names),
        float(bool(lookup.names - entry.names) and bool(entry.names - lookup.names)),
        overlap if swapped else 0.0,
        float(exchanged(lookup, entry)),
        math.log1p(len(lookup.order)),
        math.log1p(len(entry.order)),
    ]


def word_features(lookup: Tokens, entry: Tokens, words: Mapping[str, float]) -> list[float]:
    """Sum, least and most of the weights of the words that only one of the two has; symmetric.

    ``words``: weights by ``word_key``; a word without a weight counts 0. The sum is exact (``fsum``), so it does not
    depend on the order of a set.
    """
    weights = [words.get(word_key(word), 0.0) for word in lookup.all ^ entry.all]
    return [math.fsum(weights), min(weights, default=0.0), max(weights, default=0.0)]


def features(
    found: Neighbours,
    lookups: Sequence[Tokens],
    entries: Sequence[Tokens],
    places: Ints,
    words: Mapping[str, float],
) -> tuple[Ints, Floats]:
    """The pick (place among the neighbours, (n,)) and the features, float64 (n, len(FEATURES)), of n lookups.

    ``entries[places[i, j]]`` are the tokens of lookup i's j-th neighbour; ``words``: weights of differing words by
    ``word_key``. Memory: about 0.3 KB per lookup.
    """
    pick, numeric = similarity_features(found)
    out = np.empty((len(lookups), len(FEATURES)))
    text, log = len(SIMILARITY_FEATURES), len(SIMILARITY_FEATURES) + len(TEXT_FEATURES)
    out[:, :text] = numeric
    out[:, log] = found.reliability[np.arange(len(lookups)), pick]
    for i, lookup in enumerate(lookups):
        entry = entries[int(places[i, pick[i]])]
        out[i, text:log] = text_features(lookup, entry)
        out[i, log + 1 :] = word_features(lookup, entry, words)
    return pick, out
