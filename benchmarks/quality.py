"""The real pipeline on labelled data: how often the published cache hits and is wrong, and whether it keeps its target.

    uv run python -m benchmarks.quality --data DIR [--set banking:1000 ...] [--seeds 20] [--alphas 0.01 0.02 0.05]

DIR contains the files of benchmarks/match_rules_data.py: banking77.parquet, stackfaq.jsonl, se_secrets_qa.jsonl. The
sample needs no files.

Measured, mean of 20 random seeds through the whole pipeline (mining, plan, rules, replay, gates, publish, lookups by
the reader): judge exact, confidence 99%, entries by frequency (all frequencies are equal here, so the entries are
drawn), wrong hits by the true labels. hit: semantic hit rate, where a seed with nothing certified counts as 0. over:
share of seeds over alpha, none of them by more than chance allows (one-sided binomial, p < 1%). none: number of seeds
without a certificate. plain: hit rate of the certified distance. oracle: hit rate of the best threshold with hindsight.

    set:entries          alpha  hit    wrong  over   none  oracle  plain
    banking:1000          1%    0.179  0.39%  0.00      9  0.568   0
                          2%    0.641  1.41%  0.00      0  0.723   0.016
                          5%    0.843  3.95%  0.00      0  0.876   0.280
    banking:200           1%    0.165  0.50%  0.05      9  0.442   0
                          2%    0.462  1.22%  0.00      0  0.558   0
                          5%    0.669  3.92%  0.00      0  0.707   0.043
    stackfaq:200          1%    0      -      0.00     20  0.729   0
                          2%    0.306  0.32%  0.00     11  0.791   0
                          5%    0.733  1.51%  0.00      1  0.847   0.188
    stackfaq-shift:200    1%    0      -      0.00     20  0.764   0
                          2%    0      -      0.00     20  0.808   0
                          5%    0.625  1.10%  0.00      4  0.868   0.051
    security:400          1-5%  0      -      0.00     20  0.2-0.4 0      too few questions: 402 with an answer

The printed table has more columns. exact: exact hit rate. The first `wrong` is that of semantic hits, `all` that of
semantic and exact hits, `worst` the highest of any seed. >alpha is `over`; chance: number of seeds over alpha by more
than chance allows. ratio: hit / plain, and the `wrong` before it is that of plain. told: hit rate that the replay
forecast; came: hit rate that the traffic had; off: mean absolute difference; the last `wrong`: as forecast.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from cachewarm_client.personal_data import find_personal_data
from cachewarm_client.text import cut

from benchmarks.quality_run import STOCK_DISTANCE, Answers, Bools, Floats, Hindsight, Trial, Warmed, trial
from benchmarks.quality_sources import SETS, Case, make_case
from cachewarm_pipeline.numerics import binomial_bounds as binomial

ALPHAS = (0.01, 0.02, 0.05)
BEYOND_CHANCE = 0.01
"""A seed is over alpha by more than chance if this many wrong hits have a lower probability at alpha."""
ResultRow = dict[str, Any]
"""Figures of one set, seed and target, as `--rows` writes them."""


def oracle(case: Case, asked: Bools, found: Hindsight, weights: Floats, alpha: float) -> float:
    """Semantic hits under the loosest threshold of each agent_type that keeps alpha, chosen with hindsight."""
    names = np.array([each.agent_type for each in case.traffic])
    hits = 0.0
    for name in np.unique(names):
        own = np.flatnonzero((names == name) & asked & np.isfinite(found.score))
        order = own[np.argsort(-found.score[own], kind="stable")]
        served = np.cumsum(weights[order])
        good = np.flatnonzero(np.cumsum(weights[order] * ~found.right[order]) <= alpha * served)
        hits += float(served[good[-1]]) if len(good) else 0.0
    return hits


def decision_mismatches(case: Case, made: Warmed, answers: Answers, found: Hindsight) -> int:
    """The number of lookups for which serving decided differently from the same rule applied to all lookups at once.

    Prompts with personal data do not count, because serving looks them up by their exact key only."""
    thresholds = np.array([made.live.for_agent_type(a.agent_type).score_threshold for a in case.traffic])
    personal = np.array([bool(find_personal_data(cut(a.prompt))) for a in case.traffic])
    learned = np.isfinite(thresholds) & ~answers.exact & ~personal
    return int(((found.score >= thresholds) != answers.semantic)[learned].sum())


def outcome(case: Case, made: Warmed, answers: Answers, found: Hindsight, weights: Floats, alpha: float) -> ResultRow:
    """The rates of one seed and target. ``weights``: the number of lookups that each wording stands for."""
    asked = ~answers.exact
    total = float(weights.sum())

    def count(which: Bools) -> float:
        return float(weights[which].sum())

    distance = [made.rules.for_agent_type(a.agent_type).distance_threshold for a in case.traffic]
    near = np.array([-1.0 if d is None else d for d in distance])
    plain = asked & (1 - found.similarity <= near)
    hits, wrong = count(answers.semantic), count(answers.semantic & ~answers.right)
    exact, exact_wrong = count(answers.exact), count(answers.exact & ~answers.right)
    return {
        "lookups": total,
        "semantic": hits / total,
        "exact": exact / total,
        "hits": hits,
        "wrong_hits": wrong,
        "wrong": wrong / hits if hits else None,
        "wrong_of_all": (wrong + exact_wrong) / (hits + exact) if hits + exact else None,
        "chance": 1 - binomial.cdf(int(wrong) - 1, int(hits), alpha) if hits else 1.0,
        "oracle": oracle(case, asked, found, weights, alpha) / total,
        "plain": count(plain) / total,
        "plain_wrong": count(plain & ~found.nearest_right) / count(plain) if plain.any() else None,
    }


def forecast(made: Warmed) -> ResultRow:
    """The forecast of the replay: hit rate of warmed entries, and wrong-hit rate of semantic hits."""
    replay = made.forecast
    rates = (replay["exact_hit_rate"], replay["semantic_hit_rate"])
    return {
        "forecast_hit": None if None in rates else sum(rates),
        "forecast_wrong": replay["semantic_wrong_hit_rate"],
    }


def reason(made: Warmed, answers: Answers) -> str:
    """Why a seed has no semantic hit; empty if it has some."""
    if made.why_not:
        return f"blocked by {made.why_not}"
    if answers.semantic.any():
        return ""
    if any(rule.certified for rule in made.rules.rules.values()):
        served = any(rule.certified for rule in made.live.rules.values())
        return "certified, and no lookup reached the threshold" if served else "withheld by a gate"
    return "nothing certified"


def measure(key: str, seed: int, alphas: Sequence[float], data: Path | None, cache: Path) -> list[ResultRow]:
    """The rows of one seed: one for each target and way of counting.

    Strict targets come last, because a looser one serves more."""
    rows = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        case = make_case(key, seed, data, Path(name) / "source")
        run = stack.enter_context(trial(case, Path(name) / "home", cache))
        ways = {"": np.array([a.times for a in case.traffic], float)}
        if case.settings["judge"] != "exact":  # several spellings of a query are one decision
            ways = {" lookups": ways[""], " distinct": np.array(case.distinct, float)}
        no_answers = Answers(*(np.zeros(len(case.traffic), bool) for _ in range(3)))
        found, of_stock = None, None
        for alpha in sorted(alphas, reverse=True):
            made = run.warm(alpha)
            found = found or run.hindsight()
            answers = no_answers if made.why_not else run.look_up()
            of_stock = of_stock or stock_rates(run, answers, case)
            shared = {
                "seed": seed,
                "alpha": alpha,
                "none": reason(made, answers),
                "differing": decision_mismatches(case, made, answers, found),
                "why": {name: rule.why for name, rule in made.rules.rules.items()},
                "certified": float(np.mean([rule.certified for rule in made.rules.rules.values()])),
                "seconds": made.seconds,
                **forecast(made),
                **of_stock,
            }
            for way, weights in ways.items():
                rows.append({"set": key + way, **shared, **outcome(case, made, answers, found, weights, alpha)})
    return rows


def stock_rates(run: Trial, answers: Answers, case: Case) -> ResultRow:
    """For the sample: hits and wrong hits of a stock reader at STOCK_DISTANCE, among lookups without an exact hit.

    They are the same at every target."""
    if case.settings["judge"] == "exact" or not answers.exact.any():
        return {}
    found = run.look_up_stock()
    weights = np.array([a.times for a in case.traffic], float)
    served = found.semantic & ~answers.exact
    return {
        "stock": weights[served].sum() / weights.sum(),
        "stock_wrong": weights[served & ~found.right].sum() / max(1.0, weights[served].sum()),
    }


def mean(rows: Sequence[ResultRow], name: str) -> float:
    """The mean of a column over the rows that have a value."""
    values = [row[name] for row in rows if row.get(name) is not None]
    return float(np.mean(values)) if values else float("nan")


HEAD = (
    f"{'set':22}{'alpha':>6} {'hit':>6}{'exact':>6}{'wrong':>8}{'all':>8}{'worst':>8}{'>alpha':>7}{'chance':>7}"
    f"{'none':>5} {'oracle':>7}{'plain':>6}{'wrong':>8}{'ratio':>6} {'told':>6}{'came':>6}{'off':>6}{'wrong':>8}"
)


def line(rows: Sequence[ResultRow]) -> str:
    """The table line of one set and target over its seeds. The docstring of the module explains the columns of HEAD."""
    alpha, plain, hit = rows[0]["alpha"], mean(rows, "plain"), mean(rows, "semantic")
    over = np.mean([(row["wrong"] or 0) > alpha for row in rows])
    beyond = sum(row["chance"] < BEYOND_CHANCE for row in rows)
    none = sum(bool(row["none"]) for row in rows)
    measured = [row["semantic"] + row["exact"] for row in rows]
    forecasts = [row["forecast_hit"] for row in rows]
    off = [abs(f - m) for f, m in zip(forecasts, measured, strict=True) if f is not None]
    worst = max((row["wrong"] or 0 for row in rows), default=0)
    return (
        f"{rows[0]['set']:22}{alpha:>6.0%} {hit:6.3f}{mean(rows, 'exact'):6.3f}{mean(rows, 'wrong'):8.2%}"
        f"{mean(rows, 'wrong_of_all'):8.2%}{worst:8.2%}{over:7.2f}{beyond:7}{none:5} {mean(rows, 'oracle'):7.3f}"
        f"{plain:6.3f}{mean(rows, 'plain_wrong'):8.2%}{hit / plain if plain else float('inf'):6.1f} "
        f"{mean(rows, 'forecast_hit'):6.3f}{np.mean(measured):6.3f}{np.mean(off) if off else float('nan'):6.3f}"
        f"{mean(rows, 'forecast_wrong'):8.2%}"
    )


def report(rows: Sequence[ResultRow]) -> None:
    print(f"\n{HEAD}")
    for key in sorted({(row["set"], row["alpha"]) for row in rows}):
        own = [row for row in rows if (row["set"], row["alpha"]) == key]
        print(line(own))
        reasons = Counter(row["none"] for row in own if row["none"])
        if reasons:
            print("      without a semantic hit: " + ", ".join(f"{n} {why}" for why, n in reasons.items()))
        if odd := sum(row["differing"] for row in own):
            print(f"      {odd} lookups were decided differently by serving and by the rule applied to all at once")
        if any("stock" in row for row in own):
            rates = f"{mean(own, 'stock'):.3f}, {mean(own, 'stock_wrong'):.1%} wrong"
            print(f"      a stock reader at distance {STOCK_DISTANCE:g}: {rates}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder of the labelled files; the sample needs none")
    parser.add_argument(
        "--set", nargs="+", action="extend", dest="sets", metavar="SET:ENTRIES", help=f"{', '.join(SETS)}"
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--alphas", type=float, nargs="+", default=list(ALPHAS))
    parser.add_argument("--cache", type=Path, help="folder for the vectors; by default a temporary one")
    parser.add_argument("--rows", type=Path, help="file to append to: one JSON line for each set, seed and target")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for key in options.sets or SETS:
            rows: list[ResultRow] = []
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                started = time.perf_counter()
                new = measure(key, seed, options.alphas, options.data, options.cache or Path(scratch))
                rows += new
                print(
                    f"{key} seed {seed}, {time.perf_counter() - started:.0f} s: {'; '.join(map(short_line, new))}",
                    flush=True,
                )
                if options.rows:
                    with options.rows.open("a", encoding="utf-8") as file:
                        file.writelines(json.dumps(row) + "\n" for row in new)
            report(rows)


def short_line(row: Mapping[str, Any]) -> str:
    summary = row["none"] or f"{row['semantic']:.3f} hit, {row['wrong']:.2%} wrong"
    return f"{row['alpha']:.0%} {summary}"


if __name__ == "__main__":
    main()
