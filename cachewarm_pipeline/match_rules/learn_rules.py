"""The match rules of a plan, from the labelled log: fitted on one part, certified on another, else exact hits only.

The pooled steps are the learned space and the weights that an agent_type may borrow; every certificate is its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from cachewarm_client.certificate import Certificate
from cachewarm_client.learned_space import Space
from cachewarm_client.match_features import Floats, Ints
from cachewarm_client.match_model import MatchModel
from cachewarm_client.match_rules import MatchRule, MatchRules
from numpy.typing import NDArray

from cachewarm_pipeline.match_rules.certification import certify, plan_thresholds, thresholds_without_fit
from cachewarm_pipeline.match_rules.match_model_fit import (
    FOLDS,
    Labelled,
    Scorer,
    count_words,
    describe,
    fit_model,
    logistic,
    place_entries,
    reliability,
    training_rows,
)
from cachewarm_pipeline.match_rules.space_learning import MAX_LEARN, learn_space
from cachewarm_pipeline.match_rules.word_weights import WordPairs
from cachewarm_pipeline.numerics import binomial_bounds as binomial

LEAST_TO_FIT = 60
"""Labelled queries that an agent_type needs for weights of its own; below, it borrows those of the others."""

LEAST_TO_BORROW = 300
"""Labelled queries of the others that borrowed weights must rest on."""

MOST_TO_BORROW = 10_000
"""And may rest on: two dozen weights are no better known from more."""

BORROWED_PENALTY = 10.0

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class AgentLog:
    """One agent_type: rows 0..entries-1 of ``data`` are its plan's entries, the rest are labelled queries that are no
    entries. ``train``, ``held``: row numbers of the queries that fit the model and of those that certify it.

    Answer groups are numbered over all agent types, so that none is shared by two.
    """

    agent_type: str
    data: Labelled
    entries: int
    train: Ints
    held: Ints


@dataclass(frozen=True)
class Evidence:
    """What certified one agent_type, a row a held-out query. ``picked`` and ``nearest``: rows of entries. The labels
    are -1 where the query was below every threshold that was tested, so that nobody had to be asked."""

    held: Ints
    score: Floats
    picked: Ints
    right: Ints
    similarity: Floats
    nearest: Ints
    nearest_right: Ints


@dataclass(frozen=True)
class Learned:
    """Rules; by agent_type what they read of the entries (nothing where no rule reads any) and evidence."""

    rules: MatchRules
    scorers: dict[str, Scorer] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)


@dataclass
class _Fitted:
    log: AgentLog
    rows: Floats
    right: Bools
    picked: Ints
    fold: Ints
    is_query: Bools


def learn_rules(
    logs: Sequence[AgentLog],
    *,
    alpha: float,
    delta: float,
    seed: int = 0,
    progress: Callable[[str], object] = lambda _: None,
) -> Learned:
    """One rule an agent_type. ``alpha``: the wrong-hit rate it is certified for; ``delta``: chance that a certificate
    is wrong.

    ``learned`` where the model is certified, else ``distance`` where the plain similarity is, else ``exact_only``; each
    of the two certificates is wrong with probability delta at most, so a rule is in at most 2 delta. The choice is by
    this order and never by the larger number of hits, which would be a third look at the same labels.

    Memory: the rows once, features of the training rows (0.3 KB each), and similarities in blocks.
    """
    from threadpoolctl import threadpool_limits

    # Many small products: BLAS threads that wait for each other on a busy machine cost a hundred times what they save.
    with threadpool_limits(1, user_api="blas"):
        return _learn(logs, alpha, delta, seed, progress)


def _learn(
    logs: Sequence[AgentLog], alpha: float, delta: float, seed: int, progress: Callable[[str], object]
) -> Learned:
    fitted, space, words = _fit(logs, seed, progress)
    rules, scorers, evidence = {}, {}, {}
    for own in fitted:
        name = own.log.agent_type
        others = [other for other in fitted if other is not own]
        found = _weights(own, others)
        scorers[name] = _scorer(own, space, words)
        progress(f"certifying {name!r} on {len(own.log.held):,} held-out queries")
        rules[name], evidence[name] = _certified(own, found, scorers[name], alpha, delta)
    for log in logs:
        if not log.entries:
            rules[log.agent_type] = MatchRule(log.agent_type, "exact_only", why="it has no warmed entries")
    keep = any(rule.rule == "learned" for rule in rules.values())
    default = MatchRule("", "exact_only", why="agent types without a plan have no certificate")
    if not keep:
        return Learned(MatchRules(default, rules), {}, evidence)
    return Learned(MatchRules(default, rules, space, words), scorers, evidence)


def _fit(
    logs: Sequence[AgentLog], seed: int, progress: Callable[[str], object]
) -> tuple[list[_Fitted], Space | None, dict[str, float]]:
    """Cross-fitted training rows of every agent_type that has entries; the space and the word weights they share."""
    usable = [log for log in logs if log.entries]
    rng = np.random.default_rng(seed)
    folds = {log.agent_type: rng.permutation(len(_trained(log))) % FOLDS for log in usable}
    spaces = [_pooled_space(usable, folds, without=f, rng=rng) for f in range(FOLDS)]
    space = _pooled_space(usable, folds, without=None, rng=rng)
    pairs = _pooled_pairs(usable, folds)
    words = [pairs.weights(without=f) for f in range(FOLDS)]
    fitted: list[_Fitted] = []
    for log in usable:
        progress(f"labelling {len(log.train):,} queries of {log.agent_type!r} to fit its match model")
        trained, fold = _trained(log), folds[log.agent_type]
        rows, right, picked = training_rows(log.data, np.arange(log.entries), trained, trained, fold, spaces, words)
        fitted.append(_Fitted(log, rows, right, picked, fold, trained >= log.entries))
    return fitted, space, pairs.weights()


def fitted_weights(
    logs: Sequence[AgentLog], seed: int = 0
) -> list[tuple[_Fitted, tuple[MatchModel, Floats, str] | None]]:
    """Each agent_type's training rows with its model, out-of-fold scores and their origin, as ``learn_rules`` makes
    them; no certifying query is looked at."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        fitted, _, _ = _fit(logs, seed, lambda _: None)
        return [(own, _weights(own, [other for other in fitted if other is not own])) for own in fitted]


def _trained(log: AgentLog) -> Ints:
    """Rows to fit on: entries (without themselves among their neighbours) and the training queries."""
    return np.concatenate((np.arange(log.entries if log.entries > 1 else 0), log.train)).astype(np.int64)


def _pooled_space(
    logs: Sequence[AgentLog], folds: Mapping[str, Ints], *, without: int | None, rng: np.random.Generator
) -> Space | None:
    vectors, groups = [], []
    for log in logs:
        rows = _trained(log)
        if without is not None:
            rows = rows[folds[log.agent_type] != without]
        vectors.append(log.data.vectors[rows])
        groups.append(log.data.groups[rows])
    if not vectors:
        return None
    order = rng.permutation(sum(map(len, groups)))  # learn_space takes the first rows of many
    return learn_space(np.concatenate(vectors)[order], np.concatenate(groups)[order])


def _pooled_pairs(logs: Sequence[AgentLog], folds: Mapping[str, Ints]) -> WordPairs:
    """Pairs for the word weights, of every so many training queries where there are more than the space takes."""
    step = max(1, -(-sum(len(_trained(log)) for log in logs) // MAX_LEARN))
    pairs = WordPairs()
    for log in logs:
        rows, fold = _trained(log)[::step], folds[log.agent_type][::step]
        count_words(pairs, log.data, np.arange(log.entries), rows, fold)
    return pairs


def _weights(own: _Fitted, others: Sequence[_Fitted]) -> tuple[MatchModel, Floats, str] | None:
    """The model, its out-of-fold scores of ``own.rows``, and where its weights come from."""
    known = sum(len(other.rows) for other in others)
    prior = None
    if known >= LEAST_TO_BORROW:
        step = -(-known // MOST_TO_BORROW)  # every so many: the work does not grow with the square of the agent types
        rows, right = (np.concatenate([getattr(o, part)[::step] for o in others]) for part in ("rows", "right"))
        prior = logistic(rows, right, BORROWED_PENALTY)
    if len(own.rows) >= LEAST_TO_FIT:
        model, scores, _ = fit_model(own.rows, own.right, own.fold, prior=prior)
        return model, scores, f"weights fitted on {len(own.rows):,} labelled queries"
    if prior:
        return prior, prior.score(own.rows), "weights borrowed from the other agent types"
    return None


def _scorer(own: _Fitted, space: Space | None, words: Mapping[str, float]) -> Scorer:
    """What serving reads of the entries: from all training rows, none left out."""
    log = own.log
    placed = place_entries(log.data, np.arange(log.entries), _trained(log), space)
    return replace(placed, reliability=reliability(own.picked, own.right, log.entries), words=words)


def _certified(
    own: _Fitted, found: tuple[MatchModel, Floats, str] | None, scorer: Scorer, alpha: float, delta: float
) -> tuple[MatchRule, Evidence]:
    log = own.log
    data, entries, name = log.data, np.arange(log.entries), log.agent_type
    rows, picked, nearest = describe(data, entries, scorer, log.held)
    score = found[0].score(rows) if found else np.full(len(log.held), -np.inf)
    similarity = rows_similarity(data, log.held, nearest)
    learned = right = None
    if found:
        # Only queries of the log stand for the traffic; entries do not, they are hit exactly.
        thresholds = _thresholds(found[1][own.is_query], own.right[own.is_query], score, alpha, delta)
        right = _labels(data, log.held, picked, score, thresholds)
        learned = certify(thresholds, score, right == 1, alpha, delta)
    trained = log.train
    _, _, near = describe(data, entries, scorer, trained)
    tested = _thresholds(rows_similarity(data, trained, near), data.same(trained, near), similarity, alpha, delta)
    nearest_right = _labels(data, log.held, nearest, similarity, tested)
    plain = certify(tested, similarity, nearest_right == 1, alpha, delta)
    if right is None:
        right = np.full(len(log.held), -1)
    evidence = Evidence(log.held, score, picked, right, similarity, nearest, nearest_right)
    distance = None if plain.threshold is None else float(np.clip(1 - plain.threshold, 0, 2))
    if found and learned and learned.threshold is not None:
        why = f"{_proof(learned)}; {found[2]}"
        rule = MatchRule(name, "learned", distance, True, found[0], learned, plain, why)
    elif distance is not None:
        rule = MatchRule(name, "distance", distance, True, None, plain, plain, f"plain distance: {_proof(plain)}")
    else:
        rule = MatchRule(name, "exact_only", distance=plain, why=_why_not(learned or plain, own, alpha, delta))
    return rule, evidence


def rows_similarity(data: Labelled, queries: Ints, entries: Ints) -> Floats:
    """Cosine of each query's row with an entry's row, float64 (m,)."""
    return np.asarray(np.einsum("nd,nd->n", data.vectors[queries], data.vectors[entries]), np.float64)


def _thresholds(fitted: Floats, right: Bools, held: Floats, alpha: float, delta: float) -> Floats:
    if len(fitted) >= LEAST_TO_FIT:
        return plan_thresholds(fitted, right, len(held), alpha, delta)
    return thresholds_without_fit(held, len(held), alpha, delta)


def _labels(data: Labelled, queries: Ints, entries: Ints, score: Floats, thresholds: Floats) -> Ints:
    """1 right, 0 wrong, -1 not asked: the judge is asked only about queries that the loosest threshold would serve."""
    labels = np.full(len(queries), -1)
    if len(thresholds):
        asked = score >= thresholds.min()
        labels[asked] = data.same(queries[asked], entries[asked])
    return labels


def _proof(found: Certificate) -> str:
    return (
        f"{found.wrong} of {found.hits:,} hits wrong among {found.queries:,} held-out queries, "
        f"at most {found.upper:.2%} with {1 - found.delta:.0%} confidence"
    )


def _why_not(found: Certificate, own: _Fitted, alpha: float, delta: float) -> str:
    fewest = binomial.fewest_trials(alpha, delta)
    if found.tested:
        return (
            f"nothing certified for {alpha:.3g}: {found.wrong} of {found.hits:,} held-out hits wrong at the most "
            "promising threshold"
        )
    if found.queries < fewest:
        return f"{found.queries:,} held-out queries; it takes {fewest} hits, all right, to certify {alpha:.3g}"
    return (
        f"{int(own.right.sum()):,} of {len(own.right):,} training queries have a right entry: no threshold promises "
        f"the {fewest} hits that it takes to certify {alpha:.3g} (confidence {1 - delta:.0%})"
    )
