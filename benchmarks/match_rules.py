"""Learned match rules compared with a plain distance on labelled data: hit rate, wrong-hit rate, targets met.

    uv run python -m benchmarks.match_rules --data DIR [--set banking:1000] [--seeds 20] [--delta 0.05 0.01]

DIR contains banking77.parquet, stackfaq.jsonl and se_secrets_qa.jsonl. Each random seed gives a log in three disjoint
parts (choose, fit, certify) and unseen traffic. Entries are chosen by their coverage of the first part, the judge is
exact, and rates are of distinct traffic queries. stackfaq-shift: annotator b is the traffic, the rest is the log.
security: 500 titles are the entries, and the bodies are the queries.

Columns of the printed table. hit, oracle: hit rate of the rule, and of the loosest threshold that keeps alpha with
hindsight. wrong: wrong-hit rate. > alpha: share of seeds whose wrong-hit rate is over alpha; chance: number of seeds
in which it is over by more than chance allows. none: number of seeds with nothing certified. top: share of lookups
whose best entry is right.

Measured, mean of 20 seeds (all-MiniLM-L6-v2 int8). plain: hit rate of the certified cosine. learned: hit rate /
wrong-hit rate / share of seeds whose OBSERVED wrong-hit rate was over alpha. A seed with nothing certified counts as
hit rate 0. In no seed was the wrong-hit rate over alpha by more than chance allows (one-sided binomial, p < 1%).

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

Which delta: use 1%. 5% keeps the promise about the TRUE rate, but the noise of the test puts up to 25% of Banking77's
seeds over alpha. With 1%, no line has more than 10% of them over alpha. On banking:1000 this costs 1 point of hits at
alpha 5%, 2 at 2%, 10 at 1%. The advice comes from these same seeds: confirm it on seeds 20 to 39 or with the pipeline.

What helped:
- The test sequence starts at the threshold that the fitting part predicts to pass most clearly, not at the strictest
  one (hit rate at alpha 2%: 0.51 to 0.64).
- Answer centres come from the whole log (0.64 to 0.73).
- The pick is the best of ten by (learned + centre) / 2 (share of right picks: 0.86 to 0.90).
- The space is found by shrunk LDA.
- Features are cross-fitted. In-sample features made small sets overconfident.
- Text features (templates at 1%: 0.58 to 0.86, but StackFAQ at 2% 0.79 to 0.66).

What gave no gain and was not kept: 20 neighbours; a vote for the pick; shares of delta for several starts; finer steps;
the reliability of the nearest entry instead of the picked one (a third of the gain); not using the words where the
out-of-fold loss is higher with them (StackFAQ, seeds 20 to 119). IDF weights are untested.

Features that come from the log (features.LOG_FEATURES), at delta 1%. Hit rate at alpha 1, 2 and 5%:

    set             without them          with reliability      with reliability and words
    banking:1000    0.378, 0.722, 0.880   0.442, 0.733, 0.885   0.425, 0.730, 0.883
    banking:200     0.202, 0.614, 0.821   0.212, 0.636, 0.826   0.229, 0.639, 0.826
    templates:300   0.475, 0.878, 0.926   0.757, 0.887, 0.928   0.788, 0.887, 0.927

On StackFAQ the noise of the certificates hides the effect. On seeds 20 to 119, all features compared with none of them
give, at alpha 2 and 5%, -0.3 and +0.8 points (standard errors 2.6 and 0.8); with annotator b 0 (nothing certified) and
-2.2 points (2.1); at delta 5% and alpha 2%, -3.8 points (2.0). Words hardly matter here, perhaps because each set is
one agent_type. On the sample's plan of 500 entries, the learned agent types went from 1 to 4 (2 with reliability
alone), their certified hits from 200 to 957, and the held-out log loss from 0.115 to 0.093 (alpha 5%, delta 1%).

Weights that are pooled over agent types do harm where agent types are unlike. A prior that is chosen by out-of-fold
loss (`fit_model(prior=...)`) is safe; its gain is unproven.

Caveats:
- The design was chosen on these sets and none was kept untouched, so the hit rates flatter a little. The certificates
  are not affected.
- The templates were made for this benchmark and suit the text features.
- The seeds share one pool of texts.
- The penalties were 1 to 300 in six steps (templates: as now).
- A certificate is valid for traffic like the certifying part, so certify on the latest part of the log.
- Tokens split on spaces, and the negation words are English: Chinese and Japanese get coarse text features.
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
"""Shares of the log for choosing, fitting and certifying. Other sets use 23% each. The rest of the log is traffic."""
RADIUS = 0.75
"""Cosine similarity from which an entry covers a query."""

Scored = tuple[Floats, NDArray[np.bool_]]
"""The score of each query, and whether its picked entry is right."""
Parts = tuple[Ints, Ints, Ints, Ints]
"""Row numbers of the entries, the queries to fit on, the queries to certify on, and the traffic."""


def choose(vectors: Floats, groups: Ints, size: int) -> Ints:
    """Chooses ``size`` entries by lazy greedy coverage.

    An entry covers the queries with its answer at a similarity of at least RADIUS. A tenth of the similarity breaks
    ties."""
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
    """The parts of a set: a drawn log with its chosen entries, and the traffic."""
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
    """By rule: the scored fitting, certifying and traffic queries."""
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
    unseen = [described(learned, queries) for queries in (certifying, traffic)]
    found: dict[str, list[Scored]] = {"distance": [(x[:, 0], y) for x, y in bare]}
    every, similarity = len(features.FEATURES), len(features.SIMILARITY_FEATURES)
    for label, (x, y), others, columns in (
        ("logistic, no space", bare[0], bare[1:], every),
        ("learned, no text", (rows, right), unseen, similarity),
        ("learned, no log", (rows, right), unseen, every - len(features.LOG_FEATURES)),
        ("learned, no words", (rows, right), unseen, every - len(features.LOG_FEATURES) + 1),
        ("learned", (rows, right), unseen, every),
    ):
        model, out_of_fold, _ = fit.fit_model(x[:, :columns], y, fold)
        found[label] = [(out_of_fold, y), *((model.score(x[:, :columns]), y) for x, y in others)]
    return found


def oracle(score: Floats, right: NDArray[np.bool_], alpha: float) -> float:
    """Hit rate of the loosest threshold that keeps alpha, chosen with hindsight."""
    order = np.argsort(-score)
    good = np.flatnonzero(np.cumsum(~right[order]) <= alpha * np.arange(1, len(order) + 1))
    return float((good[-1] + 1) / len(order)) if len(good) else 0.0


def outcome(parts: Sequence[Scored], alpha: float, delta: float) -> list[float]:
    """The figures of one seed: hit rate, oracle, wrong-hit rate; over alpha, beyond chance and uncertified (1 or 0
    each); share of right picks."""
    fitted, certifying, (score, right) = parts
    plan = certify.plan_thresholds(*fitted, len(certifying[0]), alpha, delta)
    threshold = certify.certify(plan, *certifying, alpha, delta).threshold
    hit = score >= threshold if threshold is not None else np.zeros(len(score), bool)
    hits, wrong = int(hit.sum()), int((hit & ~right).sum())
    beyond = hits > 0 and 1 - binomial.cdf(wrong - 1, hits, alpha) < 0.01
    rates = hits / len(score), oracle(score, right, alpha), wrong / max(hits, 1)
    return [*rates, wrong > alpha * hits, beyond, threshold is None, float(right.mean())]


def measure(key: str, seeds: int, deltas: Sequence[float], folder: Path, cache: Path) -> None:
    """Prints the table of one set (``name:entries``). ``cache``: folder for the vectors."""
    name, _, size = key.partition(":")
    if not size.isdecimal():
        raise SystemExit(f"--set {key}: write it as SET:ENTRIES, for example banking:1000")
    base = name.split("-")[0]
    loaded = load(base, folder)
    vectors = embed(base, loaded.texts, cache)
    data = fit.Labelled(vectors, loaded.groups, [tokens(text) for text in loaded.texts])
    found: dict[tuple[float, float, str], list[list[float]]] = {}
    started = time.perf_counter()
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        parts = split(name, loaded.groups, loaded.kinds, vectors, int(size), rng)
        for rule, scored in scores(data, parts, rng).items():
            for delta in deltas:
                for alpha in ALPHAS:
                    found.setdefault((delta, alpha, rule), []).append(outcome(scored, alpha, delta))
    print(f"\n{key}: {seeds} seeds, {time.perf_counter() - started:.0f} s")
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
    parser.add_argument("--cache", type=Path, help="folder for the vectors; by default a temporary one")
    options = parser.parse_args()
    print("hit, wrong, top (right picks): means; > alpha: share of seeds; chance, none: numbers of seeds")
    with tempfile.TemporaryDirectory() as scratch:
        for key in options.sets or SETS:
            measure(key, options.seeds, options.delta, options.data, options.cache or Path(scratch))


if __name__ == "__main__":
    main()
