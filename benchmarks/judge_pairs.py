"""Pairs of answers with people's verdicts, for the benchmarks of the judge."""

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cachewarm_pipeline.ports import AnswerPair

COLUMNS = ("question", "left", "right", "same")


@dataclass(frozen=True)
class Judged:
    """Pairs of answers, and whether people call them equivalent."""

    pairs: list[AnswerPair]
    same: NDArray[np.bool_]
    """(n,)"""

    def part(self, chosen: NDArray[np.bool_]) -> "Judged":
        """The chosen pairs, bool (n,)."""
        return Judged([self.pairs[i] for i in np.flatnonzero(chosen).tolist()], self.same[chosen])


def read_pairs(path: Path) -> Judged:
    """The pairs of a Parquet file.

    With the columns question, left, right and same: as they are. With question, answer and right (whether a person
    calls the answer right): two right answers to one question are equivalent; a right one and a wrong one are not; two
    wrong ones are left out, since nobody knows. Raises SystemExit for other columns.
    """
    table = pq.read_table(path)
    names = set(table.column_names)
    if names >= set(COLUMNS):
        question, left, right, same = (table[name].to_pylist() for name in COLUMNS)
        pairs = [AnswerPair(*texts) for texts in zip(question, left, right, strict=True)]
        return Judged(pairs, np.array(same, bool))
    if not names >= {"question", "answer", "right"}:
        raise SystemExit(f"{path} has neither the columns {', '.join(COLUMNS)} nor question, answer, right")
    by_question: dict[str, list[tuple[str, bool]]] = {}
    for row in table.select(["question", "answer", "right"]).to_pylist():
        by_question.setdefault(row["question"], []).append((row["answer"], row["right"]))
    found, verdicts = [], []
    for question, answers in by_question.items():
        for (left, left_right), (right, right_right) in itertools.combinations(answers, 2):
            if left_right or right_right:
                found.append(AnswerPair(question, left, right))
                verdicts.append(left_right and right_right)
    return Judged(found, np.array(verdicts, bool))


def held_part(pairs: list[AnswerPair], share: float = 0.3) -> NDArray[np.bool_]:
    """Which pairs are held out, bool (n,): a hash of the question decides, so no question is on both sides."""
    return np.array([place_of(pair.question) < share for pair in pairs], bool)


def place_of(question: str) -> float:
    """A place in 0..1 that depends on the question alone."""
    return int(hashlib.sha256(question.encode()).hexdigest()[:8], 16) / 2**32


def auc(score: NDArray[np.float64], same: NDArray[np.bool_]) -> float:
    """Probability that an equivalent pair scores higher than a different one; ties count half."""
    from scipy.stats import rankdata

    ranks, positives = rankdata(score), int(same.sum())
    negatives = len(same) - positives
    return float((ranks[same].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def recall_at(score: NDArray[np.float64], same: NDArray[np.bool_], rate: float) -> float:
    """Largest recall at a false-positive rate of at most ``rate``."""
    return float((score[same] >= threshold_at(score, same, rate)).mean())


def threshold_at(score: NDArray[np.float64], same: NDArray[np.bool_], rate: float) -> float:
    """The lowest score from which at most ``rate`` of the different pairs count as equivalent."""
    wrong = np.sort(score[~same])[::-1]
    allowed = int(rate * len(wrong))
    above = score[score > wrong[allowed]] if allowed < len(wrong) else score
    return float(above.min()) if len(above) else float("inf")
