"""Schemas of what was measured: look-ups by arm, hits by entry, money spent and earned."""

import pyarrow as pa

from cachewarm_pipeline.core.schema_fields import TIMESTAMP
from cachewarm_pipeline.core.schema_fields import column as _field

ARM_COUNTS = pa.schema(
    [
        _field("arm", pa.string(), "warmed | holdout"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("bucket", pa.int64(), "of the user's hash: 0 to 15"),
        _field("hits", pa.int64(), "look-ups that were answered"),
        _field("lookups", pa.int64(), "of readers that have a holdout"),
    ]
)

HOUR_COUNTS = pa.schema(
    [
        _field("hour", TIMESTAMP, "beginning of the UTC hour"),
        _field("arm", pa.string(), "warmed | holdout"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("exact", pa.int64(), "look-ups answered by their exact prompt"),
        _field("semantic", pa.int64(), "look-ups answered by meaning"),
        _field("misses", pa.int64(), "look-ups that were not answered"),
        _field("warmed_hits", pa.int64(), "of the hits, answered by a warmed entry; the others by the application's"),
        _field("hit_seconds", pa.float64(), "time of the hits together"),
        _field("miss_seconds", pa.float64(), "time of the misses together"),
    ]
)

ENTRY_HITS = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of canonical prompt and agent_type"),
        _field("agent_type", pa.string(), "tenant or category; empty where the entry is not known any more"),
        _field("prompt", pa.string(), "original spelling; empty likewise"),
        _field("source", pa.string(), "golden | query_log | synthetic; empty likewise"),
        _field("cost_usd", pa.float64(), "mean cost of the call that a hit saves; null where unknown", nullable=True),
        _field("generation", pa.string(), "generation that it was in at the end of the day; null: in none", True),
        _field("whole_day", pa.bool_(), "whether it was live from the day's beginning to its end"),
        _field("hits", pa.int64(), "look-ups that it answered on the day"),
        _field("last_hit", TIMESTAMP, "end of the last hour with a hit; null without one", nullable=True),
    ]
)
"""A row for each entry that was live at the end of the day, hits or not, and for each other one that had hits."""

USAGE = pa.schema(
    [
        _field("at", TIMESTAMP, "when it was written down"),
        _field("run_id", pa.string(), "of the run that paid"),
        _field("asset", pa.string(), "what the run was making"),
        _field("day", pa.date32(), "for which day"),
        _field("purpose", pa.string(), "embedding | generation | judging"),
        _field("model", pa.string(), "as the server calls it"),
        _field("prompt_tokens", pa.int64(), "as reported"),
        _field("completion_tokens", pa.int64(), "as reported"),
        _field("usd_per_million_prompt_tokens", pa.float64(), "price"),
        _field("usd_per_million_completion_tokens", pa.float64(), "price"),
        _field("share", pa.float64(), "part of the price that was paid: 0.5 in a batch"),
        _field("usd", pa.float64(), "tokens x price x share"),
        _field("prices_as_of", pa.date32(), "when the prices were looked up"),
    ]
)

MEASURED: dict[str, pa.Schema] = {
    "arm_counts": ARM_COUNTS,
    "hour_counts": HOUR_COUNTS,
    "entry_hits": ENTRY_HITS,
    "usage": USAGE,
}
