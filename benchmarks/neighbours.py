"""All pairs compared against the index that takes over past EXACT_LIMIT: time, memory and recall, in one run.

    uv run python -m benchmarks.neighbours [--size 100000] [--dimensions 384]

Vectors are drawn around centres (20 queries and 20 entries each), as wordings lie around intents. Each way runs in a
process of its own, so that its peak memory is its own; only the ratios mean something. At the full size, on two busy
cores: the index is 11 to 19 times faster in two runs, takes 1.6 times the memory, and finds 0.995 of the neighbours.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from cachewarm_pipeline.numerics.nearest_neighbours import LEAST_RECALL, nearest_neighbours

K = 10
A_CENTRE = 20
NOISE = 0.75
"""Length of what is added to a centre: two wordings of one intent have a cosine of about 0.64."""


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def draw(rng: np.random.Generator, centres: np.ndarray, number: int) -> np.ndarray:
    away = unit(rng.standard_normal((number, centres.shape[1]), dtype=np.float32))
    return unit(centres[rng.integers(0, len(centres), number)] + NOISE * away)


def write_vectors(folder: Path, size: int, dimensions: int) -> None:
    rng = np.random.default_rng(0)
    centres = unit(rng.standard_normal((max(1, size // A_CENTRE), dimensions), dtype=np.float32))
    for part in ("queries", "entries"):
        np.save(folder / f"{part}.npy", draw(rng, centres, size))


def find(folder: Path, way: str) -> None:
    """Results into the folder; prints seconds, bytes over what the vectors take, recall."""
    queries, entries = np.load(folder / "queries.npy"), np.load(folder / "entries.npy")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    found = nearest_neighbours(queries, entries, K, exact_limit=sys.maxsize if way == "exact" else 0)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    np.save(folder / f"{way}.npy", found.places)
    print(seconds, peak * 1024, found.recall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000, help="queries, and entries")
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--step", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        step, folder = given.step[0], Path(given.step[1])
        write_vectors(folder, given.size, given.dimensions) if step == "draw" else find(folder, step)
        return
    told: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # This process stays small: Linux counts the parent's peak memory as the child's own.
        for step in ("draw", "exact", "index"):
            command = [sys.executable, "-m", "benchmarks.neighbours", "--step", step, name]
            command += ["--size", str(given.size), "--dimensions", str(given.dimensions)]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            told[step] = [float(number) for number in out.split()]
        exact, found = np.load(folder / "exact.npy"), np.load(folder / "index.npy")
    shared = np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(exact, found, strict=True)])
    print(f"{given.size:,} queries x {given.size:,} entries, {given.dimensions} dimensions, {K} nearest")
    for way in ("exact", "index"):
        seconds, peak, recall = told[way]
        print(f"  {way:<6} {seconds:8.1f} s   {peak / 2**20:6.0f} MB over the vectors   recall {recall:.4f}")
    (exact_s, exact_b, _), (index_s, index_b, recall) = told["exact"], told["index"]
    print(
        f"exact / index: {exact_s / index_s:.1f}x time, {exact_b / index_b:.2f}x memory; recall {recall:.4f} as "
        f"measured on a sample, {shared:.4f} over all queries (target >= {LEAST_RECALL})"
    )


if __name__ == "__main__":
    main()
