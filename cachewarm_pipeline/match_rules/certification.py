"""Which threshold of a score keeps the wrong-hit rate under alpha, with a promise: wrong in at most delta of the cases.

Fixed-sequence testing (Bauer 1991; Angelopoulos et al. 2021, "learn then test"). The thresholds and their order are
fixed before one certifying label is seen. Each is tested at the full delta with an exact binomial test of "the
wrong-hit rate here is above alpha"; the first that is not rejected ends the sequence; the loosest rejected one is
certified. The first threshold at which the hypothesis is true must be passed to do harm, and that has probability delta
at most: so no correction for the number of thresholds is due, whatever their number.

The decision unit is a DISTINCT query that the entries and the model have not seen, one label each. Repeats of one query
carry one label, not many: counting them as evidence would break the promise. What is promised is thus the rate among
distinct unseen queries that are served; a query asked a thousand times weighs as much as one asked once (the rate by
lookups is reported beside it). It holds for traffic like the certifying part: after drift it has to be made again.
"""

from collections.abc import Sequence

import numpy as np
from cachewarm_client.certificate import Certificate
from cachewarm_client.match_features import Floats
from numpy.typing import NDArray

from cachewarm_pipeline.numerics import binomial_bounds as binomial

STEP = 0.02
"""Share of the hits by which one threshold is stricter than the next. Finer stops no earlier (1% and 0.5% measured) and
gains little; coarser than 4% leaves hits unserved."""
DELTA = 0.05
"""The most that may be allowed. 1% is advised: see benchmarks/match_rules.py."""

DISPROVED = 0.001
"""Chance under which the fitting part disproves a threshold: it would have to be wrong about it a thousand to one."""


def plan_thresholds(
    scores: Floats, right: NDArray[np.bool_], queries: int, alpha: float, delta: float = DELTA, step: float = STEP
) -> NDArray[np.float64]:
    """Thresholds to test, strict to loose, from the part of the log that the MODEL was fitted on (best: out of fold).

    ``scores``, ``right``: that part's. ``queries``: how many the certifying part holds. The sequence starts where that
    part foretells the clearest pass, not at the strictest threshold, where too few hits could certify anything and one
    early wrong one would end it all (starting where the exact test has most power was no better). It ends where that
    part itself disproves alpha: looser ones would not pass, and whoever labels the certifying part need not be asked
    about them. Taking start or end from the certifying labels themselves would break the promise.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = np.asarray(scores, np.float64)[order]
    wrong = np.cumsum(~right[order])
    n = len(ranked)
    if n == 0 or queries == 0:
        return np.empty(0)
    places: list[int] = []
    size = float(n)
    while size >= 1 and size / n * queries >= binomial.fewest_trials(alpha, delta):
        places.append(int(size) - 1)
        size *= 1 - step
    at = np.array(sorted(place for place in set(places) if np.isfinite(ranked[place])), np.int64)
    # A tail of less than DISPROVED: so many wrong ones would be a wonder if the rate were alpha.
    at = at[[binomial.cdf(int(wrong[place]) - 1, int(place) + 1, alpha) <= 1 - DISPROVED for place in at]]
    if not len(at):
        return np.empty(0)
    hits = at + 1.0
    rate = (wrong[at] + 0.5) / (hits + 1)
    start = int(np.argmax((alpha - rate) * np.sqrt(hits)))
    return np.asarray(np.unique(ranked[at[start:]])[::-1], np.float64)


def certify(
    thresholds: Sequence[float] | Floats,
    scores: Floats,
    right: NDArray[np.bool_],
    alpha: float,
    delta: float = DELTA,
) -> Certificate:
    """Tests the thresholds in the order given on the certifying part: one score and label for each distinct query.

    A query is a hit where score >= threshold. The thresholds must not depend on these labels or scores.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    ranked = -np.asarray(scores, np.float64)[order]
    wrong_so_far = np.concatenate(([0], np.cumsum(~np.asarray(right, bool)[order])))
    best: tuple[float | None, int, int] = (None, 0, 0)
    tested = 0
    for threshold in thresholds:
        hits = int(np.searchsorted(ranked, -threshold, side="right"))
        wrong = int(wrong_so_far[hits])
        tested += 1
        if binomial.cdf(wrong, hits, alpha) > delta:
            if best[0] is None:
                best = (None, hits, wrong)
            break
        best = (float(threshold), hits, wrong)
    threshold, hits, wrong = best
    return Certificate(
        alpha, delta, threshold, hits, wrong, binomial.upper_bound(wrong, hits, delta), len(ranked), tested
    )


def thresholds_without_fit(scores: Floats, queries: int, alpha: float, delta: float = DELTA) -> NDArray[np.float64]:
    """A sequence where no labelled fitting part exists: quantiles of unlabelled scores, from the fewest hits that can
    certify to all of them."""
    fewest = binomial.fewest_trials(alpha, delta)
    if not len(scores) or queries < fewest:
        return np.empty(0)
    shares = np.geomspace(min(1.0, 2 * fewest / queries), 1.0, 12)
    return np.asarray(np.unique(np.quantile(scores, np.clip(1 - shares, 0, 1)))[::-1], np.float64)
