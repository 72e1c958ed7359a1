"""What readers counted on a day, read from Redis. What it means is decided in core.counted."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import redis

from cachewarm_pipeline.core import counted
from cachewarm_pipeline.core.days import start_of
from cachewarm_pipeline.core.generation import arms_key, served_key, stats_key
from cachewarm_pipeline.core.search import as_mapping, text
from cachewarm_pipeline.core.stats import day_of, hour_of
from cachewarm_pipeline.resources.cache_index import told_clearly

if TYPE_CHECKING:
    from cachewarm_pipeline.core.counted import Served

HOURS = 24


@dataclass(frozen=True)
class DayRead:
    """Counts of one UTC day over all readers. ``served``: hits of warmed entries by entry id."""

    arms: pa.Table
    """ARM_COUNTS: of readers that have a holdout."""
    hours: pa.Table
    """HOUR_COUNTS: of all readers."""
    served: "dict[str, Served]"


def read_day(client: "redis.Redis", name: str, day: date) -> DayRead:
    """What the readers of a cache counted on a UTC day: one round trip, empty where they counted nothing.

    Fields that are not ours count nowhere. Memory: the day's fields, some 300 bytes for an entry and hour with hits.
    Raises CacheError when Redis is lost or refuses.
    """
    begins = [start_of(day) + timedelta(hours=hour) for hour in range(HOURS)]
    pipe: Any = client.pipeline(transaction=False)
    for begin in begins:
        pipe.hgetall(stats_key(name, hour_of(begin)))
    for begin in begins:
        pipe.hgetall(served_key(name, hour_of(begin)))
    pipe.hgetall(arms_key(name, day_of(start_of(day))))
    with told_clearly(f"reading the counters of {day}"):
        replies = [_fields(reply) for reply in pipe.execute(raise_on_error=False)]
    hours, served, arms = replies[:HOURS], replies[HOURS:-1], replies[-1]
    return DayRead(
        counted.arm_counts(arms),
        counted.hour_counts(_dated(begins, hours)),
        counted.served_by_entry(_dated(begins, served)),
    )


def _dated(begins: list[datetime], hashes: list[dict[str, str]]) -> list[tuple[datetime, dict[str, str]]]:
    return list(zip(begins, hashes, strict=True))


def _fields(reply: Any) -> dict[str, str]:
    """A hash as text. What somebody else keeps under such a key is no count, and no fault."""
    if isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE"):
        return {}
    if isinstance(reply, Exception):
        raise reply
    return {text(name): text(value) for name, value in as_mapping(reply).items()}
