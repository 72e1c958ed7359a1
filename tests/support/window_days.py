"""Days of ``daily_query_counts`` in memory, and their roll-up."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
from cachewarm_client.text import hash_user

from cachewarm_pipeline.candidates.window_rollup import FrequentQueries, roll_up_frequent_queries
from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.storage.schemas import (
    DAILY_QUERY_COUNTS,
    FREQUENT_QUERIES,
    JUDGE_NOISE,
    UNFIT_QUERIES,
    conform,
)

Row = dict[str, Any]
FIRST = date(2026, 11, 1)
FLAT = defaultdict(lambda: 1 / 30)
"""Every day weighs the same in a window of 30 days."""


def at(day: int, hour: int = 12) -> datetime:
    return datetime(FIRST.year, FIRST.month, FIRST.day, hour, tzinfo=UTC) + timedelta(days=day)


def said(
    response: str = "yes", count: int = 1, day: int = 0, negative: int = 0, hour: int = 12, users: Sequence[str] = ()
) -> Row:
    """A response of one day; the rows of no user have no id."""
    return {
        "response": response,
        "count": count,
        "last_at": at(day, hour),
        "negative": negative,
        "users": sorted(map(hash_user, users)),
        "anonymous": max(0, count - len(users)),
    }


def asked(canonical: str = "q", count: int = 1, *responses: Row, users: Sequence[str] = (), **more: Any) -> Row:
    return {
        "agent_type": "a",
        "canonical": canonical,
        "prompt": canonical,
        "prompt_count": count,
        "count": count,
        "cache_hits": 0,
        "users": sorted(users),
        "responses": list(responses),
        "answered": sum(response["count"] for response in responses),
        "cost_usd": 0.0,
        "costed": 0,
        "latency_ms": 0.0,
        "timed": 0,
        "tokens": 0,
    } | more


class Days:
    """Days of counts in memory; notes the columns it was asked for, and hands over no others."""

    def __init__(self, *days: list[Row]) -> None:
        self.tables = [pa.Table.from_pylist(day, schema=DAILY_QUERY_COUNTS) for day in days]
        self.asked_for: list[tuple[str, ...]] = []

    def __call__(self, columns: Sequence[str]) -> Iterator[tuple[date, pa.Table]]:
        self.asked_for.append(tuple(columns))
        for number, table in enumerate(self.tables):
            yield FIRST + timedelta(number), table.select(list(columns))


def whole(*days: list[Row], **options: Any) -> FrequentQueries:
    found = roll_up_frequent_queries(
        Days(*days), **({"weights": FLAT, "min_frequency": 1, "min_users": 1, "min_stability": 0.5} | options)
    )
    assert conform("frequent_queries", found.table).schema == FREQUENT_QUERIES
    assert conform("unfit_queries", found.unfit_queries).schema == UNFIT_QUERIES
    assert conform("judge_noise", found.noise).schema == JUDGE_NOISE
    return found


def rolled(*days: list[Row], **options: Any) -> tuple[list[Row], Counter[ExclusionReason]]:
    found = whole(*days, **options)
    return found.table.to_pylist(), found.excluded


def unfit(*days: list[Row], **options: Any) -> list[Row]:
    rows: list[Row] = whole(*days, **options).unfit_queries.to_pylist()
    return rows
