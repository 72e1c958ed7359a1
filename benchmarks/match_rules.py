"""Learned match rules against plain ones on labelled data: hit rate, wrong-hit rate, how often the promise held.

    uv run python -m benchmarks.match_rules --data DIR [--set banking:1000] [--seeds 20] [--delta 0.05 0.01]

DIR holds banking77.parquet, stackfaq.jsonl and se_secrets_qa.jsonl. Each seed: a log in three disjoint parts (choose,
fit, certify) and unseen traffic; entries chosen by coverage of the first; the judge is exact; rates are of distinct
traffic queries. stackfaq-shift: annotator b asks, the rest is the log. security: 500 titles are entries, bodies ask.

Measured, mean of 20 seeds (all-MiniLM-L6-v2 int8). plain = certified cosine; learned = hit / wrong-hit rate / share of
seeds whose OBSERVED wrong-hit rate was over alpha; seeds with nothing certified count as hit rate 0. In none was it
over alpha by more than chance allows (one-sided binomial, p < 1%).

                               alpha 1%                       alpha 2%                       alpha 5%
    set:entries        delta   plain   learned                plain   learned                plain   learned
    banking:1000       5%      0       0.521 / 0.55% / .05    0       0.751 / 1.46% / .10    0.319   0.892 / 4.25% / .25
                       1%      0       0.425 / 0.46% / .00    0       0.730 / 1.28% / .10    0.189   0.883 / 3.96% / .00
    banking:200        5%      0       0.381 / 0.53% / .10    0.003   0.669 / 1.45% / .10    0.262   0.836 / 4.07% / .05
                       1%      0       0.229 / 0.27% / .00    0       0.639 / 1.26% / .00    0.208   0.826 / 3.78% / .00
    templates:1000     5%      0       0.905 / 0.51% / .00    0       0.950 / 1.12% / .05    0       0.984 / 3.25% / .00
                       1%      0       0.878 / 0.44% / .00    0       0.947 / 1.02% / .00    0       0.982 / 3.04% / .00
    templates:300      5%      0       0.837 / 0.61% / .10    0       0.894 / 1.27% / .05    0       0.930 / 3.54% / .05
                       1%      0       0.788 / 0.43% / .00    0       0.887 / 1.13% / .05    0       0.927 / 3.26% / .05
    stackfaq:200       5%      0       0                      0.025   0.674 / 0.78% / .05    0.536   0.900 / 2.64% / .00
                       1%      0       0                      0       0.519 / 0.31% / .00    0.275   0.851 / 2.19% / .00
    stackfaq-shift:200 5%      0       0                      0       0.270 / 0.06% / .00    0.287   0.819 / 1.34% / .00
                       1%      0       0                      0       0                      0.030   0.717 / 0.84% / .00
    security:500       both   nothing certified in any seed: it takes 59 faultless hits of 242; 43% of picks are right

Delta: take 1%. 5% keeps the promise about the TRUE rate, yet the test's own noise puts up to 25% of Banking77's seeds
over alpha; with 1% no line has more than 10% of them. On banking:1000 that costs 1 point of hits at alpha 5%, 2 at 2%,
10 at 1%. Advised on these same seeds: confirm on seeds 20 to 39 or through the pipeline.

What won: the test sequence starts where the fitting part foretells the clearest pass, not at the strictest threshold
(at alpha 2%: 0.51 to 0.64); answer centres from the whole log (0.64 to 0.73); the pick is the best of ten by
(learned + centre) / 2 (right 0.86 to 0.90); shrunk LDA as the space; features cross-fitted (in-sample ones made small
sets overconfident); text features (templates at 1%: 0.58 to 0.86, but StackFAQ at 2% 0.79 to 0.66).
No gain, left out: 20 neighbours, voting for the pick, shares of delta for several starts, finer steps, reliability of
the nearest entry instead of the picked one (a third of the gain), dropping the words where the out-of-fold loss is
higher with them (StackFAQ, seeds 20 to 119). IDF weights: untested.

What the log knows besides (features.LOG_FEATURES), delta 1%, without it / with reliability / with the words too:
banking:1000 at 1 / 2 / 5%: 0.378, 0.722, 0.880 / 0.442, 0.733, 0.885 / 0.425, 0.730, 0.883; banking:200: 0.202, 0.614,
0.821 / 0.212, 0.636, 0.826 / 0.229, 0.639, 0.826; templates:300: 0.475, 0.878, 0.926 / 0.757, 0.887, 0.928 / 0.788,
0.887, 0.927. On StackFAQ the certificates' noise hides it: seeds 20 to 119, with all against without, at 2 / 5%: -0.3
and +0.8 points (standard errors 2.6, 0.8), with annotator b 0 (nothing certified) and -2.2 (2.1); at delta 5% and
alpha 2%, -3.8 (2.0). Words hardly matter here, perhaps since each set is one agent_type. On the sample's plan of 500
entries the learned agent types went from 1 to 4 (2 with reliability alone), their certified hits from 200 to 957, the
held-out log loss from 0.115 to 0.093 (alpha 5%, delta 1%).

Pooled weights ruin unlike agent types; a prior chosen by out-of-fold loss (`fit_model(prior=...)`) is safe, its gain
unproven.

Caveats: the design was chosen on these sets, none was kept untouched, so the hit rates flatter a little (certificates
are not affected); templates were made here and suit the text features; the seeds share one pool. Penalties were 1 to
300 in six steps (templates: as now). The certificate speaks for traffic like the certifying part, so certify on the
latest part of the log. Tokens split on spaces, negation words are English: Chinese, Japanese get coarse text features.
"""

import argparse
import heapq
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from cachewarm_client import match_features as features
from cachewarm_client.match_features import Floats, Ints
from cachewarm_client.words import tokens
from numpy.typing import NDArray

from benchmarks.match_rules_data import embed, load
from cachewarm_pipeline.match_rules import certification as certify
from cachewarm_pipeline.match_rules import match_model_fit as fit
from cachewarm_pipeline.match_rules.word_weights import WordPairs
from cachewarm_pipeline.numerics import binomial_bounds as binomial

SETS = (
    "banking:1000",
    "banking:200",
    "templates:1000",
    "templates:300",
    "stackfaq:200",
    "stackfaq-shift:200",
    "security:500",
)
ALPHAS = (0.01, 0.02, 0.05)
PARTS = {"stackfaq": (0.23, 0.18, 0.28), "stackfaq-shift": (0.34, 0.26, 0.40)}
"""Shares that choose, fit and certify; the others' are 23% each. The rest of the log is traffic."""
RADIUS = 0.75

Scored = tuple[Floats, NDArray[np.bool_]]
"""Scores of some queries, and whether their pick is right."""
Parts = tuple[Ints, Ints, Ints, Ints]
"""Row numbers: entries, queries to fit on, queries to certify on, traffic."""


def choose(vectors: Floats, groups: Ints, size: int) -> Ints:
    """Lazy greedy coverage: an entry covers its answer's queries of similarity RADIUS; a tenth of it breaks ties."""
    similarity = vectors @ vectors.T
    worth = np.where(groups[:, None] == groups[None], (similarity >= RADIUS) + 0.1 * np.maximum(similarity, 0), 0)
    covered, chosen = np.zeros(len(groups)), list[int]()
    heap = [(-float(gain), row, 0) for row, gain in enumerate(worth.sum(0))]
    heapq.heapify(heap)
    while heap and len(chosen) < size:
        gain, row, seen = heapq.heappop(heap)
        if seen < len(chosen):
            heapq.heappush(heap, (-float(np.maximum(worth[:, row] - covered, 0).sum()), row, len(chosen)))
        elif gain >= -1e-9:
            break
        else:
            chosen.append(row)
            covered = np.maximum(covered, worth[:, row])
    return np.array(chosen)


def split(name: str, groups: Ints, kinds: Ints, vectors: Floats, size: int, rng: np.random.Generator) -> Parts:
    if name == "security":
        questions = rng.permutation(len(groups) // 2)
        third = len(questions) // 3
        bodies = 2 * questions + 1
        entries = 2 * rng.permutation(len(questions))[:size]
        return entries, bodies[:third], bodies[third : 2 * third], bodies[2 * third :]
    shift = name == "stackfaq-shift"
    log = rng.permutation(np.flatnonzero(kinds < 2) if shift else np.arange(len(groups)))
    a, b, c = (np.cumsum(PARTS.get(name, (0.23, 0.23, 0.23))) * len(log)).round().astype(int)
    entries = log[:a][choose(vectors[log[:a]], groups[log[:a]], size)]
    return entries, log[:b], log[b:c], np.flatnonzero(kinds == 2) if shift else log[c:]


def scores(data: fit.Labelled, parts: Parts, rng: np.random.Generator) -> dict[str, list[Scored]]:
    """For each rule: the fitting, the certifying and the traffic queries."""
    entries, fitting, certifying, traffic = parts
    known = np.union1d(fitting, entries)
    plain = fit.Scorer.unlearned(len(entries))
    fold = rng.permutation(len(fitting)) % fit.FOLDS
    pairs = WordPairs()
    fit.count_words(pairs, data, entries, fitting, fold)
    words = [pairs.weights(without=f) for f in range(fit.FOLDS)]
    rows, right, picks = fit.training_rows(data, entries, known, fitting, fold, words=words)
    reliability = fit.reliability(picks, right, len(data.groups))[entries]
    learned = replace(fit.learn_scorer(data, entries, known), reliability=reliability, words=pairs.weights())

    def described(scorer: fit.Scorer, queries: Ints) -> tuple[Floats, NDArray[np.bool_]]:
        found, picked, _ = fit.describe(data, entries, scorer, queries)
        return found, data.same(queries, picked)

    bare = [described(plain, queries) for queries in (fitting, certifying, traffic)]
    held = [described(learned, queries) for queries in (certifying, traffic)]
    found: dict[str, list[Scored]] = {"distance": [(x[:, 0], y) for x, y in bare]}
    every, similarity = len(features.FEATURES), len(features.SIMILARITY_FEATURES)
    for label, (x, y), others, columns in (
        ("logistic, no space", bare[0], bare[1:], every),
        ("learned, no text", (rows, right), held, similarity),
        ("learned, no log", (rows, right), held, every - len(features.LOG_FEATURES)),
        ("learned, no words", (rows, right), held, every - len(features.LOG_FEATURES) + 1),
        ("learned", (rows, right), held, every),
    ):
        model, out_of_fold, _ = fit.fit_model(x[:, :columns], y, fold)
        found[label] = [(out_of_fold, y), *((model.score(x[:, :columns]), y) for x, y in others)]
    return found


def oracle(score: Floats, right: NDArray[np.bool_], alpha: float) -> float:
    """Hit rate of the loosest threshold with hindsight."""
    order = np.argsort(-score)
    good = np.flatnonzero(np.cumsum(~right[order]) <= alpha * np.arange(1, len(order) + 1))
    return float((good[-1] + 1) / len(order)) if len(good) else 0.0


def outcome(parts: Sequence[Scored], alpha: float, delta: float) -> list[float]:
    """Of one seed: hit rate, oracle, wrong-hit rate; 1 if over alpha, beyond chance, uncertified; right picks."""
    fitted, held, (score, right) = parts
    plan = certify.plan_thresholds(*fitted, len(held[0]), alpha, delta)
    threshold = certify.certify(plan, *held, alpha, delta).threshold
    hit = score >= threshold if threshold is not None else np.zeros(len(score), bool)
    hits, wrong = int(hit.sum()), int((hit & ~right).sum())
    beyond = hits > 0 and 1 - binomial.cdf(wrong - 1, hits, alpha) < 0.01
    rates = hits / len(score), oracle(score, right, alpha), wrong / max(hits, 1)
    return [*rates, wrong > alpha * hits, beyond, threshold is None, float(right.mean())]


def measure(key: str, seeds: int, deltas: Sequence[float], folder: Path, cache: Path) -> None:
    name, _, size = key.partition(":")
    if not size.isdecimal():
        raise SystemExit(f"--set {key}: write it as SET:ENTRIES, for example banking:1000")
    base = name.split("-")[0]
    loaded = load(base, folder)
    vectors = embed(base, loaded.texts, cache)
    data = fit.Labelled(vectors, loaded.groups, [tokens(text) for text in loaded.texts])
    found: dict[tuple[float, float, str], list[list[float]]] = {}
    began = time.perf_counter()
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        parts = split(name, loaded.groups, loaded.kinds, vectors, int(size), rng)
        for rule, scored in scores(data, parts, rng).items():
            for delta in deltas:
                for alpha in ALPHAS:
                    found.setdefault((delta, alpha, rule), []).append(outcome(scored, alpha, delta))
    print(f"\n{key}: {seeds} seeds, {time.perf_counter() - began:.0f} s")
    print(
        f"{'delta':>6}{'alpha':>6}  {'rule':20}{'hit':>6}{'oracle':>7}{'wrong':>8}{'> alpha':>8}{'chance':>7}"
        f"{'none':>5}{'top':>6}"
    )
    for (delta, alpha, rule), rows in sorted(found.items(), key=lambda item: (-item[0][0], item[0][1])):
        hit, best, wrong, over, beyond, none, top = np.array(rows, float).mean(0)
        print(
            f"{delta:>6}{alpha:>6}  {rule:20}{hit:6.3f}{best:7.3f}{wrong:8.4f}{over:8.2f}{beyond * seeds:7.0f}"
            f"{none * seeds:5.0f}{top:6.3f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the three labelled files")
    parser.add_argument("--set", action="append", dest="sets", metavar="SET:ENTRIES", help=f"of {', '.join(SETS)}")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--delta", type=float, nargs="+", default=[certify.DELTA, 0.01])
    parser.add_argument("--cache", type=Path, help="folder that keeps the vectors; a temporary one unless given")
    given = parser.parse_args()
    print("hit, wrong, top (right picks): means; > alpha: share of seeds; chance, none: numbers of seeds")
    with tempfile.TemporaryDirectory() as scratch:
        for key in given.sets or SETS:
            measure(key, given.seeds, given.delta, given.data, given.cache or Path(scratch))


if __name__ == "__main__":
    main()
