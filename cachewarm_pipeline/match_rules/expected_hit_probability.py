"""How likely the entries of a plan are expected to answer similar queries: what its match rules will serve, estimated
from the part of the log that trains them. No certifying label is read.

The second pass of the entry selection uses it. The less likely a certificate is, the more an entry counts for its own
text alone, and the better are the prompts that are asked most.
"""

from collections.abc import Sequence

import numpy as np
from cachewarm_client.match_features import Floats, Ints

from cachewarm_pipeline.match_rules.certification import plan_thresholds
from cachewarm_pipeline.match_rules.hit_probability_curve import NEVER, HitProbability, fit_curve
from cachewarm_pipeline.match_rules.match_model_fit import Labelled
from cachewarm_pipeline.match_rules.training import AgentLog, Bools, fit_models
from cachewarm_pipeline.numerics import binomial_bounds as binomial
from cachewarm_pipeline.numerics.nearest_neighbours import block_rows


def expected_hit_probability(
    logs: Sequence[AgentLog], *, alpha: float, delta: float, seed: int = 0
) -> dict[str, HitProbability]:
    """By agent_type: the chance that a query is served the right answer, by the cosine of the nearest entry that has
    that answer. NEVER where no certificate is expected.

    That chance is the share of training queries whose out-of-fold score reaches the threshold that is expected to be
    certified, times the chance of that certificate. ``alpha``, ``delta``: as for ``learn_rules``.
    """
    found = {}
    for trained, fit in fit_models(logs, seed):
        log = trained.log
        found[log.agent_type] = NEVER
        if fit is None:
            continue
        scores, right = fit.scores[trained.is_query], trained.right[trained.is_query]
        chance, threshold = _expected_certificate(scores, right, len(log.held_out), alpha, delta)
        if not chance:
            continue
        cosine = _nearest_right_cosine(log.data, log.entries, log.train)
        answerable = np.isfinite(cosine)
        curve = fit_curve(cosine[answerable], ((scores >= threshold) & right)[answerable])
        found[log.agent_type] = HitProbability(curve.intercept, curve.slope, curve.top * chance)
    return found


def _expected_certificate(
    scores: Floats, right: Bools, held_out: int, alpha: float, delta: float
) -> tuple[float, float]:
    """The chance that a threshold is certified, and that threshold: the one with the most expected hits, weighted by
    this chance. (0.0, 0.0) where there is none.

    The wrong-hit rate of the training part, with half a wrong hit added, is taken for the true rate, and its share of
    hits is assumed for the ``held_out`` certifying queries. A sequence that fails at one threshold never tests a looser
    one.
    """
    scale = held_out / max(1, len(scores))
    best, chance = (0.0, 0.0, 0.0), 1.0
    for threshold in plan_thresholds(scores, right, held_out, alpha, delta):
        served = scores >= threshold
        count, wrong = int(served.sum()), int((served & ~right).sum())
        hits = round(scale * count)
        chance = min(chance, _chance_to_pass(hits, min(1.0, (wrong + 0.5) / (count + 1)), alpha, delta))
        best = max(best, (chance * hits, chance, float(threshold)))
    return best[1:]


def _chance_to_pass(hits: int, rate: float, alpha: float, delta: float) -> float:
    """The chance that a test of ``hits`` hits, each wrong with probability ``rate``, certifies alpha."""
    wrong = -1
    while wrong < hits and binomial.cdf(wrong + 1, hits, alpha) <= delta:
        wrong += 1
    return binomial.cdf(wrong, hits, rate)


def _nearest_right_cosine(data: Labelled, entries: int, queries: Ints) -> Floats:
    """The cosine of the nearest entry with each query's own answer, (len(queries),); -inf where no entry has it.
    Compares in blocks."""
    out = np.full(len(queries), -np.inf)
    step = block_rows(entries)
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        cosine = data.vectors[part] @ data.vectors[:entries].T
        same = data.groups[part][:, None] == data.groups[:entries][None]
        out[start : start + step] = np.where(same, cosine, -np.inf).max(1)
    return out
