"""What a plan's match rules will serve, foreseen from the part of the log that trains them; no certifying label is
read.

The second pass of the selection asks it how far an entry reaches. The less likely a certificate is, the more do
entries count for their own text only, and the most asked ones are the best.
"""

from collections.abc import Sequence

import numpy as np
from cachewarm_client.match_features import Floats, Ints

from cachewarm_pipeline.match_rules.certification import plan_thresholds
from cachewarm_pipeline.match_rules.learn_rules import AgentLog, Bools, fitted_weights
from cachewarm_pipeline.match_rules.match_model_fit import Labelled
from cachewarm_pipeline.match_rules.reach_curve import NEVER, Reach, fit_curve
from cachewarm_pipeline.numerics import binomial_bounds as binomial
from cachewarm_pipeline.numerics.nearest_neighbours import block_rows


def foreseen_reach(logs: Sequence[AgentLog], *, alpha: float, delta: float, seed: int = 0) -> dict[str, Reach]:
    """By agent_type the chance that a query is served, rightly, by cosine of the nearest entry with its answer.

    Served: its out-of-fold score reaches the threshold that is foreseen to be certified, times the chance that it is.
    """
    found = {}
    for fitted, weights in fitted_weights(logs, seed):
        own = fitted.log
        found[own.agent_type] = NEVER
        if weights is None:
            continue
        scores, right = weights[1][fitted.is_query], fitted.right[fitted.is_query]
        chance, threshold = _foreseen(scores, right, len(own.held), alpha, delta)
        if not chance:
            continue
        cosine = _nearest_right(own.data, own.entries, own.train)
        there = np.isfinite(cosine)
        curve = fit_curve(cosine[there], ((scores >= threshold) & right)[there])
        found[own.agent_type] = Reach(curve.intercept, curve.slope, curve.top * chance)
    return found


def _foreseen(scores: Floats, right: Bools, held: int, alpha: float, delta: float) -> tuple[float, float]:
    """The threshold with the most hits to be expected, after the chance of its certificate; and that chance, 0.0 where
    there is none.

    The training part's rate at a threshold, half a wrong hit added, is taken for the true one, and its share of hits is
    carried over to the ``held`` queries. A sequence that fails at a threshold never comes to a looser one.
    """
    scale = held / max(1, len(scores))
    best, reached = (0.0, 0.0, 0.0), 1.0
    for threshold in plan_thresholds(scores, right, held, alpha, delta):
        served = scores >= threshold
        count, wrong = int(served.sum()), int((served & ~right).sum())
        hits = round(scale * count)
        reached = min(reached, _passes(hits, min(1.0, (wrong + 0.5) / (count + 1)), alpha, delta))
        best = max(best, (reached * hits, reached, float(threshold)))
    return best[1:]


def _passes(hits: int, rate: float, alpha: float, delta: float) -> float:
    """Chance that a test of so many hits, of which each is wrong at ``rate``, certifies alpha."""
    wrong = -1
    while wrong < hits and binomial.cdf(wrong + 1, hits, alpha) <= delta:
        wrong += 1
    return binomial.cdf(wrong, hits, rate)


def _nearest_right(data: Labelled, entries: int, queries: Ints) -> Floats:
    """Cosine of the nearest entry with a query's own answer; -inf where there is none. In blocks."""
    out = np.full(len(queries), -np.inf)
    step = block_rows(entries)
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        cosine = data.vectors[part] @ data.vectors[:entries].T
        same = data.groups[part][:, None] == data.groups[:entries][None]
        out[start : start + step] = np.where(same, cosine, -np.inf).max(1)
    return out
