"""Nearest neighbours: the exact comparison of all pairs against the index that replaces it above EXACT_LIMIT.

    uv run python -m benchmarks.neighbours [--size 100000] [--dimensions 384]

It compares time, memory and recall in one run. The vectors are drawn around centres (20 queries and 20 entries each),
as wordings lie around intents. Each method runs in a process of its own, so that its peak memory is its own. Only the
ratios are comparable between machines. Measured at the full size on two busy cores, in two runs: the index is 11 to 19
times faster, takes 1.6 times the memory, and finds 0.995 of the neighbours.
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
"""Neighbours of each query."""
PER_CENTRE = 20
"""Queries, and entries, of each centre."""
NOISE = 0.75
"""Length of the vector added to a centre. With it, two wordings of one intent have a cosine of about 0.64."""


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def draw(rng: np.random.Generator, centres: np.ndarray, number: int) -> np.ndarray:
    away = unit(rng.standard_normal((number, centres.shape[1]), dtype=np.float32))
    return unit(centres[rng.integers(0, len(centres), number)] + NOISE * away)


def write_vectors(folder: Path, size: int, dimensions: int) -> None:
    rng = np.random.default_rng(0)
    centres = unit(rng.standard_normal((max(1, size // PER_CENTRE), dimensions), dtype=np.float32))
    for part in ("queries", "entries"):
        np.save(folder / f"{part}.npy", draw(rng, centres, size))


def find(folder: Path, method: str) -> None:
    """Writes the neighbours into the folder and prints seconds, peak bytes beyond the vectors, and recall."""
    queries, entries = np.load(folder / "queries.npy"), np.load(folder / "entries.npy")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    found = nearest_neighbours(queries, entries, K, exact_limit=sys.maxsize if method == "exact" else 0)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    np.save(folder / f"{method}.npy", found.places)
    print(seconds, peak * 1024, found.recall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000, help="queries, and entries")
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--step", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step, folder = options.step[0], Path(options.step[1])
        write_vectors(folder, options.size, options.dimensions) if step == "draw" else find(folder, step)
        return
    measured: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # This process stays small, because Linux counts the peak memory of the parent as the child's.
        for step in ("draw", "exact", "index"):
            command = [sys.executable, "-m", "benchmarks.neighbours", "--step", step, name]
            command += ["--size", str(options.size), "--dimensions", str(options.dimensions)]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            measured[step] = [float(number) for number in out.split()]
        exact, found = np.load(folder / "exact.npy"), np.load(folder / "index.npy")
    shared = np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(exact, found, strict=True)])
    print(f"{options.size:,} queries x {options.size:,} entries, {options.dimensions} dimensions, {K} nearest")
    for method in ("exact", "index"):
        seconds, peak, recall = measured[method]
        print(f"  {method:<6} {seconds:8.1f} s   {peak / 2**20:6.0f} MB over the vectors   recall {recall:.4f}")
    (exact_s, exact_b, _), (index_s, index_b, recall) = measured["exact"], measured["index"]
    print(
        f"exact / index: {exact_s / index_s:.1f}x time, {exact_b / index_b:.2f}x memory; recall {recall:.4f} as "
        f"measured on a sample, {shared:.4f} over all queries (target >= {LEAST_RECALL})"
    )


if __name__ == "__main__":
    main()
