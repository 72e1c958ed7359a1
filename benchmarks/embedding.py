"""Embedding 1,000 short texts: sorted batches compared with one text at a time, on the same model and threads.

    uv run python -m benchmarks.embedding

The rounds are interleaved and the medians compared, so that a busy machine slows all variants alike. Only the ratios
are comparable between machines; the rates are not.
"""

import random
import statistics
import time
from collections.abc import Callable

import numpy as np
from cachewarm_client.embedders.minilm import MiniLMEmbedder

TEXTS = 1_000
ROUNDS = 3
TARGET = 1.7

VERBS = ["review", "explain", "refactor", "test", "deploy", "secure", "document", "profile", "migrate", "debug"]
THINGS = ["the login form", "this SQL query", "a Python service", "the build script", "an API client", "the job queue"]
ENDS = ["", " for version 2", " before the release", " without downtime", " and say what could go wrong"]
STARTS = ["how do I ", "please ", "", "what is the best way to ", "can you "]


def short_texts(number: int, seed: int = 7) -> list[str]:
    """``number`` distinct requests of 4 to 16 words, as people type them."""
    draw = random.Random(seed)
    texts = (f"{start}{verb} {thing}{end}" for start in STARTS for verb in VERBS for thing in THINGS for end in ENDS)
    return draw.sample(list(texts), number)


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """(elapsed, processor) seconds. A busy machine disturbs processor time less."""
    elapsed, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - elapsed, time.process_time() - processor


def main() -> None:
    texts = short_texts(TEXTS)
    one_thread, two_threads = MiniLMEmbedder(threads=1), MiniLMEmbedder(threads=2)
    load, _ = seconds(lambda: one_thread.embed(texts[:1]))
    two_threads.embed(texts[:1])
    variants: dict[str, Callable[[], object]] = {
        "one by one, 1 thread": lambda: [one_thread.embed([text]) for text in texts],
        "sorted batches, 1 thread": lambda: one_thread.embed(texts),
        "sorted batches, 2 threads": lambda: two_threads.embed(texts),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, work in variants.items():
            times[name].append(seconds(work))
    medians = {name: [statistics.median(side) for side in zip(*rounds, strict=True)] for name, rounds in times.items()}
    base = medians["one by one, 1 thread"]
    words = statistics.mean(len(text.split()) for text in texts)
    print(f"{TEXTS:,} texts of {words:.0f} words, median of {ROUNDS} interleaved rounds; model loaded in {load:.2f} s")
    for name, (elapsed, _) in medians.items():
        print(f"  {name:<26} {TEXTS / elapsed:7.0f} texts/s   {base[0] / elapsed:5.2f}x")
    elapsed, processor = medians["sorted batches, 1 thread"]
    print(
        f"sorted batches / one by one, same model and threads: {base[0] / elapsed:.2f}x elapsed, "
        f"{base[1] / processor:.2f}x by processor time (target >= {TARGET}x)"
    )
    alone = np.concatenate([one_thread.embed([text]) for text in texts[:50]])
    print(f"bit-identical alone and batched: {np.array_equal(one_thread.embed(texts[:50]), alone)}")


if __name__ == "__main__":
    main()
