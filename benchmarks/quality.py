"""The real pipeline on labelled data: how often the published cache hits, how often it is wrong, was the promise kept.

uv run python -m benchmarks.quality --data DIR [--set banking:1000 ...] [--seeds 20] [--alphas 0.01 0.02 0.05]

Measured, mean of 20 seeds through the whole pipeline (mining, plan, rules, replay, gates, publish, lookups by the
reader), judge exact, confidence 99%, entries by frequency (all equal here: drawn), wrong hits by the true labels.
hit: by meaning, seeds with nothing certified count 0; over: share of seeds over alpha, none by more than chance allows
(one-sided binomial, p < 1%); none: seeds without a certificate; plain: the certified distance; oracle: with hindsight.

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

from benchmarks.quality_run import Answers, Bools, Floats, Hindsight, Trial, Warmed, trial
from benchmarks.quality_sources import SETS, Case, make_case
from cachewarm_pipeline.numerics import binomial_bounds as binomial

ALPHAS = (0.01, 0.02, 0.05)
BEYOND_CHANCE = 0.01
Row = dict[str, Any]


def oracle(case: Case, asked: Bools, found: Hindsight, weights: Floats, alpha: float) -> float:
    """Hits by meaning of the loosest threshold of each agent_type that keeps alpha, with hindsight."""
    names = np.array([each.agent_type for each in case.traffic])
    hits = 0.0
    for name in np.unique(names):
        own = np.flatnonzero((names == name) & asked & np.isfinite(found.score))
        order = own[np.argsort(-found.score[own], kind="stable")]
        served = np.cumsum(weights[order])
        good = np.flatnonzero(np.cumsum(weights[order] * ~found.right[order]) <= alpha * served)
        hits += float(served[good[-1]]) if len(good) else 0.0
    return hits


def differing(case: Case, made: Warmed, answers: Answers, found: Hindsight) -> int:
    """Lookups that serving decided otherwise than the same rule applied to all of them at once. Prompts with personal
    data are not among them: serving looks them up by their exact key only."""
    thresholds = np.array([made.live.for_agent_type(a.agent_type).score_threshold for a in case.traffic])
    personal = np.array([bool(find_personal_data(cut(a.prompt))) for a in case.traffic])
    learned = np.isfinite(thresholds) & ~answers.exact & ~personal
    return int(((found.score >= thresholds) != answers.semantic)[learned].sum())


def outcome(case: Case, made: Warmed, answers: Answers, found: Hindsight, weights: Floats, alpha: float) -> Row:
    """Rates of one seed and target. ``weights``: lookups that each wording stands for."""
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


def forecast(made: Warmed) -> Row:
    """What the replay said: hit rate of warmed entries, and wrong hits by meaning."""
    told = made.forecast
    rates = (told["exact_hit_rate"], told["semantic_hit_rate"])
    return {
        "forecast_hit": None if None in rates else sum(rates),
        "forecast_wrong": told["semantic_wrong_hit_rate"],
    }


def reason(made: Warmed, answers: Answers) -> str:
    """Why a seed has no hit by meaning; empty where it has some."""
    if made.why_not:
        return f"blocked by {made.why_not}"
    if answers.semantic.any():
        return ""
    if any(rule.certified for rule in made.rules.rules.values()):
        served = any(rule.certified for rule in made.live.rules.values())
        return "certified, and no lookup reached the threshold" if served else "withheld by a gate"
    return "nothing certified"


def measure(key: str, seed: int, alphas: Sequence[float], data: Path | None, cache: Path) -> list[Row]:
    """Rows of one seed: one a target and way of counting, strict targets last, as a looser one serves more."""
    rows = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        case = make_case(key, seed, data, Path(name) / "source")
        run = stack.enter_context(trial(case, Path(name) / "home", cache))
        ways = {"": np.array([a.times for a in case.traffic], float)}
        if case.settings["judge"] != "exact":  # several spellings of a query are one decision
            ways = {" lookups": ways[""], " distinct": np.array(case.distinct, float)}
        nobody = Answers(*(np.zeros(len(case.traffic), bool) for _ in range(3)))
        found, beside = None, None
        for alpha in sorted(alphas, reverse=True):
            made = run.warm(alpha)
            found = found or run.hindsight()
            answers = nobody if made.why_not else run.look_up()
            beside = beside or stock(run, answers, case)
            shared = {
                "seed": seed,
                "alpha": alpha,
                "none": reason(made, answers),
                "differing": differing(case, made, answers, found),
                "why": {name: rule.why for name, rule in made.rules.rules.items()},
                "certified": float(np.mean([rule.certified for rule in made.rules.rules.values()])),
                "seconds": made.seconds,
                **forecast(made),
                **beside,
            }
            for way, weights in ways.items():
                rows.append({"set": key + way, **shared, **outcome(case, made, answers, found, weights, alpha)})
    return rows


def stock(run: Trial, answers: Answers, case: Case) -> Row:
    """The sample only: what a stock reader at a distance of one's own choice does where there is no exact hit. It does
    the same at every target."""
    if case.settings["judge"] == "exact" or not answers.exact.any():
        return {}
    found = run.look_up_stock()
    weights = np.array([a.times for a in case.traffic], float)
    served = found.semantic & ~answers.exact
    return {
        "stock": weights[served].sum() / weights.sum(),
        "stock_wrong": weights[served & ~found.right].sum() / max(1.0, weights[served].sum()),
    }


def mean(rows: Sequence[Row], name: str) -> float:
    """Over the seeds that have it."""
    values = [row[name] for row in rows if row.get(name) is not None]
    return float(np.mean(values)) if values else float("nan")


HEAD = (
    f"{'set':22}{'alpha':>6} {'hit':>6}{'exact':>6}{'wrong':>8}{'all':>8}{'worst':>8}{'>alpha':>7}{'chance':>7}"
    f"{'none':>5} {'oracle':>7}{'plain':>6}{'wrong':>8}{'ratio':>6} {'told':>6}{'came':>6}{'off':>6}{'wrong':>8}"
)


def line(rows: Sequence[Row]) -> str:
    """One set and target over its seeds; see HEAD and the module's docstring."""
    alpha, plain, hit = rows[0]["alpha"], mean(rows, "plain"), mean(rows, "semantic")
    over = np.mean([(row["wrong"] or 0) > alpha for row in rows])
    beyond = sum(row["chance"] < BEYOND_CHANCE for row in rows)
    none = sum(bool(row["none"]) for row in rows)
    came = [row["semantic"] + row["exact"] for row in rows]
    off = [abs(row["forecast_hit"] - c) for row, c in zip(rows, came, strict=True) if row["forecast_hit"] is not None]
    worst = max((row["wrong"] or 0 for row in rows), default=0)
    return (
        f"{rows[0]['set']:22}{alpha:>6.0%} {hit:6.3f}{mean(rows, 'exact'):6.3f}{mean(rows, 'wrong'):8.2%}"
        f"{mean(rows, 'wrong_of_all'):8.2%}{worst:8.2%}{over:7.2f}{beyond:7}{none:5} {mean(rows, 'oracle'):7.3f}"
        f"{plain:6.3f}{mean(rows, 'plain_wrong'):8.2%}{hit / plain if plain else float('inf'):6.1f} "
        f"{mean(rows, 'forecast_hit'):6.3f}{np.mean(came):6.3f}{np.mean(off) if off else float('nan'):6.3f}"
        f"{mean(rows, 'forecast_wrong'):8.2%}"
    )


def report(rows: Sequence[Row]) -> None:
    print(f"\n{HEAD}")
    for key in sorted({(row["set"], row["alpha"]) for row in rows}):
        own = [row for row in rows if (row["set"], row["alpha"]) == key]
        print(line(own))
        reasons = Counter(row["none"] for row in own if row["none"])
        if reasons:
            print("      without a hit by meaning: " + ", ".join(f"{n} {why}" for why, n in reasons.items()))
        if odd := sum(row["differing"] for row in own):
            print(f"      {odd} lookups were decided otherwise by serving than by the rule over all at once")
        if any("stock" in row for row in own):
            print(
                f"      a stock reader at distance 0.03: {mean(own, 'stock'):.3f}, {mean(own, 'stock_wrong'):.1%} wrong"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder of the labelled files; the sample needs none")
    parser.add_argument(
        "--set", nargs="+", action="extend", dest="sets", metavar="SET:ENTRIES", help=f"{', '.join(SETS)}"
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--alphas", type=float, nargs="+", default=list(ALPHAS))
    parser.add_argument("--cache", type=Path, help="folder that keeps the vectors; a temporary one unless given")
    parser.add_argument("--rows", type=Path, help="file that gets one JSON line a set, seed and target")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for key in given.sets or SETS:
            rows: list[Row] = []
            for seed in range(given.first_seed, given.first_seed + given.seeds):
                began = time.perf_counter()
                new = measure(key, seed, given.alphas, given.data, given.cache or Path(scratch))
                rows += new
                print(
                    f"{key} seed {seed}, {time.perf_counter() - began:.0f} s: {'; '.join(map(short, new))}", flush=True
                )
                if given.rows:
                    with given.rows.open("a", encoding="utf-8") as file:
                        file.writelines(json.dumps(row) + "\n" for row in new)
            report(rows)


def short(row: Mapping[str, Any]) -> str:
    told = row["none"] or f"{row['semantic']:.3f} hit, {row['wrong']:.2%} wrong"
    return f"{row['alpha']:.0%} {told}"


if __name__ == "__main__":
    main()
