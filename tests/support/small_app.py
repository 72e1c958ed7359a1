"""An application with its log as a source folder: a few questions of one agent_type, asked every day."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cachewarm_client.cache import WarmedSemanticCache

AGENT = "support"
USUAL = [f"How do I {verb} {thing}?" for verb in ("rotate", "revoke", "export") for thing in ("keys", "logs", "users")]


def truth(question: str) -> str:
    """The right answer to a question."""
    return f"The answer to: {question}"


@dataclass
class App:
    """Asks the cache and, on a miss, its model. Logs every request under ``folder``/llm_query_logs, a file a day."""

    folder: Path
    rows: dict[date, list[dict[str, Any]]] = field(default_factory=dict)
    hits: Counter[bool] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    asked: int = 0

    def ask(
        self, at: datetime, question: str, cache: WarmedSemanticCache | None = None, feedback: int | None = None
    ) -> bool:
        """Asks one question as one of five users. Returns whether the cache answered."""
        self.asked += 1
        hits = cache.check(question, agent_type=AGENT) if cache else []
        answer = hits[0]["response"] if hits else truth(question)
        if answer != truth(question):
            self.wrong.append(f"{at}: {question} -> {answer}")
        self.hits[bool(hits)] += 1
        row = {
            "query": question,
            "agent_type": AGENT,
            "response": answer,
            "created_at": at,
            "user_id": f"user {self.asked % 5}",
            "cache_hit": bool(hits),
            "feedback": feedback,
        }
        self.rows.setdefault(at.date(), []).append(row)
        return bool(hits)

    def history(self, until: datetime, days: int, questions: list[str] = USUAL) -> None:
        """Logs sixty lookups a day, all of them misses, for the ``days`` before ``until``."""
        for back in range(days, 0, -1):
            for n in range(60):
                self.ask(until - timedelta(days=back) + timedelta(minutes=20 * n), questions[n % len(questions)])
        self.flush()

    def flush(self, again: bool = False) -> None:
        """Writes the days that have new rows, or all days (``again``). Each file appears at once and complete."""
        folder = self.folder / "llm_query_logs"
        folder.mkdir(parents=True, exist_ok=True)
        for day, rows in self.rows.items():
            file = folder / f"{day}.parquet"
            if again or not file.exists() or pq.read_metadata(file).num_rows != len(rows):
                part = file.with_suffix(".part")
                schema = pa.Table.from_pylist(rows).schema
                feedback = schema.get_field_index("feedback")
                pq.write_table(
                    pa.Table.from_pylist(rows, schema=schema.set(feedback, pa.field("feedback", pa.int64()))), part
                )
                part.replace(file)


def settings_of(home: Path, source: Path, redis_url: str, name: str, **more: str) -> dict[str, str]:
    """The environment of a small pipeline over such an application."""
    return {
        "CACHEWARM_HOME": str(home),
        "CACHEWARM_NAME": name,
        "CACHEWARM_REDIS_URL": redis_url,
        "CACHEWARM_SOURCE_URL": str(source),
        "CACHEWARM_JUDGE": "exact",
        "CACHEWARM_LOOKBACK_DAYS": "5",
        "CACHEWARM_REPLAY_DAYS": "1",
        **more,
    }
