"""What a plan's match rules will serve, foreseen from the part of the log that trains them; no certifying label is
read.

The second pass of the selection asks it how far an entry reaches. Where nothing is likely to be certified, entries
answer their own text only, and the most asked ones are the best.
"""

from collections.abc import Sequence

import numpy as np

from cachewarm_pipeline.core.neighbours import block_rows
from cachewarm_pipeline.core.reach import NEVER, Curve, fit_curve
from cachewarm_pipeline.core.rules import binomial
from cachewarm_pipeline.core.rules.certify import plan_thresholds
from cachewarm_pipeline.core.rules.features import Floats, Ints
from cachewarm_pipeline.core.rules.fit import Labelled
from cachewarm_pipeline.core.rules.learn import AgentLog, Bools, fitted_weights


def foreseen_reach(logs: Sequence[AgentLog], *, alpha: float, delta: float, seed: int = 0) -> dict[str, Curve]:
    """By agent_type the chance that a query is served, rightly, by cosine of the nearest entry with its answer.

    Served: its out-of-fold score reaches the loosest threshold at which the training part's rates, carried over to the
    number of certifying queries, still pass the test. NEVER where not even the most promising one does.
    """
    found = {}
    for fitted, weights in fitted_weights(logs, seed):
        own = fitted.log
        found[own.agent_type] = NEVER
        if weights is None:
            continue
        scores, right = weights[1][fitted.is_query], fitted.right[fitted.is_query]
        threshold = _loosest(scores, right, len(own.held), alpha, delta)
        if threshold is None:
            continue
        cosine = _nearest_right(own.data, own.entries, own.train)
        there = np.isfinite(cosine)
        found[own.agent_type] = fit_curve(cosine[there], ((scores >= threshold) & right)[there])
    return found


def _loosest(scores: Floats, right: Bools, held: int, alpha: float, delta: float) -> float | None:
    scale = held / max(1, len(scores))
    passed = None
    for threshold in plan_thresholds(scores, right, held, alpha, delta):
        served = scores >= threshold
        hits, wrong = round(scale * int(served.sum())), round(scale * int((served & ~right).sum()))
        if binomial.cdf(wrong, hits, alpha) > delta:
            break
        passed = float(threshold)
    return passed


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
