"""The match rules of a plan from the labelled log: fitted on one part, certified on another, else exact hits only.

Every agent_type has a certificate of its own, also where its weights are borrowed from others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from cachewarm_client.certificate import Certificate
from cachewarm_client.match_features import Floats, Ints
from cachewarm_client.match_rules import MatchRule, MatchRules

from cachewarm_pipeline.match_rules.certification import certify, plan_thresholds, thresholds_without_fit
from cachewarm_pipeline.match_rules.match_model_fit import Labelled, Scorer, describe
from cachewarm_pipeline.match_rules.training import (
    LEAST_TO_FIT,
    AgentLog,
    Bools,
    ModelFit,
    TrainedLog,
    cross_fit,
    fit_or_borrow,
    published_scorer,
)
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.numerics import binomial_bounds as binomial


@dataclass(frozen=True)
class Evidence:
    """What certified one agent_type: n held-out queries.

    Labels are 1 right, 0 wrong, -1 not labelled: no threshold that was tested would have served the query.
    """

    held_out: Ints
    """(n,): their rows."""
    score: Floats
    """(n,): the model's log-odds for the picked entry."""
    picked: Ints
    """(n,): the picked entry's row."""
    right: Ints
    """(n,): label of the picked entry."""
    similarity: Floats
    """(n,): cosine of the nearest entry."""
    nearest: Ints
    """(n,): the nearest entry's row."""
    nearest_right: Ints
    """(n,): label of the nearest entry."""


@dataclass(frozen=True)
class Learned:
    """The match rules of a plan, and what they rest on."""

    rules: MatchRules
    """A rule for each agent_type."""
    scorers: dict[str, Scorer] = field(default_factory=dict)
    """What the rules read of the entries, by agent_type; empty where no rule is learned."""
    evidence: dict[str, Evidence] = field(default_factory=dict)
    """By agent_type."""


def learn_rules(
    logs: Sequence[AgentLog],
    *,
    alpha: float,
    delta: float,
    seed: int = 0,
    progress: Callable[[str], object] = lambda _: None,
    too_noisy: Mapping[str, str] | None = None,
) -> Learned:
    """A rule for each agent_type. ``alpha``: the wrong-hit rate to certify; ``delta``: the chance that a certificate is
    wrong; ``seed``: draws the folds; ``too_noisy``: by agent_type, why its judge can hardly certify alpha, which is
    added to the reason of an agent_type with enough queries and no certificate.

    The rule is ``learned`` where the model is certified, else ``distance`` where the plain similarity is certified,
    else ``exact_only``. Each of the two certificates is wrong with probability delta at most, so a rule is wrong with
    probability 2 delta at most. The choice follows this order and never the number of hits, which would be a third use
    of the same labels.

    Memory: the rows once, the features of the training rows (0.3 KB each), and similarities in blocks.
    """
    from threadpoolctl import threadpool_limits

    # Many small products: on a busy machine, BLAS threads that wait for each other cost a hundred times what they save.
    with threadpool_limits(1, user_api="blas"):
        return _learn(logs, alpha, delta, seed, progress, too_noisy or {})


def _learn(
    logs: Sequence[AgentLog],
    alpha: float,
    delta: float,
    seed: int,
    progress: Callable[[str], object],
    too_noisy: Mapping[str, str],
) -> Learned:
    trained, space, words = cross_fit(logs, seed, progress)
    rules, scorers, evidence = {}, {}, {}
    for own in trained:
        name = own.log.agent_type
        fit = fit_or_borrow(own, trained)
        scorers[name] = published_scorer(own, space, words)
        progress(f"certifying {name!r} on {plural(len(own.log.held_out), 'held-out query', 'held-out queries')}")
        rules[name], evidence[name] = _certified(own, fit, scorers[name], alpha, delta, too_noisy.get(name, ""))
    for log in logs:
        if not log.entries:
            rules[log.agent_type] = MatchRule(log.agent_type, "exact_only", why="it has no warmed entries")
    default = MatchRule("", "exact_only", why="agent types without a plan have no certificate")
    if not any(rule.rule == "learned" for rule in rules.values()):
        return Learned(MatchRules(default, rules), {}, evidence)
    return Learned(MatchRules(default, rules, space, words), scorers, evidence)


def _certified(
    own: TrainedLog, fit: ModelFit | None, scorer: Scorer, alpha: float, delta: float, too_noisy: str
) -> tuple[MatchRule, Evidence]:
    log = own.log
    data, entries, name = log.data, np.arange(log.entries), log.agent_type
    rows, picked, nearest = describe(data, entries, scorer, log.held_out)
    score = fit.model.score(rows) if fit else np.full(len(log.held_out), -np.inf)
    similarity = rows_similarity(data, log.held_out, nearest)
    learned = right = None
    if fit:
        # Only queries of the log represent the traffic; entries do not, since they are hit exactly.
        thresholds = _thresholds(fit.scores[own.is_query], own.right[own.is_query], score, alpha, delta)
        right = _labels(data, log.held_out, picked, score, thresholds)
        learned = certify(thresholds, score, right == 1, alpha, delta)
    train = log.train
    _, _, near = describe(data, entries, scorer, train)
    tested = _thresholds(rows_similarity(data, train, near), data.same(train, near), similarity, alpha, delta)
    nearest_right = _labels(data, log.held_out, nearest, similarity, tested)
    plain = certify(tested, similarity, nearest_right == 1, alpha, delta)
    if right is None:
        right = np.full(len(log.held_out), -1)
    evidence = Evidence(log.held_out, score, picked, right, similarity, nearest, nearest_right)
    distance = None if plain.threshold is None else float(np.clip(1 - plain.threshold, 0, 2))
    if fit and learned and learned.threshold is not None:
        why = f"{_proof(learned)}; {fit.origin}"
        rule = MatchRule(name, "learned", distance, True, fit.model, learned, plain, why)
    elif distance is not None:
        rule = MatchRule(name, "distance", distance, True, None, plain, plain, f"plain distance: {_proof(plain)}")
    else:
        why = _why_not(learned or plain, own, alpha, delta)
        if too_noisy and len(log.held_out) >= binomial.fewest_trials(alpha, delta):
            why = f"{why}; {too_noisy}"
        rule = MatchRule(name, "exact_only", distance=plain, why=why)
    return rule, evidence


def rows_similarity(data: Labelled, queries: Ints, entries: Ints) -> Floats:
    """Cosine of each query with its entry, float64 (m,). ``queries``, ``entries`` (m,): rows of ``data``."""
    return np.asarray(np.einsum("nd,nd->n", data.vectors[queries], data.vectors[entries]), np.float64)


def _thresholds(fitted: Floats, right: Bools, held_out: Floats, alpha: float, delta: float) -> Floats:
    if len(fitted) >= LEAST_TO_FIT:
        return plan_thresholds(fitted, right, len(held_out), alpha, delta)
    return thresholds_without_fit(held_out, len(held_out), alpha, delta)


def _labels(data: Labelled, queries: Ints, entries: Ints, score: Floats, thresholds: Floats) -> Ints:
    """1 right, 0 wrong, -1 not labelled: the judge labels only queries that the loosest threshold would serve."""
    labels = np.full(len(queries), -1)
    if len(thresholds):
        asked = score >= thresholds.min()
        labels[asked] = data.same(queries[asked], entries[asked])
    return labels


def _proof(found: Certificate) -> str:
    return (
        f"{found.wrong} of {plural(found.hits, 'hit')} wrong among "
        f"{plural(found.queries, 'held-out query', 'held-out queries')}, "
        f"at most {found.upper:.2%} with {1 - found.delta:.0%} confidence"
    )


def _why_not(found: Certificate, own: TrainedLog, alpha: float, delta: float) -> str:
    fewest, wanted = binomial.fewest_trials(alpha, delta), f"{100 * alpha:.3g}%"
    if found.tested:
        return (
            f"not certified for {wanted}: {found.wrong} of {plural(found.hits, 'held-out hit')} wrong at the best "
            "threshold"
        )
    if found.queries < fewest:
        known = plural(found.queries, "held-out query", "held-out queries")
        return f"{known}; certifying {wanted} needs {plural(fewest, 'hit')}, all of them right"
    return (
        f"{int(own.right.sum()):,} of {plural(len(own.right), 'training query', 'training queries')} have a right "
        f"entry: no threshold would have the {plural(fewest, 'hit')} that certifying {wanted} needs "
        f"(confidence {1 - delta:.0%})"
    )
