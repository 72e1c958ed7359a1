"""Fits the weights of the `local` judge to people's verdicts that the user brings.

    uv run python -m benchmarks.fit_judge PAIRS.parquet [MORE.parquet ...] [--out FILE]

The files are as for ``benchmarks.judge``. The questions of ``held_part`` are left out of the fit, and
``benchmarks.judge --held`` reports on them. The answers of the package's own sample are fitted on too: people's
verdicts are mostly about facts, and the sample has advice. Writes FILE (default: the package's own local_weights.json)
and prints the figures of a five-fold cross-validation by question on the fitted part.
"""

import argparse
import itertools
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
from cachewarm_pipeline.answers.judges.answer_words import answer_words, stems_of
from cachewarm_pipeline.answers.judges.local import SOFT, SOFT_AT_MOST
from cachewarm_pipeline.answers.judges.local_model import WEIGHTS
from cachewarm_pipeline.answers.judges.pair_features import FEATURES, Rarity, Texts, pair_features
from cachewarm_pipeline.answers.veto.contradictions import contradict
from cachewarm_pipeline.answers.veto.facts import facts
from cachewarm_pipeline.embedded.sample.free_text_answers import texts as sample_texts
from cachewarm_pipeline.ports import AnswerPair, JudgeUse

Floats = NDArray[np.float64]

FREQUENT = 1_200
"""Stems with a rarity of their own; all others count as rarest."""

PENALTY = 50.0
"""Ridge penalty of the standardised weights. Between 1 and 200 the cross-validated AUC changes by 0.001."""

RATES = {JudgeUse.LABEL: 0.07, JudgeUse.GROUP: 0.10}
"""False-positive rates, out of fold, that the operating points are chosen for. On open_answers.parquet 85% of the
40 false positives that were read at the first point are labels that one can dispute."""

SHOWN_RATES = (0.02, 0.05, 0.07)

LIKELIER_THAN_NOT = 0.5
"""Operating point of JudgeUse.EXCLUDE and JudgeUse.CHANGED: more likely equivalent than not. Above it, the same
answer in other words would count as another one; below it, answers that contradict each other would be equivalent
(local.SOFT_AT_MOST)."""

FOLDS = 5

ADVICE_DIFFERENT = 0.2
"""Weight of a different pair of the sample. Its near misses are written to be hard, and there are more of them than of
equivalent pairs; with this weight the share of equivalent ones is that of the real answers."""

ACTION_RARITY = 0.15
ACTION_WORDS = """open close go goes going navigate choose chosen select click tap press hit pick enter type use using
used set setting settings option menu page section button turn switch enable enabled activate activated disable disabled
deactivate deactivated start stop make sure first then next finally after afterwards before once when please here there
you your can need want should must just simply also now again under inside find locate look see check change add remove
run call give take put way step following follow save apply confirm done ready active inactive toggle slider checkbox
tick untick uncheck on off via from within called named öffnen sie die den der das wählen tippen klicken gehen
aktivieren deaktivieren einschalten ausschalten dann danach unter einstellungen ouvrez allez dans choisissez activez
désactivez puis sous abra vaya elija active desactive luego en"""
"""Words of instructions, which say little about which answer it is. Facts do not contain them, so their rarity cannot
be counted there: it is at most ACTION_RARITY."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path(judges.__file__).parent / WEIGHTS)
    arguments = parser.parse_args()
    parts = [judged.part(~held_part(judged.pairs)) for judged in map(read_pairs, arguments.pairs)]
    frequent = rarities([text for part in parts for pair in part.pairs for text in (pair.left, pair.right)])
    advice = sample_pairs()
    judged = Judged(
        [pair for part in (*parts, advice) for pair in part.pairs],
        np.concatenate([part.same for part in (*parts, advice)]),
    )
    real = np.arange(len(judged.pairs)) < len(judged.pairs) - len(advice.pairs)
    rows = features(judged.pairs, Rarity(frequent))
    vetoed = contradicting(judged.pairs)
    weight = np.where(real | judged.same, 1.0, ADVICE_DIFFERENT) * ~vetoed  # the veto decides about those
    fold = np.array([int(place_of("fold " + pair.question) * FOLDS) for pair in judged.pairs])
    score = np.empty(len(rows))
    for number in range(FOLDS):
        weights, intercept = fit(rows[fold != number], judged.same[fold != number], weight[fold != number])
        score[fold == number] = rows[fold == number] @ weights + intercept
    score = np.where(vetoed, np.minimum(score - SOFT, SOFT_AT_MOST), score)
    probability = 1 / (1 + np.exp(-score))
    points = {use: threshold_at(probability[real], judged.same[real], rate) for use, rate in RATES.items()}
    points[JudgeUse.EXCLUDE] = points[JudgeUse.CHANGED] = LIKELIER_THAN_NOT
    weights, intercept = fit(rows, judged.same, weight)
    names = [*(path.name for path in arguments.pairs), "the package's sample"]
    data = {
        "fitted_on": ", ".join(
            f"{name} ({len(part.pairs):,} pairs)" for name, part in zip(names, (*parts, advice), strict=True)
        ),
        "operating_points": {str(use): round(point, 4) for use, point in points.items()},
        "intercept": round(intercept, 5),
        "weights": {name: round(float(weight), 5) for name, weight in zip(FEATURES, weights, strict=True)},
        "frequent_words": frequent,
    }
    arguments.out.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
    shown = {
        name: {
            "pairs": int(chosen.sum()),
            "auc": round(auc(score[chosen], judged.same[chosen]), 4),
            "recall_at": {rate: round(recall_at(score[chosen], judged.same[chosen], rate), 4) for rate in SHOWN_RATES},
        }
        for name, chosen in (("given", real), ("sample", ~real))
    }
    print(json.dumps({"cross_validated": shown, "written": str(arguments.out)}, indent=2))


def sample_pairs() -> Judged:
    """Two wordings of one answer of the sample (equivalent), and a wording and a near miss of it (different)."""
    found, verdicts = [], []
    for name, texts in sorted(sample_texts().items()):
        if any("{" in text for text in texts.answers):  # a frame that many questions fill
            continue
        question = "How do I " + name.replace("/", " ").replace("-", " ") + "?"
        for left, right in itertools.combinations(texts.answers, 2):
            found.append(AnswerPair(question, left, right))
            verdicts.append(True)
        for left, right in itertools.product(texts.answers, texts.near_misses):
            found.append(AnswerPair(question, left, right))
            verdicts.append(False)
    return Judged(found, np.array(verdicts, bool))


def rarities(answers: Sequence[str]) -> dict[str, float]:
    """Rarity of the FREQUENT most frequent stems: log(n / count), scaled so that the rarest of them has 1."""
    distinct = set(answers)
    counts = Counter(stem for text in distinct for stem in stems_of(text))
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT]
    least = math.log(len(distinct) / top[-1][1])
    found = {stem: round(math.log(len(distinct) / count) / least, 2) for stem, count in top}
    for stem in sorted(stems_of(ACTION_WORDS)):
        found[stem] = min(found.get(stem, 1.0), ACTION_RARITY)
    return found


def features(pairs: Sequence[AnswerPair], rarity: Rarity) -> Floats:
    """Features (n, len(FEATURES)) of pairs, with vectors of the embedded model."""
    place: dict[str, int] = {}
    sides = np.array([[place.setdefault(text, len(place)) for text in pair[:3]] for pair in pairs])
    texts = list(place)
    described = Texts([answer_words(text) for text in texts], MiniLMEmbedder().embed(texts), texts)
    return pair_features(described, sides, rarity)


def contradicting(pairs: Sequence[AnswerPair]) -> NDArray[np.bool_]:
    """Which pairs (n,) contradict each other."""
    known = {text: facts(text) for text in {text for pair in pairs for text in (pair.left, pair.right)}}
    return np.array([contradict(known[pair.left], known[pair.right]) is not None for pair in pairs])


def fit(rows: Floats, same: NDArray[np.bool_], weight: Floats) -> tuple[Floats, float]:
    """Weights (of the features as they are) and intercept of a ridge-penalised logistic regression. ``weight`` (n,)."""
    centre, scale = rows.mean(0), rows.std(0)
    scale = np.where(scale < 1e-9, 1.0, scale)
    z, y = (rows - centre) / scale, same.astype(float)

    def loss(b: Floats) -> tuple[float, Floats]:
        line = z @ b[1:] + b[0]
        slope = weight * (1 / (1 + np.exp(-line)) - y)
        value = float((weight * (np.logaddexp(0, line) - y * line)).sum() + PENALTY / 2 * (b[1:] ** 2).sum())
        return value, np.concatenate(([slope.sum()], z.T @ slope + PENALTY * b[1:]))

    found = minimize(loss, np.zeros(z.shape[1] + 1), jac=True, method="L-BFGS-B").x
    weights = found[1:] / scale
    return weights, float(found[0] - centre @ weights)


if __name__ == "__main__":
    main()
