"""Whether the answers of a query merely vary, change over time, or differ by user: empirical Bayes over an agent_type.

Each query is of one of three classes, and each has a rate at which two of its answers disagree:

    stable      one rate a, whatever the days and users
    over time   rate a for pairs close in time, a higher rate b for pairs far apart (for some distance, or some day)
    by user     rate a for pairs of one user, a higher rate c for pairs of two users

The rates have Beta priors that all queries of the agent_type share, so a query with few answers is judged with what is
known about the others. The shares of the classes are measured on the log too, apart for prompts that ask for what
changes. Everything is fitted together by EM with Beta-binomial likelihoods in closed form.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.answers.answer_pairs import CUTS, DISTANCES, QueryPairs

Floats = NDArray[np.float64]

STABLE, OVER_TIME, BY_USER = 0, 1, 2

_ONCE = len(DISTANCES)
_WAYS = np.array([*range(_ONCE), *[_ONCE] * CUTS])
"""The way of change of each shape: at each of the distances, or once."""

_ROUNDS = 30
_SHARES = np.array([8.0, 1.0, 1.0])
"""Queries that the shares of the classes start from: most answers do not change."""
_POOLED = 20.0
"""Queries for which the shares of all prompts count in those of each kind of prompt."""
_NOISE = (0.3, 3.0)
_CHANGED = (0.8, 4.0)
"""Mean and strength that the priors of a, and of b and c, start from, and that are worth _PRIOR_QUERIES queries."""
_PRIOR_QUERIES = 5.0
_STRENGTH = (1.0, 50.0)
_LEAST_SCATTER = 0.25
"""Probabilities scatter less than yes or no, so each pair says more; but never more than this allows."""


@dataclass(frozen=True, slots=True)
class ChangeFit:
    """The change model of one agent_type, fitted; n queries."""

    posterior: Floats
    """(n, 3) probability of each class."""
    shape: NDArray[np.int64]
    """(n,) the likeliest shape of change over time."""
    near: Floats
    """(n, 3) shrunk rate a if the query is of each class."""
    far: Floats
    """(n, 3) shrunk rate a, b and c: what answers far apart, or of two users, disagree at."""


def fit_changes(queries: Sequence[QueryPairs], asks_for_change: NDArray[np.bool_]) -> ChangeFit:
    """The change model of an agent_type. ``asks_for_change`` (n,): prompts that ask for what changes."""
    total, shapes, users = (np.array([getattr(q, name) for q in queries]) for name in ("total", "shapes", "users"))
    seen, expected = np.array([query.scatter for query in queries]).sum(axis=0)
    sharper = 1 / np.clip(seen / expected if expected > 0 else 1.0, _LEAST_SCATTER, 1.0)
    total, shapes, users = total * sharper, shapes * sharper, users * sharper
    valid = shapes[:, :, 0, 0] > 0
    possible = np.array([True, bool(valid.any()), bool((users[:, 0, 0] > 0).any())])
    # What cannot be seen in an agent_type at all is not claimed for any of its queries.
    shares = np.tile(np.where(possible, _SHARES, 0.0) / _SHARES[possible].sum(), (2, 1))
    # The cuts of a query share one weight, and so do the distances that it can have.
    copies = np.where(_WAYS == _ONCE, np.maximum(valid[:, _WAYS == _ONCE].sum(axis=1), 1)[:, None], 1)
    weights = np.full(_ONCE + 1, 1 / (_ONCE + 1))
    a, b, c = _NOISE, _CHANGED, _CHANGED
    stratum = asks_for_change.astype(np.int64)
    for _ in range(_ROUNDS):
        by_shape = _higher(shapes[:, :, 0], shapes[:, :, 1], a, b)
        by_shape = np.where(valid, by_shape + np.log(weights[_WAYS] / copies), -np.inf)
        over_time = np.logaddexp.reduce(by_shape, axis=1)
        by_user = np.where(users[:, 0, 0] > 0, _higher(users[:, 0], users[:, 1], a, c), -np.inf)
        with np.errstate(divide="ignore"):
            score = np.stack([_marginal(total, a), over_time, by_user], axis=1) + np.log(shares)[stratum]
        posterior = np.exp(score - np.logaddexp.reduce(score, axis=1)[:, None])
        shape = by_shape.argmax(axis=1)
        best = shapes[np.arange(len(shapes)), shape]
        # From the stable queries alone: one wrong class would otherwise make the noise look like change.
        a = _prior(total, posterior[:, STABLE], _NOISE)
        b = _above(_prior(best[:, 1], posterior[:, OVER_TIME], _CHANGED), a)
        c = _above(_prior(users[:, 1], posterior[:, BY_USER], _CHANGED), a)
        shares = _shares(posterior, stratum, possible)
        weights = _way_weights(by_shape, over_time, posterior[:, OVER_TIME])
    near = np.stack([_rate(cell, a) for cell in (total, best[:, 0], users[:, 0])], axis=1)
    far = np.stack([near[:, 0], _rate(best[:, 1], b), _rate(users[:, 1], c)], axis=1)
    return ChangeFit(posterior, shape, near, np.maximum(near, far))


def _marginal(cell: Floats, prior: tuple[float, float]) -> Floats:
    """Log probability of a cell (..., 2) whose rate has the Beta prior (mean, strength)."""
    from scipy.special import betaln

    alpha, beta = prior[0] * prior[1], (1 - prior[0]) * prior[1]
    found: Floats = betaln(cell[..., 1] + alpha, cell[..., 0] - cell[..., 1] + beta) - betaln(alpha, beta)
    return found


def _higher(near: Floats, far: Floats, a: tuple[float, float], b: tuple[float, float]) -> Floats:
    """Log probability of the cells near and far where the rate of far is the higher one."""
    data = _chance_higher(near, far, a, b)
    nothing = np.zeros(2)
    return _marginal(near, a) + _marginal(far, b) + np.log(data) - np.log(_chance_higher(nothing, nothing, a, b))


def _chance_higher(near: Floats, far: Floats, a: tuple[float, float], b: tuple[float, float]) -> Floats:
    """Probability that the rate of ``far`` is higher than that of ``near``; the two Betas as normal."""
    from scipy.special import ndtr

    (low, spread), (high, other) = _moments(near, a), _moments(far, b)
    found: Floats = np.clip(ndtr((high - low) / np.sqrt(spread + other)), 1e-9, 1.0)
    return found


def _moments(cell: Floats, prior: tuple[float, float]) -> tuple[Floats, Floats]:
    strength = cell[..., 0] + prior[1]
    mean = (cell[..., 1] + prior[0] * prior[1]) / strength
    return mean, mean * (1 - mean) / (strength + 1) + 1e-12


def _rate(cell: Floats, prior: tuple[float, float]) -> Floats:
    return _moments(cell, prior)[0]


def _prior(cells: Floats, weight: Floats, start: tuple[float, float]) -> tuple[float, float]:
    """Mean and strength of the Beta prior from the weighted cells (n, 2), by moments, shrunk to ``start``."""
    mean0, strength0 = start
    facts = cells[:, 0]
    known = facts > 0
    facts, weight, rate = facts[known], weight[known], cells[known, 1] / facts[known]
    per_query = np.minimum(facts, strength0)  # one query with many answers must not be the prior of all
    mean = (weight @ (per_query * rate) + _PRIOR_QUERIES * mean0) / (weight @ per_query + _PRIOR_QUERIES)
    mean = float(np.clip(mean, 0.005, 0.995))
    more = np.maximum(facts - 1, 0)
    excess = weight @ (facts * (rate - mean) ** 2) / (mean * (1 - mean)) - weight.sum()
    within = (excess + _PRIOR_QUERIES / (1 + strength0)) / (weight @ more + _PRIOR_QUERIES)
    return mean, float(np.clip(1 / max(within, 1e-6) - 1, *_STRENGTH))


def _above(prior: tuple[float, float], noise: tuple[float, float]) -> tuple[float, float]:
    """The prior of answers that changed: at least a quarter of the way from the noise to certain disagreement."""
    return max(prior[0], noise[0] + (1 - noise[0]) / 4), max(prior[1], 2.0)


def _way_weights(by_shape: Floats, over_time: Floats, weight: Floats) -> Floats:
    """Shares of the ways of change, from the queries that change over time (``weight``) and one query for each way."""
    own = np.exp(by_shape - np.where(np.isfinite(over_time), over_time, 0.0)[:, None]) * weight[:, None]
    found = np.bincount(_WAYS, own.sum(axis=0)) + 1.0
    shares: Floats = found / found.sum()
    return shares


def _shares(posterior: Floats, stratum: NDArray[np.int64], possible: NDArray[np.bool_]) -> Floats:
    """Shares of the classes (2, 3) for both kinds of prompts, shrunk to those of all prompts."""
    start = np.where(possible, _SHARES, 0.0)
    pooled = posterior.sum(axis=0) + start
    pooled /= pooled.sum()
    own = np.stack([posterior[stratum == kind].sum(axis=0) for kind in (0, 1)]) + _POOLED * pooled
    shares: Floats = own / own.sum(axis=1, keepdims=True)
    return shares
