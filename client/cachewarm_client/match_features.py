"""What a lookup and its nearest entries say about which entry may answer it: the pick, and a vector of features.

One implementation for fitting (many lookups at once) and for serving (a batch of one), so that the two cannot drift.
Pure numpy; about 0.1 ms a lookup. The meaning of each feature is in FEATURES; VERSION changes whenever one does.
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
"""Of the features below and the words they are made of (cachewarm_client.words): weights fitted on one version mean
nothing to another."""

SIMILARITY_FEATURES = (
    "similarity",  # cosine of the lookup and the picked entry
    "similarity_best",  # the same, best entry of the picked answer group
    "similarity_margin",  # over the best entry of another answer group
    "similarity_mean",  # over all neighbours: how crowded the place is
    "vote_wide",  # share of the picked group in a vote weighted exp(similarity / 0.1)
    "learned",  # cosine in the learned space of the lookup and the picked entry
    "learned_margin",
    "centre",  # cosine in the learned space of the lookup and the centre of the picked answer group
    "centre_margin",
    "score_margin",  # score = (learned + centre) / 2, which makes the pick
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
    "exchanged",  # 1 if a word has another part in each: "from Kafka", "to Kafka"
    "length_lookup",  # log(1 + tokens)
    "length_entry",
)
LOG_FEATURES = (
    "reliability",  # log-odds that the picked entry is right when it is picked
    "words_sum",  # of the weights (match_rules.word_weights) of the words that only one of the two has
    "words_least",  # the least of them: the word that most speaks against the entry
    "words_most",
)
FEATURES = SIMILARITY_FEATURES + TEXT_FEATURES + LOG_FEATURES


@dataclass(frozen=True)
class Neighbours:
    """The nearest entries of n lookups, best first, k places each. Fewer than k: ``group`` -1 in the places left over.

    ``similarity``: cosine in the embedding's space. ``learned`` and ``centre``: cosines in the learned space with the
    entry itself and with the centre of its answer group (both are ``similarity`` again where there is no such space).
    ``group``: any integer that is the same for entries of one answer group. ``reliability``: log-odds that an entry is
    right when it is picked. All of shape (n, k).
    """

    similarity: Floats
    group: Ints
    learned: Floats
    centre: Floats
    reliability: Floats


def similarity_features(found: Neighbours) -> tuple[Ints, Floats]:
    """Pick and similarity features of each lookup.

    The pick is the place of the entry with the highest score: not always the nearest one, which is right less often.
    Features: float64 (n, len(SIMILARITY_FEATURES)). A lookup must have a neighbour at all.
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
        # An entry that was not among k full places is no nearer than the last; with places to spare there is none.
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
    """How the words of a lookup differ from the picked entry's: the values of TEXT_FEATURES."""
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
    """What the log knows of the words in which they differ: sum, least and most of their weights. The same both ways.

    ``words``: weights by cachewarm_client.words.word_key; a word without one counts 0. The sum is exact, so that the
    order of a set does not show in it.
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
    """Pick (place among the neighbours, (n,)) and features (n, len(FEATURES)) of n lookups.

    ``entries[places[i, j]]`` are the tokens of lookup i's j-th neighbour; ``words``: weights of differing words.
    Memory: about 0.3 KB a lookup.
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
