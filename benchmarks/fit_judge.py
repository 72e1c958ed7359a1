"""Fits the weights of the `local` judge to people's verdicts that the user brings.

    uv run python -m benchmarks.fit_judge PAIRS.parquet [MORE.parquet ...] [--out FILE]

The files are as for ``benchmarks.judge``. The questions of ``held_part`` are left out of the fit, and
``benchmarks.judge --held`` reports on them. Writes FILE (default: the package's own local_weights.json) and prints the
figures of a five-fold cross-validation by question on the fitted part.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cachewarm_client.embedders.minilm import MiniLMEmbedder
from numpy.typing import NDArray
from scipy.optimize import minimize

from benchmarks.judge_pairs import Judged, auc, held_part, place_of, read_pairs, recall_at, threshold_at
from cachewarm_pipeline.answers import judges
from cachewarm_pipeline.answers.answer_words import answer_words, stems_of
from cachewarm_pipeline.answers.contradictions import contradict
from cachewarm_pipeline.answers.facts import facts
from cachewarm_pipeline.answers.judges.local import VETOED
from cachewarm_pipeline.answers.judges.local_model import WEIGHTS
from cachewarm_pipeline.answers.pair_features import FEATURES, Rarity, Texts, pair_features
from cachewarm_pipeline.ports import AnswerPair, JudgeUse

Floats = NDArray[np.float64]

FREQUENT = 1_200
"""Stems with a rarity of their own; all others count as rarest."""

PENALTY = 50.0
"""Ridge penalty of the standardised weights. Between 1 and 200 the cross-validated AUC changes by 0.001."""

RATES = {JudgeUse.LABEL: 0.065, JudgeUse.GROUP: 0.10}
"""False-positive rates, out of fold, that the operating points are chosen for. On open_answers.parquet 85% of the
40 false positives that were read at the first point are labels that one can dispute."""

EXCLUDE = 0.5
"""Operating point of JudgeUse.EXCLUDE: more likely equivalent than not."""

FOLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path(judges.__file__).parent / WEIGHTS)
    arguments = parser.parse_args()
    parts = [judged.part(~held_part(judged.pairs)) for judged in map(read_pairs, arguments.pairs)]
    judged = Judged([pair for part in parts for pair in part.pairs], np.concatenate([part.same for part in parts]))
    frequent = rarities([text for pair in judged.pairs for text in (pair.left, pair.right)])
    rows = features(judged.pairs, Rarity(frequent))
    vetoed = contradicting(judged.pairs)
    fold = np.array([int(place_of("fold " + pair.question) * FOLDS) for pair in judged.pairs])
    score = np.empty(len(rows))
    for number in range(FOLDS):
        weights, intercept = fit(rows[fold != number], judged.same[fold != number])
        score[fold == number] = rows[fold == number] @ weights + intercept
    probability = 1 / (1 + np.exp(-score))
    probability = np.where(vetoed, np.minimum(probability, VETOED), probability)
    points = {use: threshold_at(probability, judged.same, rate) for use, rate in RATES.items()}
    points[JudgeUse.EXCLUDE] = EXCLUDE
    weights, intercept = fit(rows, judged.same)
    data = {
        "fitted_on": ", ".join(f"{path.name} ({len(part.pairs):,} pairs)" for path, part in zip(arguments.pairs, parts, strict=True)),
        "operating_points": {str(use): round(point, 4) for use, point in points.items()},
        "intercept": round(intercept, 5),
        "weights": {name: round(float(weight), 5) for name, weight in zip(FEATURES, weights, strict=True)},
        "frequent_words": frequent,
    }
    arguments.out.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
    rates = {rate: round(recall_at(probability, judged.same, rate), 4) for rate in (0.02, 0.05, 0.07)}
    shown = {"pairs": len(rows), "auc": round(auc(probability, judged.same), 4), "recall_at": rates}
    print(json.dumps({"cross_validated": shown, "written": str(arguments.out)}, indent=2))  # noqa: T201


def rarities(answers: Sequence[str]) -> dict[str, float]:
    """Rarity of the FREQUENT most frequent stems: log(n / count), scaled so that the rarest of them has 1."""
    distinct = set(answers)
    counts = Counter(stem for text in distinct for stem in stems_of(text))
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT]
    least = math.log(len(distinct) / top[-1][1])
    return {stem: round(math.log(len(distinct) / count) / least, 2) for stem, count in top}


def features(pairs: Sequence[AnswerPair], rarity: Rarity) -> Floats:
    """Features (n, len(FEATURES)) of pairs, with vectors of the embedded model."""
    place: dict[str, int] = {}
    sides = np.array([[place.setdefault(text, len(place)) for text in pair[:3]] for pair in pairs])
    texts = list(place)
    described = Texts([answer_words(text) for text in texts], MiniLMEmbedder().embed(texts), texts)
    return pair_features(described, *sides.T, rarity)


def contradicting(pairs: Sequence[AnswerPair]) -> NDArray[np.bool_]:
    """Which pairs (n,) contradict each other."""
    known = {text: facts(text) for text in {text for pair in pairs for text in (pair.left, pair.right)}}
    return np.array([contradict(known[pair.left], known[pair.right]) is not None for pair in pairs])


def fit(rows: Floats, same: NDArray[np.bool_]) -> tuple[Floats, float]:
    """Weights (of the features as they are) and intercept of a ridge-penalised logistic regression."""
    centre, scale = rows.mean(0), rows.std(0)
    scale = np.where(scale < 1e-9, 1.0, scale)
    z, y = (rows - centre) / scale, same.astype(float)

    def loss(b: Floats) -> tuple[float, Floats]:
        line = z @ b[1:] + b[0]
        slope = 1 / (1 + np.exp(-line)) - y
        value = float((np.logaddexp(0, line) - y * line).sum() + PENALTY / 2 * (b[1:] ** 2).sum())
        return value, np.concatenate(([slope.sum()], z.T @ slope + PENALTY * b[1:]))

    found = minimize(loss, np.zeros(z.shape[1] + 1), jac=True, method="L-BFGS-B").x
    weights = found[1:] / scale
    return weights, float(found[0] - centre @ weights)


if __name__ == "__main__":
    main()
