"""Schemas of the replay and of the verdicts of the gates."""

import pyarrow as pa

from cachewarm_pipeline.storage.schema_fields import column as _field

REPLAY_COUNTS = [
    _field("lookups", pa.int64(), "held-out lookups of the day"),
    _field("cold_hits", pa.int64(), "of these, hits of a cache that starts empty and fills itself"),
    _field("warmed_hits", pa.int64(), "of these, hits of a warmed cache that fills itself in the same way"),
    _field("exact_hits", pa.int64(), "warmed hits by a warmed entry with the same canonical prompt"),
    _field("semantic_hits", pa.int64(), "warmed hits by another warmed entry, as the match rule allows"),
    _field("own_hits", pa.int64(), "warmed hits by app entries, which the cache stored itself"),
    _field("distance_hits", pa.int64(), "hits of warmed entries, exact or by the certified plain distance"),
    _field("exact_judged", pa.int64(), "logged answers that were compared with the response of an exact hit"),
    _field(
        "exact_wrong", pa.int64(), "of these, those that say something else than the response; wording is no reason"
    ),
    _field("semantic_judged", pa.int64(), "logged answers that were compared with the response of a semantic hit"),
    _field("semantic_wrong", pa.int64(), "of these, not equivalent, judged as strictly as certifying queries"),
]

REPLAY = pa.schema(
    [
        _field("agent_type", pa.string(), "tenant or category; a lookup matches only entries of its own agent_type"),
        _field("date", pa.date32(), "held-out day"),
        *REPLAY_COUNTS,
    ]
)

REPLAY_DECISIONS = pa.schema(
    [
        _field("agent_type", pa.string(), "tenant or category"),
        _field("prompt", pa.string(), "distinct held-out query"),
        _field("kind", pa.string(), "exact | semantic | miss: how a warmed entry answers it"),
        _field("entry_id", pa.string(), "entry that answers it; for a miss, the nearest one"),
        _field("entry_prompt", pa.string(), "prompt of that entry"),
        _field("score", pa.float64(), "log-odds of the match rule; null for an exact hit", nullable=True),
        _field("similarity", pa.float64(), "cosine similarity of the two prompts"),
        _field("lookups", pa.int64(), "held-out lookups of the query, all days"),
        _field("judged", pa.int64(), "its logged answers that were compared with the entry's answer"),
        _field("wrong", pa.int64(), "of these, not equivalent; for an exact hit, those that say something else"),
        _field("served_response", pa.string(), "first 500 characters of the entry's response"),
        _field(
            "own_response",
            pa.string(),
            "first 500 characters of the query's own logged answer; null without one",
            nullable=True,
        ),
    ]
)

VERDICT = pa.schema(
    [
        _field("gate", pa.string(), "name of the blocking check"),
        _field("plan_hash", pa.string(), "hash of everything that was judged"),
        _field("limits", pa.string(), "JSON: the settings that the gate applied"),
        _field("passed", pa.bool_(), "whether the plan may be published"),
        _field("withheld", pa.list_(pa.string()), "agent types that may be published for exact hits only"),
        _field("sentence", pa.string(), "the gate's finding, in words"),
    ]
)

GATES = ("quality_threshold", "no_conflicting_entries", "volatile_or_personal_share", "false_positive_rate")
"""The blocking checks whose stored verdicts are required for publishing."""
