"""Which queries the roll-up calls volatile, and which answer it warms, on logs where the truth is known.

    uv run python -m benchmarks.volatility [open_answers.parquet] [--seed 1]

Prints JSON. Without a file: logs of 400 queries. A quarter of them change their answer over time, a quarter answer each
user in another way, and half merely reword. A judge that is unsure gives 5:2 for equivalent answers and 2:5 for others
(Beta distributed). With a file of answers that people marked as right (columns question, model, answer, right): each
answer twice on random days of a month, 5,000 users, the judge that the settings name and the real embedder.

Measured, precision and recall (seed 1), 12 to 40 rows a query unless noted:

    log                                 volatile    by user
    weekly change                       1.00 1.00   0.98 1.00
    daily change                        1.00 1.00   0.95 1.00
    one change in the month             1.00 0.98   1.00 1.00
    weekly, 5 to 11 rows                1.00 1.00   0.93 0.98
    weekly, a judge that is sure        1.00 1.00   1.00 1.00

On 3,019 questions with the answers of four models, of which people call 65% to 80% right (74.3% of all): no query is
volatile, and 80.1% of the warmed answers are right. The `local` judge was fitted on 70% of these questions.
"""

import argparse
import json
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cachewarm_client.text import canonical, hash_user
from numpy.typing import NDArray

from cachewarm_pipeline.answers.probability_matrix import Probability
from cachewarm_pipeline.answers.volatility import REASONS, ChangeKind
from cachewarm_pipeline.candidates.window_rollup import FrequentQueries, roll_up_frequent_queries
from cachewarm_pipeline.ports import AnswerPair
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.storage.schemas import DAILY_QUERY_COUNTS, MAX_RESPONSES, MAX_USERS
from cachewarm_pipeline.workspace.workspace import Workspace

FIRST, DAYS = date(2026, 11, 1), 30


@dataclass(frozen=True)
class LogRow:
    """A call: day of the window, user, query and answer."""

    day: int
    user: str
    query: str
    answer: str


def drift_log(
    seed: int, *, queries: int = 400, rows: tuple[int, int] = (12, 40), period: int = 7, users: int = 6
) -> tuple[list[LogRow], dict[str, ChangeKind]]:
    """A log, and the truth by query. The answer is ``value#number``: equivalent to those with the same value."""
    rng = random.Random(seed)
    log, truth = [], {}
    kinds = (ChangeKind.OVER_TIME, ChangeKind.BY_USER, ChangeKind.STABLE, ChangeKind.STABLE)
    for number in range(queries):
        kind, name = kinds[number % 4], f"query {number}"
        truth[name] = kind
        start = rng.randint(8, 22) if period >= DAYS else rng.randrange(period)
        for call in range(rng.randint(*rows)):
            day, user = rng.randrange(DAYS), f"u{rng.randrange(users)}"
            value = {
                ChangeKind.OVER_TIME: str((day + start) // period),
                ChangeKind.BY_USER: user,
                ChangeKind.STABLE: "same",
            }[kind]
            log.append(LogRow(day, user, name, f"{value}#{call}"))
    return log, truth


def unsure_judge(seed: int, same: tuple[float, float] = (5, 2)) -> Probability:
    """A judge of answers of ``drift_log``: Beta ``same`` for equivalent answers, mirrored for others."""

    def judge(pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
        rng = np.random.default_rng(seed)
        equal = np.array([pair.left.split("#")[0] == pair.right.split("#")[0] for pair in pairs], bool)
        return np.where(equal, rng.beta(*same, len(pairs)), rng.beta(*same[::-1], len(pairs)))

    return judge


def sure_judge(pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
    """The same without doubt."""
    return np.array([pair.left.split("#")[0] == pair.right.split("#")[0] for pair in pairs], np.float64)


def daily_tables(log: Sequence[LogRow]) -> Callable[[Sequence[str]], Iterator[tuple[date, pa.Table]]]:
    """The ``daily_query_counts`` of a log, as the roll-up reads them."""
    calls: dict[int, dict[str, dict[str, list[LogRow]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for row in log:
        calls[row.day][row.query][row.answer].append(row)
    tables = {day: _table(day, by_query) for day, by_query in sorted(calls.items())}

    def days(columns: Sequence[str]) -> Iterator[tuple[date, pa.Table]]:
        for day, table in tables.items():
            yield FIRST + timedelta(day), table.select(list(columns))

    return days


def _table(day: int, by_query: dict[str, dict[str, list[LogRow]]]) -> pa.Table:
    noon = datetime(FIRST.year, FIRST.month, FIRST.day, 12, tzinfo=UTC) + timedelta(day)
    rows = []
    for query, by_answer in by_query.items():
        number = sum(map(len, by_answer.values()))
        responses = [
            {"response": answer, "count": len(calls), "last_at": noon, "negative": 0, "anonymous": 0, "users": users}
            for answer, calls in by_answer.items()
            for users in [sorted({hash_user(call.user) for call in calls})[:MAX_USERS]]
        ]
        numbers = dict.fromkeys(("cache_hits", "costed", "timed", "tokens"), 0) | {"cost_usd": 0.0, "latency_ms": 0.0}
        users = sorted({hash_user(call.user) for calls in by_answer.values() for call in calls})[:MAX_USERS]
        counts = dict.fromkeys(("prompt_count", "count", "answered"), number)
        keys = {"agent_type": "a", "canonical": canonical(query), "prompt": query, "users": users}
        rows.append({**numbers, **counts, **keys, "responses": responses[:MAX_RESPONSES]})
    return pa.Table.from_pylist(rows, schema=DAILY_QUERY_COUNTS)


def rolled(log: Sequence[LogRow], judge: Probability) -> FrequentQueries:
    """The frequent queries of a log with the settings' defaults."""
    return roll_up_frequent_queries(
        daily_tables(log),
        weights=defaultdict(lambda: 1 / DAYS),
        min_frequency=5,
        min_users=2,
        min_stability=0.67,
        judge=judge,
    )


def kinds_found(found: FrequentQueries) -> dict[str, ChangeKind]:
    """The kind of each volatile query, as its detail says."""
    return {
        row["prompt"]: next(
            (kind for kind, words in REASONS.items() if row["detail"].startswith(words)), ChangeKind.STABLE
        )
        for row in found.unfit_queries.to_pylist()
    }


def precision_and_recall(found: set[str], true: set[str]) -> tuple[float, float]:
    """Shares of those found that are true, and of the true that are found."""
    return len(found & true) / max(len(found), 1), len(found & true) / max(len(true), 1)


def drift_figures(log: Sequence[LogRow], truth: dict[str, ChangeKind], judge: Probability) -> dict[str, Any]:
    """Precision and recall of volatile, and of each kind."""
    said = kinds_found(rolled(log, judge))
    figures = {
        str(kind): precision_and_recall(
            {query for query, own in said.items() if own == kind},
            {query for query, own in truth.items() if own == kind},
        )
        for kind in (ChangeKind.OVER_TIME, ChangeKind.BY_USER)
    }
    changing = {query for query, own in truth.items() if own != ChangeKind.STABLE}
    return {"volatile": precision_and_recall(set(said), changing), **figures}


def marked_answers(path: Path, judge: Probability, seed: int) -> dict[str, Any]:
    """Shares of volatile queries and of right answers among those warmed, and of each model's answers."""
    rows = pq.read_table(path).to_pylist()
    rng = random.Random(seed)
    log, right, models = [], defaultdict[tuple[str, str], list[bool]](list), defaultdict[str, list[bool]](list)
    for row in rows:
        right[canonical(row["question"]), row["answer"]].append(row["right"])
        models[row["model"]].append(row["right"])
        log += [
            LogRow(rng.randrange(DAYS), f"u{rng.randrange(5_000)}", row["question"], row["answer"]) for _ in range(2)
        ]
    found = rolled(log, judge)
    warmed = [float(np.mean(right[canonical(row["prompt"]), row["response"]])) > 0.5 for row in found.table.to_pylist()]
    volatile = Counter(kinds_found(found).values())
    total = len(warmed) + volatile.total()
    return {
        "queries": total,
        "warmed": len(warmed),
        "volatile_share": volatile.total() / max(total, 1),
        "volatile": {str(kind): number for kind, number in volatile.items()},
        "right_of_warmed": float(np.mean(warmed)) if warmed else None,
        "right_by_model": {model: float(np.mean(own)) for model, own in models.items()},
        "excluded": {str(reason): number for reason, number in found.excluded.items()},
        "noise": found.noise.to_pylist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, nargs="?")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    logs: dict[str, dict[str, Any]] = {
        "weekly": {},
        "daily": {"period": 1},
        "once": {"period": DAYS},
        "weekly, 5 to 11 rows": {"rows": (5, 11)},
        "weekly, 3 users": {"users": 3},
    }
    printed: dict[str, Any] = {
        name: drift_figures(*drift_log(asked.seed, **how), unsure_judge(asked.seed)) for name, how in logs.items()
    }
    printed["weekly, sure judge"] = drift_figures(*drift_log(asked.seed), sure_judge)
    if asked.path:
        with tempfile.TemporaryDirectory() as home:
            workspace = Workspace(Settings(home=home))
            printed["marked answers"] = marked_answers(
                asked.path, workspace.judge(lambda _: None).probability, asked.seed
            )
    print(json.dumps(printed, indent=2))


if __name__ == "__main__":
    main()
