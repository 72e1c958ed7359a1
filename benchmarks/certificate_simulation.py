"""Does the certificate keep its promise? Simulates many logs of a workload whose true wrong-hit rate is known exactly.

A lookup is a uniform random number: its place in the ranking by score, where 0 is the most confident. The chance that
its picked entry is wrong is a function of that place. So the true wrong-hit rate of any threshold is an integral, not
an estimate.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from cachewarm_client.match_features import Floats
from numpy.typing import NDArray

from cachewarm_pipeline.match_rules.certification import DELTA, certify, plan_thresholds
from cachewarm_pipeline.numerics import binomial_bounds as binomial

Method = Callable[["Draw", "Draw", float, float], float | None]


@dataclass(frozen=True)
class Workload:
    """``wrong``: chances of a wrong hit at the places ``at`` of the ranking (0 to 1), linear in between."""

    name: str
    at: tuple[float, ...]
    wrong: tuple[float, ...]

    def draw(self, rng: np.random.Generator, queries: int) -> "Draw":
        """Scores and labels of ``queries`` distinct queries."""
        place = rng.random(queries)
        return Draw(1.0 - place, rng.random(queries) >= np.interp(place, self.at, self.wrong))

    def true_rate(self, threshold: float) -> float:
        """The wrong-hit rate where all lookups with a score of at least the threshold are served; 0.0 where none is."""
        place = 1.0 - threshold
        if place <= 0:
            return 0.0
        grid = np.unique(np.concatenate((np.asarray(self.at), [min(place, 1.0)])))
        grid = grid[grid <= place]
        value = np.interp(grid, self.at, self.wrong)
        return float(np.trapezoid(value, grid) / min(place, 1.0))


@dataclass(frozen=True)
class Draw:
    """A part of a simulated log: ``scores`` (n,), ``right`` (n,)."""

    scores: Floats
    right: NDArray[np.bool_]


EASY = Workload("easy", (0.0, 0.55, 0.75, 1.0), (0.003, 0.01, 0.15, 0.85))
HARD = Workload("hard", (0.0, 0.05, 0.4, 0.7, 1.0), (0.06, 0.02, 0.03, 0.12, 0.9))
FLAT = Workload("flat", (0.0, 1.0), (0.0505, 0.0505))
"""Just above 5% at every threshold: any certificate for 5% breaks the promise. The worst case for any procedure."""


def certified(fit: Draw, held_out: Draw, alpha: float, delta: float) -> float | None:
    """The procedure of this project."""
    plan = plan_thresholds(fit.scores, fit.right, len(held_out.scores), alpha, delta)
    return certify(plan, held_out.scores, held_out.right, alpha, delta).threshold


def best_empirical(fit: Draw, held_out: Draw, alpha: float, delta: float) -> float | None:
    """The loosest threshold whose observed wrong-hit rate on the held-out part is at most alpha."""
    order = np.argsort(-held_out.scores)
    wrong = np.cumsum(~held_out.right[order])
    good = np.flatnonzero(wrong <= alpha * np.arange(1, len(order) + 1))
    return float(held_out.scores[order[good[-1]]]) if len(good) else None


def best_f1(fit: Draw, held_out: Draw, alpha: float, delta: float) -> float | None:
    """The threshold with the best F1 of "right" on the held-out part, as threshold optimisers of caches choose it."""
    order = np.argsort(-held_out.scores)
    right = np.cumsum(held_out.right[order])
    f1 = 2 * right / (np.arange(1, len(order) + 1) + held_out.right.sum())
    return float(held_out.scores[order[int(np.argmax(f1))]])


METHODS: dict[str, Method] = {"certified": certified, "best_empirical": best_empirical, "best_f1": best_f1}


@dataclass(frozen=True)
class PromiseOutcome:
    """One method on one workload.

    ``broken``: how many of the ``trials`` have a true wrong-hit rate above alpha. ``allowed``: the largest number that
    is not unlikely (p >= 1%) for a method that breaks the promise with probability delta.
    """

    workload: str
    method: str
    alpha: float
    trials: int
    broken: int
    allowed: int
    mean_hit_rate: float
    mean_wrong_rate: float


def allowed_breaks(trials: int, delta: float, doubt: float = 0.01) -> int:
    """The largest count that is not unlikely: this many or more of ``trials`` break at rate delta with a probability of
    ``doubt`` or more."""
    count = 0
    while 1.0 - binomial.cdf(count, trials, delta) >= doubt:
        count += 1
    return count


def simulate(
    workload: Workload, alpha: float, trials: int = 300, queries: int = 1000, seed: int = 0, delta: float = DELTA
) -> list[PromiseOutcome]:
    """Every method on the same draws: in each trial ``queries`` to fit on and as many to certify on. About 1 ms a
    trial."""
    thresholds: dict[str, list[float | None]] = {name: [] for name in METHODS}
    rng = np.random.default_rng(seed)
    for _ in range(trials):
        fit, held_out = workload.draw(rng, queries), workload.draw(rng, queries)
        for name, method in METHODS.items():
            thresholds[name].append(method(fit, held_out, alpha, delta))
    out = []
    for name, found in thresholds.items():
        rates = [0.0 if t is None else workload.true_rate(t) for t in found]
        hits = [0.0 if t is None else 1.0 - t for t in found]
        broken = sum(rate > alpha for rate in rates)
        allowed = allowed_breaks(trials, delta)
        out.append(
            PromiseOutcome(
                workload.name, name, alpha, trials, broken, allowed, float(np.mean(hits)), float(np.mean(rates))
            )
        )
    return out
