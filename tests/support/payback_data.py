"""Stored counts of the readers of a small cache, for tests of the payback of entries."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
from cachewarm_client.text import entry_id

from cachewarm_pipeline.storage.datasets import DatasetStore
from cachewarm_pipeline.storage.measurement_schemas import ENTRY_HITS, HOUR_COUNTS

AGENT = "a"
ENOUGH = 100
"""Default number of lookups of a day."""

Row = dict[str, Any]


def hits_row(prompt: str, day: date, hits: int = 0, **more: Any) -> Row:
    """A row of ENTRY_HITS for an entry that was live all day."""
    agent_type = more.get("agent_type", AGENT)
    last = datetime(day.year, day.month, day.day, 13, tzinfo=UTC)
    return {
        "entry_id": entry_id(prompt, agent_type),
        "agent_type": agent_type,
        "prompt": prompt,
        "source": "query_log",
        "cost_usd": 0.5,
        "generation": "g",
        "whole_day": True,
        "hits": hits,
        "last_hit": last if hits else None,
        **more,
    }


def hits_table(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ENTRY_HITS)


def hours_table(day: date, lookups: Mapping[str, int], seconds: float = 1.0, arm: str = "warmed") -> pa.Table:
    """HOUR_COUNTS of one hour: lookups by agent_type, all of them misses that took ``seconds`` together."""
    none = dict.fromkeys(("exact", "semantic", "warmed_hits", "would_hits", "errors"), 0)
    counts = {**none, "hit_seconds": 0.0, "miss_seconds": seconds}
    hour = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
    rows = [{"hour": hour, "arm": arm, "agent_type": name, "misses": n, **counts} for name, n in lookups.items()]
    return pa.Table.from_pylist(rows, schema=HOUR_COUNTS)


def store_day(datasets: DatasetStore, day: date, hits: Mapping[str, int], lookups: int = ENOUGH, **more: Any) -> None:
    """Writes the counts of a day: ``hits`` by prompt, for entries that were live all day."""
    datasets.write("entry_hits", day, hits_table([hits_row(prompt, day, n, **more) for prompt, n in hits.items()]))
    datasets.write("hour_counts", day, hours_table(day, {AGENT: lookups}))


def back(last: date, number: int) -> list[date]:
    """The ``number`` days that end at ``last``, oldest first."""
    return [last - timedelta(days=n) for n in range(number - 1, -1, -1)]
