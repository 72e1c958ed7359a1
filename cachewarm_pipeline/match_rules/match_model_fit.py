"""Fits the match model: a logistic regression on the features, its penalty chosen by cross-validation.

The labelled log is used twice without harm: each query's features are made with a learned space, answer centres, word
weights and reliabilities from which that query was left out (cross-fitting), and with itself left out of its own
neighbours where it is an entry. So
the queries that chose the entries and those that are kept for fitting may both be fitted on; only the certifying part
must stay unseen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from cachewarm_client.learned_space import Space, unit
from cachewarm_client.match_features import FEATURES, VERSION, Floats, Ints, Neighbours, features
from cachewarm_client.match_model import MatchModel
from cachewarm_client.match_rules import NEIGHBOURS
from cachewarm_client.words import Tokens
from numpy.typing import NDArray

from cachewarm_pipeline.match_rules.space_learning import RANK, group_sums, learn_space
from cachewarm_pipeline.match_rules.word_weights import WordPairs
from cachewarm_pipeline.numerics import nearest_neighbours as neighbours

FOLDS = 5
PENALTIES = (1.0, 10.0, 100.0)
BLOCK = 1024

PSEUDO_PICKS = 3.0
"""Picks at the mean rate that every entry begins with, before its own say how reliable it is."""

MOST_RELIABLE = 4.0
"""Log-odds beyond which reliability is cut: 98% right, more than the few picks of one entry can prove."""

WORDS_FROM = 0.5
"""Least cosine of a pair that word weights are counted in: further away, all words differ and so do the answers."""


@dataclass(frozen=True)
class Labelled:
    """Queries and entries of one agent_type: one row each, no text twice.

    ``vectors`` float32 (n, d), unit rows. ``groups`` (n,): the answer group by the judge; -1 where it is not known,
    which only rows outside ``known`` may have. ``tokens``: of each row. ``judge``: whether the answers of rows (m,)
    and of entries' rows (m,) are equivalent; None: the same group says so.
    """

    vectors: Floats
    groups: Ints
    tokens: Sequence[Tokens]
    judge: Callable[[Ints, Ints], NDArray[np.bool_]] | None = None

    def same(self, queries: Ints, entries: Ints) -> NDArray[np.bool_]:
        """Whether each entry's answer is right for its query, bool (m,)."""
        if self.judge:
            return self.judge(queries, entries)
        return np.asarray(self.groups[queries] == self.groups[entries])


@dataclass(frozen=True)
class Scorer:
    """What serving needs besides the model: the space and, for each entry, its vector and its answer's centre in it
    (n, rank) and its reliability (n,), in half precision as they are published; and the weights of differing words."""

    space: Space | None
    own: NDArray[np.float16]
    centre: NDArray[np.float16]
    reliability: NDArray[np.float16]
    words: Mapping[str, float]

    @classmethod
    def unlearned(cls, entries: int) -> "Scorer":
        """Of so many entries of which nothing is known but their own vectors."""
        none = np.empty((entries, 0), np.float16)
        return cls(None, none, none, np.zeros(entries, np.float16), {})


def learn_scorer(data: Labelled, entries: Ints, known: Ints, rank: int = RANK) -> Scorer:
    """The space learned from the rows ``known``, and the entries in it."""
    return place_entries(data, entries, known, learn_space(data.vectors[known], data.groups[known], rank))


def place_entries(data: Labelled, entries: Ints, known: Ints, space: Space | None) -> Scorer:
    """The entries' vectors in a learned space. The centre of an answer is the mean of its known rows; of an answer
    without any, the entry itself."""
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
    """Of each row as an entry the log-odds that it is right when it is picked, (rows,), smoothed and cut.

    ``picked``, ``right`` (m,): the row that each training query picked, and whether it was right. An entry that nobody
    picked has the mean rate.
    """
    mean = (right.sum() + 0.5) / (len(right) + 1)
    asked = np.bincount(picked, minlength=rows) + PSEUDO_PICKS
    share = (np.bincount(picked, weights=right, minlength=rows) + PSEUDO_PICKS * mean) / asked
    return np.asarray(np.log(share / (1 - share)).clip(-MOST_RELIABLE, MOST_RELIABLE), np.float16)


def count_words(pairs: WordPairs, data: Labelled, entries: Ints, queries: Ints, fold: Ints) -> None:
    """Adds each training query with its nearest entries, itself left out, to the pairs that word weights come from."""
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
    """Features (m, len(FEATURES)) of the queries against the entries, and the rows of the picked and of the nearest
    entry of each, (m,).

    A query that is itself an entry is left out of its own neighbours. Memory: BLOCK x entries similarities at a time.
    """
    rows: list[Floats] = [np.empty((0, len(FEATURES)))]
    picked: list[Ints] = [np.empty(0, np.int64)]
    first: list[Ints] = [np.empty(0, np.int64)]
    entry_tokens = [data.tokens[int(e)] for e in entries]
    for start in range(0, len(queries), BLOCK):
        part = queries[start : start + BLOCK]
        found, places = nearest_entries_of(data, entries, scorer, part, k)
        pick, out = features(found, [data.tokens[int(q)] for q in part], entry_tokens, places, scorer.words)
        rows.append(out)
        picked.append(entries[places[np.arange(len(part)), pick]])
        first.append(entries[places[:, 0]])
    return np.concatenate(rows), np.concatenate(picked), np.concatenate(first)


def nearest_entries_of(data: Labelled, entries: Ints, scorer: Scorer, queries: Ints, k: int) -> tuple[Neighbours, Ints]:
    """The k nearest entries of each query, best first, itself left out; and their places in ``entries``.

    By numerics.nearest_neighbours: all pairs in blocks, past 100,000 x 100,000 an index with a measured recall of at
    least 98%.
    """
    place_of = np.full(len(data.groups), -1)
    place_of[entries] = np.arange(len(entries))
    itself = place_of[queries][:, None]
    found = neighbours.nearest_neighbours(data.vectors[queries], data.vectors[entries], k + 1)
    own = found.places == itself
    order = np.argsort(own, axis=1, kind="stable")[:, :k]  # the query itself goes last, and out where there are enough
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
    """Cross-fitted features, labels and picked entries' rows of the log queries: those of each fold by what was learned
    without the fold. (A label still has a part in the spaces that pick for the other folds, whose picks make entries
    reliable: spaces for each two folds would end that, at five times the work.)

    ``known``: rows that a space and centres may be learned from (log queries and entries). ``fold`` (len(queries),):
    0.. of each. ``spaces``: one a fold, learned on more than this agent_type, without the fold's rows; ``words``: the
    same, or no weights of words.
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
    # Reliability moves no pick, so it can be told from the picks of the other folds once they are all known.
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

    ``prior``: a model fitted on OTHER agent types. Weights may then be pulled towards its instead of towards zero. What
    pulls, and how hard, is what has the least out-of-fold log loss: unlike agent types thus do not harm each other.
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


def log_loss(scores: Floats, right: NDArray[np.bool_]) -> float:
    """Mean of -log P(the label) at these log-odds, in nats."""
    return float(np.logaddexp(0, np.where(right, -scores, scores)).mean())


def logistic(rows: Floats, right: NDArray[np.bool_], penalty: float, prior: MatchModel | None = None) -> MatchModel:
    """Ridge-penalised logistic regression by Newton steps, on standardised features; towards ``prior`` where given.

    Half a right and half a wrong example are added at the mean, so that labels of one kind only still give a finite
    intercept. A feature that never varies gets weight 0.
    """
    centre, scale = rows.mean(0), rows.std(0)
    flat = scale < 1e-9
    z = np.column_stack((np.ones(len(rows)), np.where(flat, 0.0, (rows - centre) / np.where(flat, 1.0, scale))))
    ridge = np.full(z.shape[1], penalty)
    ridge[0] = 0.0
    weights = np.zeros(z.shape[1])
    known = prior.score(rows) if prior else np.zeros(len(rows))
    if not prior:
        share = (right.sum() + 0.5) / (len(right) + 1)
        weights[0] = np.log(share / (1 - share))

    def loss(w: Floats) -> float:
        line = z @ w + known
        # + the two half examples at the mean, where the line is the intercept
        data = np.logaddexp(0, np.where(right, -line, line)).sum()
        return float(data + 0.5 * (np.logaddexp(0, -w[0]) + np.logaddexp(0, w[0])) + 0.5 * (ridge * w * w).sum())

    now = loss(weights)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(z @ weights + known, -35, 35)))
        p0 = 1 / (1 + np.exp(-np.clip(weights[0], -35, 35)))
        slope = z.T @ (right - p) - ridge * weights
        slope[0] += 0.5 - p0
        bend = (z * (p * (1 - p))[:, None]).T @ z + np.diag(ridge + 1e-9)
        bend[0, 0] += p0 * (1 - p0)
        step = np.linalg.solve(bend, slope)
        size = 1.0
        while size > 1e-4 and loss(weights + size * step) > now:
            size /= 2
        weights = weights + size * step
        after = loss(weights)
        if now - after < 1e-9 * (1 + abs(now)):
            break
        now = after
    slopes = np.where(flat, 0.0, weights[1:] / np.where(flat, 1.0, scale))
    intercept = float(weights[0] - (slopes * centre).sum())
    if prior:
        slopes, intercept = slopes + np.asarray(prior.weights), intercept + prior.intercept
    return MatchModel(VERSION, intercept, tuple(float(w) for w in slopes), penalty)
