"""Which words matter: weights of the words in which a query and an entry differ, counted in the labelled log.

"please" does not make it another question, "revoke" does. All agent types share one set of weights, published as plain
data with the learned space. Words that are personal data by themselves are never among them. No I/O.
"""

from array import array

import numpy as np
from cachewarm_client.match_features import Ints
from cachewarm_client.personal_data import find_personal_data
from cachewarm_client.words import Tokens, word_key
from numpy.typing import NDArray

PSEUDO_PAIRS = 5.0
"""Pairs at the overall rate that are added to every word's own pairs. Among 2, 5, 10 and 20, the sample's out-of-fold
log loss fell most from 2 to 5; StackFAQ's held-out log loss rose from 5 to 20."""

LEAST_QUERIES = 3
"""Distinct queries in whose pairs a word must differ: fewer are little evidence, and may come from one person."""

LEAST_WEIGHT = 0.05
"""Weights closer to 0 change no decision."""

MOST_WORDS = 5_000
"""Most words that are published, those with the largest |weight| x pairs: about 90 KB, as much as the learned space."""


class WordPairs:
    """Pairs of a query and one of its nearest entries: the words that only one of the two has, and whether their
    answers are equivalent. Memory: 8 bytes for each differing word and 11 for each pair."""

    def __init__(self) -> None:
        self.queries = 0
        """How many distinct queries have been numbered."""
        self._numbers: dict[str, int] = {}
        self._word, self._pair = array("i"), array("i")
        self._same, self._query = array("b"), array("q")
        self._folds = array("b")

    def add(self, lookup: Tokens, entry: Tokens, same: bool, query: int, folds: tuple[int, int]) -> None:
        """Adds one pair. ``query``: number of the distinct query. ``folds``: the query's fold, and the entry's where it
        is fitted on too (else the query's again): the pair is evidence about both."""
        differing = lookup.all ^ entry.all
        self._word.extend([self._numbers.setdefault(word, len(self._numbers)) for word in differing])
        self._pair.extend([len(self._same)] * len(differing))
        self._same.append(same)
        self._query.append(query)
        self._folds.extend(folds)

    def weights(self, without: int | None = None) -> dict[str, float]:
        """The weight of each word: the smoothed log-odds that two answers are equivalent although the word differs,
        less the overall log-odds.

        Keys are word_key hashes, so that a reader of Redis learns no word of the log, such as a name. ``without``: a
        fold whose pairs do not count. Words that are rare, that change nothing, or in which find_personal_data finds
        something have no weight. Rounded and sorted by key, so that the model is fitted on exactly what is published.
        """
        folds = np.frombuffer(self._folds, np.int8).reshape(-1, 2)
        kept = np.ones(len(folds), bool) if without is None else (folds != without).all(1)
        if not kept.any() or not self._numbers:
            return {}
        same = np.frombuffer(self._same, np.int8)
        word, pair = np.frombuffer(self._word, np.int32), np.frombuffer(self._pair, np.int32)
        word, pair = word[kept[pair]], pair[kept[pair]]
        size = len(self._numbers)
        asked, queries = np.bincount(word, minlength=size), self._queries(word, pair)
        agreed = np.bincount(word, weights=same[pair], minlength=size)
        mean = (same[kept].sum() + 1) / (kept.sum() + 2)
        odds = (agreed + PSEUDO_PAIRS * mean) / (asked - agreed + PSEUDO_PAIRS * (1 - mean))
        weight = np.log(odds) - np.log(mean / (1 - mean))
        usable = (queries >= LEAST_QUERIES) & (np.abs(weight) >= LEAST_WEIGHT)
        names = list(self._numbers)
        ranked = sorted(np.flatnonzero(usable), key=lambda i: (-abs(weight[i]) * asked[i], names[i]))
        found: dict[str, float] = {}
        for i in ranked:
            if len(found) == MOST_WORDS:
                break
            if not find_personal_data(names[i]):
                found[word_key(names[i])] = round(float(weight[i]), 3)
        return dict(sorted(found.items()))

    def _queries(self, word: Ints, pair: Ints) -> NDArray[np.int64]:
        """The number of distinct queries of each word."""
        query = np.frombuffer(self._query, np.int64)
        _, number = np.unique(query, return_inverse=True)
        once = np.unique(word.astype(np.int64) * (number.max() + 1) + number[pair])
        return np.bincount(once // (number.max() + 1), minlength=len(self._numbers))
