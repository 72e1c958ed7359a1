"""The default judge against people's verdicts on pairs of answers.

    uv run python -m benchmarks.judge PAIRS.parquet [--held]

PAIRS.parquet has the columns question, left, right, same; or question, answer, right (see judge_pairs). Prints JSON:
``auc``; ``recall_at``, the recall at false-positive rates of 2, 5 and 7%; ``default``, recall and false-positive rate
at the default operating point (a pair counts as equivalent as evidence for a certificate). With ``--held``, only the
questions that ``benchmarks.fit_judge`` leaves out of its fit.
"""

import argparse
import json
import tempfile
from pathlib import Path

from cachewarm_client.embedders.minilm import MiniLMEmbedder

from benchmarks.judge_pairs import auc, held_part, read_pairs, recall_at
from cachewarm_pipeline.answers.judges.answer_words_store import AnswerWordsStore
from cachewarm_pipeline.answers.judges.local import LocalJudge
from cachewarm_pipeline.answers.judges.local_model import local_model
from cachewarm_pipeline.ports import JudgeUse
from cachewarm_pipeline.storage.vectors import ParquetVectorStore

RATES = ("0.02", "0.05", "0.07")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--held", action="store_true", help="only the questions that the fit leaves out")
    arguments = parser.parse_args()
    judged = read_pairs(arguments.pairs)
    if arguments.held:
        judged = judged.part(held_part(judged.pairs))
    if judged.same.all() or not judged.same.any():
        raise SystemExit(f"{arguments.pairs}: needs pairs that are the same and pairs that are not")
    with tempfile.TemporaryDirectory() as folder:
        embedder = MiniLMEmbedder()
        vectors = ParquetVectorStore(f"{folder}/vectors", embedder.info.id)
        judge = LocalJudge(embedder, vectors, AnswerWordsStore(f"{folder}/words"), lambda _: None)
        score = judge.probability(judged.pairs)
    yes = score >= local_model().operating_points[JudgeUse.LABEL]
    print(  # noqa: T201
        json.dumps(
            {
                "pairs": len(judged.pairs),
                "same": int(judged.same.sum()),
                "auc": round(auc(score, judged.same), 4),
                "recall_at": {rate: round(recall_at(score, judged.same, float(rate)), 4) for rate in RATES},
                "default": {
                    "recall": round(float(yes[judged.same].mean()), 4),
                    "false_positive_rate": round(float(yes[~judged.same].mean()), 4),
                },
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
