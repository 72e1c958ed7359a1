"""What a day's counters in Redis say, as rows: lookups by hour and by bucket, hits by entry. Tolerant of what is not
ours. No Redis here."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa
from cachewarm_client.arms import BUCKETS
from cachewarm_client.counters import ARMS, WARMED_ARM, is_count, tallies
from cachewarm_client.keys import is_entry_id

from cachewarm_pipeline.storage.measurement_schemas import ARM_COUNTS, HOUR_COUNTS

Fields = Mapping[str, str]
"""A hash of Redis as text."""


class EntryHitCount(NamedTuple):
    """Hits of one warmed entry on a day; ``last_hour``: the beginning of the last UTC hour with one."""

    hits: int
    last_hour: datetime


def hour_counts(hours: Iterable[tuple[datetime, Fields]]) -> pa.Table:
    """HOUR_COUNTS of the hashes of single hours, each with the beginning of its hour, in order."""
    rows: list[dict[str, Any]] = []
    for hour, fields in hours:
        for (arm, agent_type), tally in sorted(tallies(fields).items()):
            if tally.lookups or tally.errors:
                rows.append(
                    {
                        "hour": hour,
                        "arm": arm,
                        "agent_type": agent_type,
                        "exact": tally.exact,
                        "semantic": tally.semantic,
                        "misses": tally.misses,
                        # A lost command may leave more hits by app entries than hits.
                        "warmed_hits": max(0, tally.hits - tally.app_hits) if arm == WARMED_ARM else 0,
                        "hit_seconds": tally.hit_us / 1e6,
                        "miss_seconds": tally.miss_us / 1e6,
                        "would_hits": tally.cold_cache_hits,
                        "errors": tally.errors,
                    }
                )
    return pa.Table.from_pylist(rows, HOUR_COUNTS)


def arm_counts(fields: Fields) -> pa.Table:
    """ARM_COUNTS of a day's hash, by arm, agent_type and bucket."""
    found: dict[tuple[str, str, int], list[int]] = {}
    for name, value in fields.items():
        arm, bucket, outcome, agent_type = [*name.split(":", 3), "", "", ""][:4]
        ours = arm in ARMS and bucket in _BUCKETS and outcome in ("hit", "miss") and name.count(":") >= 3
        if ours and is_count(value):
            counts = found.setdefault((arm, agent_type, int(bucket)), [0, 0])
            counts[0] += int(value) if outcome == "hit" else 0
            counts[1] += int(value)
    rows = [
        {"arm": arm, "agent_type": agent_type, "bucket": bucket, "hits": hits, "lookups": lookups}
        for (arm, agent_type, bucket), (hits, lookups) in sorted(found.items())
    ]
    return pa.Table.from_pylist(rows, ARM_COUNTS)


_BUCKETS = {str(bucket) for bucket in range(BUCKETS)}


def served_by_entry(hours: Iterable[tuple[datetime, Fields]]) -> dict[str, EntryHitCount]:
    """Hits by entry id of the hashes of single hours, each with the beginning of its hour, in order."""
    found: dict[str, EntryHitCount] = {}
    for hour, fields in hours:
        for entry, value in fields.items():
            if is_entry_id(entry) and is_count(value) and int(value):
                before = found.get(entry)
                found[entry] = EntryHitCount(int(value) + (before.hits if before else 0), hour)
    return found
