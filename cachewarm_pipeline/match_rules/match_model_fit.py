"""Fits the match model: cross-fitted features of the labelled log, and a logistic regression on them whose penalty is
chosen by cross-validation.

The features of a query come from a learned space, answer centres, word weights and reliabilities that were made without
this query (cross-fitting). A query that is an entry is not among its own neighbours. Therefore both the queries that
chose the entries and those reserved for fitting can be fitted on; only the certifying part must stay unseen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from cachewarm_client.learned_space import Space, unit
from cachewarm_client.match_features import FEATURES, Floats, Ints, Neighbours, features
from cachewarm_client.match_model import MatchModel
from cachewarm_client.match_rules import NEIGHBOURS
from cachewarm_client.words import Tokens
from numpy.typing import NDArray

from cachewarm_pipeline.match_rules.logistic_regression import log_loss, logistic
from cachewarm_pipeline.match_rules.space_learning import RANK, group_sums, learn_space
from cachewarm_pipeline.match_rules.word_weights import WordPairs
from cachewarm_pipeline.numerics import nearest_neighbours as neighbours

FOLDS = 5
PENALTIES = (1.0, 10.0, 100.0)
QUERY_BLOCK = 1024
"""Queries described at a time."""

PSEUDO_PICKS = 3.0
"""Picks at the mean rate that are added to every entry's own picks when its reliability is estimated."""

MOST_RELIABLE = 4.0
"""Reliability is cut to this log-odds: 98% right, more than the few picks of one entry can prove."""

WORDS_FROM = 0.5
"""Least cosine of the pairs that word weights are counted from: further apart, all words differ and so do the
answers."""


@dataclass(frozen=True)
class Labelled:
    """Queries and entries of one agent_type: one row for each, no text twice."""

    vectors: Floats
    """float32 (n, d), unit rows."""
    groups: Ints
    """(n,): the judge's answer group; -1 where it is not known, which is allowed for rows not used in fitting."""
    tokens: Sequence[Tokens]
    """The words of each row."""
    judge: Callable[[Ints, Ints], NDArray[np.bool_]] | None = None
    """Whether the answers of rows (m,) and of entries' rows (m,) are equivalent; None: where their groups are equal."""

    def same(self, queries: Ints, entries: Ints) -> NDArray[np.bool_]:
        """Whether each entry's answer is right for its query, bool (m,)."""
        if self.judge:
            return self.judge(queries, entries)
        return np.asarray(self.groups[queries] == self.groups[entries])


@dataclass(frozen=True)
class Scorer:
    """What serving needs besides the model, in half precision as it is published."""

    space: Space | None
    """The learned space; None: there is none."""
    own: NDArray[np.float16]
    """(n, rank): the entries' vectors in the space."""
    centre: NDArray[np.float16]
    """(n, rank): the centres of the entries' answers in the space."""
    reliability: NDArray[np.float16]
    """(n,): log-odds that an entry is right when it is picked."""
    words: Mapping[str, float]
    """Weights of differing words, by word key."""

    @classmethod
    def unlearned(cls, entries: int) -> "Scorer":
        """Of ``entries`` entries with nothing learned about them."""
        none = np.empty((entries, 0), np.float16)
        return cls(None, none, none, np.zeros(entries, np.float16), {})


def learn_scorer(data: Labelled, entries: Ints, known: Ints, rank: int = RANK) -> Scorer:
    """The space learned from the rows ``known``, with the entries in it; see ``place_entries``."""
    return place_entries(data, entries, known, learn_space(data.vectors[known], data.groups[known], rank))


def place_entries(data: Labelled, entries: Ints, known: Ints, space: Space | None) -> Scorer:
    """The entries in a learned space. The centre of an answer is the mean of its rows among ``known``; for an answer
    without such rows it is the entry itself."""
    unlearned = Scorer.unlearned(len(entries))
    if space is None:
        return unlearned
    own = space.project(data.vectors[entries])
    labels, of_entry = np.unique(data.groups[entries], return_inverse=True)
    place = np.searchsorted(labels, data.groups[known]).clip(0, len(labels) - 1)
    members = labels[place] == data.groups[known]
    sums = group_sums(space.project(data.vectors[known[members]]), place[members], len(labels))
    centre = np.where(np.abs(sums).sum(1, keepdims=True)[of_entry] > 1e-9, unit(sums)[of_entry], own)
    return replace(unlearned, space=space, own=own.astype(np.float16), centre=centre.astype(np.float16))


def reliability(picked: Ints, right: NDArray[np.bool_], rows: int) -> NDArray[np.float16]:
    """The log-odds that each row is right when a query picks it as its entry, (rows,), smoothed and cut.

    ``picked``, ``right`` (m,): the row that each training query picked, and whether it was right. An entry that no
    query picked has the mean rate.
    """
    mean = (right.sum() + 0.5) / (len(right) + 1)
    asked = np.bincount(picked, minlength=rows) + PSEUDO_PICKS
    share = (np.bincount(picked, weights=right, minlength=rows) + PSEUDO_PICKS * mean) / asked
    return np.asarray(np.log(share / (1 - share)).clip(-MOST_RELIABLE, MOST_RELIABLE), np.float16)


def count_words(pairs: WordPairs, data: Labelled, entries: Ints, queries: Ints, fold: Ints) -> None:
    """Adds the pairs of each training query and its nearest entries, without itself, to the pairs that word weights are
    counted from. ``fold`` (len(queries),): the fold of each query."""
    found, places = nearest_entries_of(data, entries, Scorer.unlearned(len(entries)), queries, NEIGHBOURS)
    fold_of = np.full(len(data.groups), -1)
    fold_of[queries] = fold
    same = found.group == data.groups[queries][:, None]
    first, pairs.queries = pairs.queries, pairs.queries + len(queries)
    for i, j in np.argwhere((found.group >= 0) & (found.similarity >= WORDS_FROM)).tolist():
        query, entry = int(queries[i]), int(entries[places[i, j]])
        of_query, of_entry = int(fold_of[query]), int(fold_of[entry])
        folds = of_query, of_entry if of_entry >= 0 else of_query
        pairs.add(data.tokens[query], data.tokens[entry], bool(same[i, j]), first + i, folds)


def describe(
    data: Labelled, entries: Ints, scorer: Scorer, queries: Ints, k: int = NEIGHBOURS
) -> tuple[Floats, Ints, Ints]:
    """Features (m, len(FEATURES)) of the queries against the entries, and for each query the rows of the picked and of
    the nearest entry, (m,) each.

    A query that is itself an entry is not among its own neighbours. Memory: QUERY_BLOCK x entries similarities at a
    time.
    """
    rows: list[Floats] = [np.empty((0, len(FEATURES)))]
    picked: list[Ints] = [np.empty(0, np.int64)]
    first: list[Ints] = [np.empty(0, np.int64)]
    entry_tokens = [data.tokens[int(e)] for e in entries]
    for start in range(0, len(queries), QUERY_BLOCK):
        part = queries[start : start + QUERY_BLOCK]
        found, places = nearest_entries_of(data, entries, scorer, part, k)
        pick, out = features(found, [data.tokens[int(q)] for q in part], entry_tokens, places, scorer.words)
        rows.append(out)
        picked.append(entries[places[np.arange(len(part)), pick]])
        first.append(entries[places[:, 0]])
    return np.concatenate(rows), np.concatenate(picked), np.concatenate(first)


def nearest_entries_of(data: Labelled, entries: Ints, scorer: Scorer, queries: Ints, k: int) -> tuple[Neighbours, Ints]:
    """The k nearest entries of each query, best first, without the query itself; and their places in ``entries``.

    By numerics.nearest_neighbours: all pairs in blocks; beyond 100,000 x 100,000 pairs, an index with a measured recall
    of at least 98%.
    """
    place_of = np.full(len(data.groups), -1)
    place_of[entries] = np.arange(len(entries))
    itself = place_of[queries][:, None]
    found = neighbours.nearest_neighbours(data.vectors[queries], data.vectors[entries], k + 1)
    own = found.places == itself
    order = np.argsort(own, axis=1, kind="stable")[:, :k]  # itself last, and cut off where there are k others
    near = np.take_along_axis(found.places, order, 1)
    cosine = np.take_along_axis(found.cosine, order, 1)
    alone = np.take_along_axis(own, order, 1)
    group = np.where(alone, -1, data.groups[entries][near])
    rely = scorer.reliability.astype(np.float32)[near]
    if scorer.space is None:
        return Neighbours(cosine, group, cosine, cosine, rely), near
    here = scorer.space.project(data.vectors[queries])
    own = np.einsum("nr,nkr->nk", here, scorer.own.astype(np.float32)[near])
    centre = np.einsum("nr,nkr->nk", here, scorer.centre.astype(np.float32)[near])
    return Neighbours(cosine, group, own, centre, rely), near


def training_rows(
    data: Labelled,
    entries: Ints,
    known: Ints,
    queries: Ints,
    fold: Ints,
    spaces: Sequence[Space | None] | None = None,
    words: Sequence[Mapping[str, float]] = (),
) -> tuple[Floats, NDArray[np.bool_], Ints]:
    """Cross-fitted features of the queries (m, len(FEATURES)), their labels (m,) and the rows of the entries that they
    picked (m,). The features of each fold use what was learned without that fold.

    A label still has some influence on its own features: it is part of the spaces that pick for the other folds, and
    these picks make entries reliable. One space per pair of folds would remove this, at five times the work.

    ``known``: rows that a space and centres may be learned from (log queries and entries). ``fold`` (m,): the fold of
    each query, from 0. ``spaces``: for each fold a space learned without its rows, perhaps on other agent types too;
    None: they are learned from ``known``. ``words``: the same of word weights; empty: none.
    """
    rows = np.empty((len(queries), len(FEATURES)))
    picked = np.empty(len(queries), np.int64)
    for f in np.unique(fold):
        mine = queries[fold == f]
        known_without = known[~np.isin(known, mine)]
        if spaces is None:
            scorer = learn_scorer(data, entries, known_without)
        else:
            scorer = place_entries(data, entries, known_without, spaces[f])
        scorer = replace(scorer, words=words[f] if words else {})
        rows[fold == f], picked[fold == f], _ = describe(data, entries, scorer, mine)
    right = data.same(queries, picked)
    # Reliability changes no pick, so it can be estimated from the picks of the other folds once all are known.
    for f in np.unique(fold):
        others = reliability(picked[fold != f], right[fold != f], len(data.groups))
        rows[fold == f, FEATURES.index("reliability")] = others[picked[fold == f]]
    return rows, right, picked


def fit_model(
    rows: Floats,
    right: NDArray[np.bool_],
    fold: Ints,
    penalties: Sequence[float] = PENALTIES,
    prior: MatchModel | None = None,
) -> tuple[MatchModel, NDArray[np.float64], float]:
    """The model, its out-of-fold scores on these rows, and their mean log loss.

    ``rows`` (n, features), ``right`` and ``fold`` (n,). ``prior``: a model fitted on OTHER agent types, towards which
    the weights may be pulled instead of towards zero. The penalty, and whether it pulls towards the prior, are those
    with the least out-of-fold log loss; so unlike agent types do not harm each other. Raises ValueError without
    penalties.
    """
    best: tuple[float, float, MatchModel | None, NDArray[np.float64]] | None = None
    for towards in (None, prior) if prior else (None,):
        for penalty in penalties:
            scores = np.empty(len(right))
            for f in np.unique(fold):
                out = fold == f
                scores[out] = logistic(rows[~out], right[~out], penalty, towards).score(rows[out])
            loss = log_loss(scores, right)
            if best is None or loss < best[0]:
                best = (loss, penalty, towards, scores)
    if best is None:
        raise ValueError("no penalty to choose from")
    return logistic(rows, right, best[1], best[2]), best[3], best[0]
