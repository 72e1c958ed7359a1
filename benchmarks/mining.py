"""Mining the query log: one day with a short and a long history, a large day, and the rollup of a month.

    uv run python -m benchmarks.mining

The rounds are interleaved and the medians compared, so that a busy machine slows both sides alike. Only the ratio is
comparable between machines; the rates are not. The queries of this log are numbered (by a Zipf distribution) and are
not the sample's sentences.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.process_memory import peak_memory
from cachewarm_pipeline.candidates.window_rollup import roll_up_frequent_queries
from cachewarm_pipeline.query_log.daily_counts import count_day
from cachewarm_pipeline.query_log.day_weights import day_weights
from cachewarm_pipeline.query_log.sources.folder_files import forget_footers
from cachewarm_pipeline.query_log.sources.open_source import open_source
from cachewarm_pipeline.storage.schemas import DAILY_QUERY_COUNTS, TIMESTAMP

LAST = date(2026, 11, 22)
SHORT, LONG, ROUNDS, TARGET = 7, 90, 15, 1.1
SAMPLE_DAY, BUSY_DAY, LARGE_DAY = 2_200, 20_000, 333_000
DAYS, DISTINCT = 30, 50_000


def log_of(day: date, rows: int) -> pa.Table:
    """A day of log: few queries are asked often, most rarely; each has a few spellings and answers."""
    draw = np.random.default_rng(day.toordinal())
    query, spelling, answer = np.minimum(draw.zipf(1.3, rows), 200_000), draw.integers(0, 3, rows), draw.random(rows)
    starts, ends = np.array(["How do I", "how do i", "How  do I"]), np.array(["?", "", " please"])
    queries = [
        f"{starts[s]} review module {q} for security problems{ends[s]}" for q, s in zip(query, spelling, strict=True)
    ]
    padding = "The input is used without a check, and so is the query that is built from it. " * 4
    responses = [
        f'{{"module": {q}, "version": {int(a * 3)}, "finding": "{padding}"}}'
        for q, a in zip(query, answer, strict=True)
    ]
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    micros = np.sort(draw.integers(0, 86_400_000_000, rows)) + int(start.timestamp()) * 1_000_000
    return pa.table(
        {
            "query": queries,
            "agent_type": pa.array([f"agent_{n}" for n in query % 6]),
            "response": responses,
            "created_at": pa.array(micros, pa.int64()).cast(TIMESTAMP),
            "user_id": pa.array([f"user {n}" for n in draw.integers(0, 5_000, rows)]),
            "cache_hit": draw.random(rows) < 0.2,
            "feedback": pa.array(draw.integers(-1, 2, rows), mask=draw.random(rows) < 0.98),
            "prompt_tokens": draw.integers(10, 500, rows),
            "completion_tokens": draw.integers(10, 500, rows),
            "cost_usd": draw.random(rows) / 100,
            "latency_ms": draw.random(rows) * 1_000,
        }
    )


def write_log(folder: Path, days: int, rows: int) -> Path:
    (folder / "llm_query_logs").mkdir(parents=True)
    for back in range(days):
        day = LAST - timedelta(back)
        pq.write_table(log_of(day, rows), folder / "llm_query_logs" / f"{day}.parquet")
    return folder


def mine_last_day(folder: Path) -> tuple[float, float]:
    """(elapsed, processor) seconds from opening the source to the day's daily_query_counts, as in a fresh process."""
    forget_footers()
    started, worked = time.perf_counter(), time.process_time()
    groups = open_source(folder, tables={}, columns={}).day_groups(LAST)
    count_day(groups.queries, groups.responses, groups.users, groups.response_users)
    return time.perf_counter() - started, time.process_time() - worked


def one_day(folder: Path, rows: int) -> None:
    short, long = write_log(folder / "short", SHORT, rows), write_log(folder / "long", LONG, rows)
    mine_last_day(short), mine_last_day(long)
    times: dict[Path, list[tuple[float, float]]] = {short: [], long: []}
    for number in range(ROUNDS):
        for source in (short, long) if number % 2 else (long, short):
            times[source].append(mine_last_day(source))
    (low, low_cpu), (high, high_cpu) = (
        [statistics.median(column) for column in zip(*times[source], strict=True)] for source in (short, long)
    )
    print(
        f"  {rows:>7,} rows a day: {SHORT} days of history {low:.3f} s, {LONG} days {high:.3f} s: "
        f"ratio {high / low:.2f}, of processor time {high_cpu / low_cpu:.2f} (target <= {TARGET})"
    )


def large_day(folder: Path) -> None:
    write_log(folder, 1, LARGE_DAY)
    seconds = min(mine_last_day(folder)[0] for _ in range(3))
    print(f"  {LARGE_DAY:>7,} rows in one day: {seconds:.2f} s, {LARGE_DAY / seconds:,.0f} rows/s")


def counts_of(day: date) -> pa.Table:
    """daily_query_counts of DISTINCT queries, each with two answers of 600 bytes.

    A third of the queries are asked on other days too."""
    draw = np.random.default_rng(day.toordinal())
    number = DISTINCT
    known = draw.permutation(np.arange(number // 3 * 2))[: number // 3]
    rare = np.arange(number - len(known)) + 1_000_000 + day.toordinal() * number
    query = np.concatenate([known, rare])
    count = np.where(query < 1_000_000, draw.integers(1, 20, number), 1)
    canonical = pa.array([f"how do i review module {q} for security problems" for q in query])
    offsets = pa.array(np.arange(number + 1) * 2, pa.int32())
    padding = "The input is used without a check, and so is the query that is built from it. " * 7
    texts = pa.array(
        [f'{{"module": {q}, "v": {v}, "finding": "{padding}"}}' for q in query for v in (0, day.day % 4 + 1)]
    )
    at = pa.array(np.full(2 * number, 1_790_000_000_000_000), pa.int64()).cast(TIMESTAMP)
    each = pa.array(np.ones(2 * number, np.int64))
    responses = pa.StructArray.from_arrays(
        [texts, each, at, pa.array(np.zeros(2 * number, np.int64)), pa.nulls(2 * number, pa.string())],
        fields=list(DAILY_QUERY_COUNTS.field("responses").type.value_type),
    )
    users = pa.ListArray.from_arrays(offsets, pa.array([f"{n:016x}" for n in draw.integers(0, 5_000, 2 * number)]))
    zeros, ones = np.zeros(number), np.ones(number, np.int64)
    columns = {
        "agent_type": pa.array([f"agent_{q % 6}" for q in query]),
        "canonical": canonical,
        "prompt": canonical,
        "prompt_count": count,
        "count": count,
        "cache_hits": ones * 0,
        "users": users,
        "responses": pa.ListArray.from_arrays(offsets, responses),
        "answered": ones * 2,
        "cost_usd": zeros + 0.01,
        "costed": ones,
        "latency_ms": zeros,
        "timed": ones,
        "tokens": ones,
    }
    return pa.table([columns[name] for name in DAILY_QUERY_COUNTS.names], schema=DAILY_QUERY_COUNTS)


def roll_up(folder: Path) -> None:
    """Rolls the days in the folder up. Runs in a process of its own, so that the peak memory is that of the rollup."""

    def days(columns: Sequence[str]) -> Iterator[tuple[date, pa.Table]]:
        for path in sorted(folder.iterdir()):
            yield date.fromisoformat(path.stem), pq.read_table(path, columns=list(columns))

    import pandas.util  # noqa: F401  (its memory is part of the baseline)

    in_folder = [date.fromisoformat(path.stem) for path in folder.iterdir()]
    weights = day_weights(in_folder, max(in_folder), 14)
    before = peak_memory()
    started = time.perf_counter()
    found = roll_up_frequent_queries(days, weights=weights, min_frequency=5, min_users=2)
    seconds = time.perf_counter() - started
    stored = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    print(f"  {DAYS} days x {DISTINCT:,} distinct queries ({stored:,.0f} MiB of Parquet): {seconds:.1f} s")
    mib = found.table.nbytes / 2**20
    print(f"  {found.table.num_rows:,} frequent queries, {found.excluded.total():,} excluded; table {mib:,.0f} MiB")
    print(f"  peak memory {peak_memory():,.0f} MiB, of which {before:,.0f} MiB before the first day")


def main() -> None:
    if len(sys.argv) > 1:
        roll_up(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("One day from Parquet, the source opened again each time:")
        for rows in (SAMPLE_DAY, BUSY_DAY):
            one_day(folder / str(rows), rows)
        large_day(folder / "large")
        print("The rollup:")
        counts = folder / "counts"
        counts.mkdir()
        for back in range(DAYS):
            day = LAST - timedelta(back)
            pq.write_table(counts_of(day), counts / f"{day}.parquet", compression="zstd")
        subprocess.run([sys.executable, "-m", "benchmarks.mining", str(counts)], check=True)


if __name__ == "__main__":
    main()
