"""Trains the match models of all agent types, from entries and training queries. No certifying query is read.

Two things are pooled over the agent types: the learned space with the word weights, and the weights that an agent_type
with few labelled queries borrows from the others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from cachewarm_client.learned_space import Space
from cachewarm_client.match_features import Floats, Ints
from cachewarm_client.match_model import MatchModel
from numpy.typing import NDArray

from cachewarm_pipeline.match_rules.logistic_regression import logistic
from cachewarm_pipeline.match_rules.match_model_fit import (
    FOLDS,
    Labelled,
    Scorer,
    count_words,
    fit_model,
    place_entries,
    reliability,
    training_rows,
)
from cachewarm_pipeline.match_rules.space_learning import MAX_LEARN, learn_space
from cachewarm_pipeline.match_rules.word_weights import WordPairs
from cachewarm_pipeline.number_format import plural

LEAST_TO_FIT = 60
"""Labelled queries that an agent_type needs for weights of its own; with fewer it borrows those of the others."""

LEAST_TO_BORROW = 300
"""Least number of the others' labelled queries that borrowed weights may rest on."""

MOST_TO_BORROW = 10_000
"""Largest number of these: more do not improve 24 weights."""

BORROWED_PENALTY = 10.0

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class AgentLog:
    """The entries and labelled queries of one agent_type."""

    agent_type: str
    data: Labelled
    """Rows 0..entries-1 are the plan's entries, the others are labelled queries that are not entries. Answer groups are
    numbered over all agent types, so that no two agent types share one."""
    entries: int
    """Number of the plan's entries."""
    train: Ints
    """Row numbers of the queries that fit the model."""
    held_out: Ints
    """Row numbers of the queries that certify it."""


@dataclass(frozen=True)
class TrainedLog:
    """What one agent_type's model is fitted on, for n entries and training queries."""

    log: AgentLog
    rows: Floats
    """(n, features): cross-fitted features."""
    right: Bools
    """(n,): whether the picked entry is right."""
    picked: Ints
    """(n,): the picked entry's row."""
    fold: Ints
    """(n,): fold of each."""
    is_query: Bools
    """(n,): False for entries."""


@dataclass(frozen=True)
class ModelFit:
    """The match model of one agent_type."""

    model: MatchModel
    scores: Floats
    """(n,): out-of-fold scores of the rows of the TrainedLog."""
    origin: str
    """Where the weights come from, in words."""


def fit_models(logs: Sequence[AgentLog], seed: int = 0) -> list[tuple[TrainedLog, ModelFit | None]]:
    """For each agent_type with entries: its training rows and the model that ``learn_rules`` would fit on them, None
    where there are too few labelled queries. No certifying query is read."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        trained, _, _ = cross_fit(logs, seed, lambda _: None)
        return [(own, fit_or_borrow(own, trained)) for own in trained]


def cross_fit(
    logs: Sequence[AgentLog], seed: int, progress: Callable[[str], object]
) -> tuple[list[TrainedLog], Space | None, dict[str, float]]:
    """The cross-fitted training rows of every agent_type that has entries, and the space and the word weights that all
    of them share. ``seed`` draws the folds."""
    usable = [log for log in logs if log.entries]
    rng = np.random.default_rng(seed)
    folds = {log.agent_type: rng.permutation(len(_fitted_rows(log))) % FOLDS for log in usable}
    spaces = [_pooled_space(usable, folds, without=f, rng=rng) for f in range(FOLDS)]
    space = _pooled_space(usable, folds, without=None, rng=rng)
    pairs = _pooled_pairs(usable, folds)
    words = [pairs.weights(without=f) for f in range(FOLDS)]
    trained: list[TrainedLog] = []
    for log in usable:
        progress(f"labelling {plural(len(log.train), 'query', 'queries')} of {log.agent_type!r} to fit its match model")
        fitted, fold = _fitted_rows(log), folds[log.agent_type]
        rows, right, picked = training_rows(log.data, np.arange(log.entries), fitted, fitted, fold, spaces, words)
        trained.append(TrainedLog(log, rows, right, picked, fold, fitted >= log.entries))
    return trained, space, pairs.weights()


def fit_or_borrow(own: TrainedLog, trained: Sequence[TrainedLog]) -> ModelFit | None:
    """The model of one agent_type; None where it has fewer than LEAST_TO_FIT labelled queries and the others fewer than
    LEAST_TO_BORROW. ``trained``: all agent types, ``own`` among them."""
    others = [other for other in trained if other is not own]
    known = sum(len(other.rows) for other in others)
    prior = None
    if known >= LEAST_TO_BORROW:
        # Every step-th row: otherwise the work would grow with the square of the number of agent types.
        step = -(-known // MOST_TO_BORROW)
        rows, right = (np.concatenate([getattr(o, part)[::step] for o in others]) for part in ("rows", "right"))
        prior = logistic(rows, right, BORROWED_PENALTY)
    if len(own.rows) >= LEAST_TO_FIT:
        model, scores, _ = fit_model(own.rows, own.right, own.fold, prior=prior)
        return ModelFit(
            model, scores, f"weights fitted on {plural(len(own.rows), 'labelled query', 'labelled queries')}"
        )
    if prior:
        return ModelFit(prior, prior.score(own.rows), "weights borrowed from the other agent types")
    return None


def published_scorer(own: TrainedLog, space: Space | None, words: Mapping[str, float]) -> Scorer:
    """What serving reads of the entries, learned from all training rows."""
    log = own.log
    placed = place_entries(log.data, np.arange(log.entries), _fitted_rows(log), space)
    return replace(placed, reliability=reliability(own.picked, own.right, log.entries), words=words)


def _fitted_rows(log: AgentLog) -> Ints:
    """The rows to fit on: the training queries, and the entries where there are several (an entry is not among its own
    neighbours)."""
    return np.concatenate((np.arange(log.entries if log.entries > 1 else 0), log.train)).astype(np.int64)


def _pooled_space(
    logs: Sequence[AgentLog], folds: Mapping[str, Ints], *, without: int | None, rng: np.random.Generator
) -> Space | None:
    vectors, groups = [], []
    for log in logs:
        rows = _fitted_rows(log)
        if without is not None:
            rows = rows[folds[log.agent_type] != without]
        vectors.append(log.data.vectors[rows])
        groups.append(log.data.groups[rows])
    if not vectors:
        return None
    order = rng.permutation(sum(map(len, groups)))  # learn_space uses only the first MAX_LEARN rows
    return learn_space(np.concatenate(vectors)[order], np.concatenate(groups)[order])


def _pooled_pairs(logs: Sequence[AgentLog], folds: Mapping[str, Ints]) -> WordPairs:
    """The pairs that word weights are counted from: those of every step-th training query, so that there are no more
    queries than the learned space uses."""
    step = max(1, -(-sum(len(_fitted_rows(log)) for log in logs) // MAX_LEARN))
    pairs = WordPairs()
    for log in logs:
        rows, fold = _fitted_rows(log)[::step], folds[log.agent_type][::step]
        count_words(pairs, log.data, np.arange(log.entries), rows, fold)
    return pairs
