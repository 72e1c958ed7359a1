"""Time of the `local` judge on long answers, against the time that embedding them takes.

    uv run python -m benchmarks.judge_speed [--prompts 100]

Each prompt has eight answers of about 1,500 characters, put together from the wordings of the sample. All 28 pairs of a
prompt are judged. Prints JSON: seconds of embedding alone, seconds of judging with the vectors stored (words, features
and veto of each text are new), the ratio (target: at most 3 for both together), and the same again with the words
stored.
"""

import argparse
import itertools
import json
import random
import tempfile
import time

from cachewarm_client.embedders.minilm import MiniLMEmbedder

from cachewarm_pipeline.answers.judges.answer_words_store import AnswerWordsStore
from cachewarm_pipeline.answers.judges.local import LocalJudge
from cachewarm_pipeline.embedded.sample.free_text_answers import texts
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts
from cachewarm_pipeline.ports import AnswerPair
from cachewarm_pipeline.storage.vectors import ParquetVectorStore

CHARACTERS = 1_500


def long_answers(prompts: int, seed: int) -> list[list[str]]:
    """Eight answers to each prompt: the same claims in other wordings and another order."""
    draw = random.Random(seed)
    tables = [table for table in texts().values() if not any("{" in text for text in table.answers)]
    found = []
    for number in range(prompts):
        claims = draw.sample(tables, 14)
        own = []
        for variant in range(8):
            parts = [draw.choice(claim.answers) for claim in draw.sample(claims, len(claims))]
            own.append(f"Answer {number}-{variant}. " + "\n\n".join(parts)[:CHARACTERS])
        found.append(own)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", type=int, default=100)
    answers = long_answers(parser.parse_args().prompts, seed=1)
    questions = [f"Plan the work of team {number}" for number in range(len(answers))]
    pairs = [
        AnswerPair(question, left, right)
        for question, own in zip(questions, answers, strict=True)
        for left, right in itertools.combinations(own, 2)
    ]
    with tempfile.TemporaryDirectory() as folder:
        embedder = MiniLMEmbedder()
        vectors = ParquetVectorStore(f"{folder}/vectors", embedder.info.id)
        embedding = embed_new_texts(embedder, vectors, [*questions, *itertools.chain(*answers)]).seconds
        times = []
        for _ in range(2):
            judge = LocalJudge(embedder, vectors, AnswerWordsStore(f"{folder}/words"), lambda _: None)
            started = time.perf_counter()
            judge.probability(pairs)
            times.append(time.perf_counter() - started)
    shown = {
        "answers": sum(map(len, answers)),
        "pairs": len(pairs),
        "embedding_seconds": round(embedding, 1),
        "judging_seconds": round(times[0], 1),
        "ratio": round((embedding + times[0]) / embedding, 2),
        "judging_again_seconds": round(times[1], 1),
    }
    print(json.dumps(shown, indent=2))


if __name__ == "__main__":
    main()
