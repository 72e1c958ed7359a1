"""Finds a threshold of a score at which the wrong-hit rate is at most alpha. The certificate is wrong with probability
delta at most.

Fixed-sequence testing (Bauer 1991; Angelopoulos et al. 2021, "learn then test"). The thresholds and their order are
fixed before any certifying label is seen. Each threshold is tested at the full delta, with an exact binomial test of
the hypothesis "the wrong-hit rate here is above alpha". The sequence ends at the first threshold whose hypothesis is
not rejected; the loosest threshold that passed is certified. A wrong certificate has to pass the first threshold at
which the hypothesis is true, which happens with probability delta at most. So no correction is needed, however many
thresholds are tested.

The unit of decision is a DISTINCT query that neither the entries nor the model have seen, with one label. Repeats of a
query share its label: counting them as evidence would break the promise. The promise is therefore about distinct unseen
queries that are served; a query that is asked a thousand times weighs as much as one asked once (the rate by lookups is
reported as well). It applies to traffic like the certifying part: after drift the certificate has to be made again.
"""

from collections.abc import Sequence

import numpy as np
from cachewarm_client.certificate import Certificate
from cachewarm_client.match_features import Floats
from numpy.typing import NDArray

from cachewarm_pipeline.numerics import binomial_bounds as binomial

STEP = 0.02
"""Each threshold has this share fewer hits than the next, looser one. Finer steps stop no earlier (1% and 0.5% were
measured) and gain little; steps coarser than 4% leave hits unserved."""

DELTA = 0.05
"""The largest delta to use. 1% is recommended: see benchmarks/match_rules.py."""

DISPROVED = 0.001
"""The fitting part disproves a threshold where its wrong hits would be less likely than this at a true rate of alpha:
one in a thousand."""


def plan_thresholds(
    scores: Floats, right: NDArray[np.bool_], queries: int, alpha: float, delta: float = DELTA, step: float = STEP
) -> NDArray[np.float64]:
    """Thresholds to test, strict to loose, from the part of the log that the MODEL was fitted on.

    ``scores``, ``right`` (n,): scores and labels of that part, preferably out of fold. ``queries``: size of the
    certifying part. Empty where the certifying part is too small to certify anything.

    The sequence starts at the threshold that the fitting part expects to pass most clearly. It does not start at the
    strictest one: too few hits certify nothing there, and one early wrong hit would end the sequence. (A start where
    the exact test has most power was no better.) The sequence ends where the fitting part itself disproves alpha:
    looser thresholds would not pass, and the judge need not label certifying queries for them. Choosing start or end
    by the certifying labels would break the promise.
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
    # This many wrong hits would be unlikely (p < DISPROVED) at a true rate of alpha.
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
    """Tests the thresholds, in the order given, on the certifying part.

    ``scores``, ``right`` (n,): one of each for every distinct query. A query is a hit where score >= threshold. The
    thresholds must not depend on these labels or scores. Where no threshold passes, the certificate has threshold None
    and the counts of the first one tested.
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
    """Thresholds to test where there is no labelled fitting part: 12 quantiles of unlabelled scores (n,), from twice
    the fewest hits that can certify alpha up to all ``queries``."""
    fewest = binomial.fewest_trials(alpha, delta)
    if not len(scores) or queries < fewest:
        return np.empty(0)
    shares = np.geomspace(min(1.0, 2 * fewest / queries), 1.0, 12)
    return np.asarray(np.unique(np.quantile(scores, np.clip(1 - shares, 0, 1)))[::-1], np.float64)
