"""Schemas of what is known about answers: checks, how fast they change, and those that were withdrawn."""

import pyarrow as pa

from cachewarm_pipeline.storage.schema_fields import TIMESTAMP
from cachewarm_pipeline.storage.schema_fields import column as _field

ANSWER_CHECKS = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of canonical prompt and agent_type"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("prompt", pa.string(), "original spelling"),
        _field("source", pa.string(), "golden | query_log | synthetic"),
        _field(
            "reasons",
            pa.list_(pa.string()),
            "why it is stale: answer_model, prompt_version, embedder, source_row, changed, age; none of one that was "
            "only checked",
        ),
        _field("why", pa.string(), "the same in words, and what became of it"),
        _field("old_response", pa.string(), "the answer that was checked or marked"),
        _field("new_response", pa.string(), "the answer that takes its place; null: none is known", nullable=True),
        _field("answered_by", pa.string(), "log | llm:<model>: where the new answer is from", nullable=True),
        _field("answered_at", TIMESTAMP, "end of the day on which the new answer was found", nullable=True),
        _field("age_days", pa.float64(), "age of the answer that was checked; null: not checked", nullable=True),
        _field("changed", pa.bool_(), "whether the check found another answer; null: not checked", nullable=True),
        _field("checked_at", TIMESTAMP, "end of the day that was checked; null: not checked", nullable=True),
        _field("marked_at", TIMESTAMP, "end of the day on which it was first found stale", nullable=True),
        _field("priority", pa.float64(), "answers that change a day before its users: hits a day x change rate"),
        _field("answer_model", pa.string(), "what wrote the answer; the new one where there is one", nullable=True),
        _field("prompt_version", pa.string(), "of the application's prompt then, likewise", nullable=True),
        _field("source_row", pa.string(), "hash of what the old answer was made from; null: not known", nullable=True),
    ]
)

CHANGE_CHECKS = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of canonical prompt and agent_type"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("planned", pa.bool_(), "whether it was an entry of the plan; the sample is of all frequent queries"),
        _field("age_days", pa.float64(), "age of the answer that was checked"),
        _field("changed", pa.bool_(), "whether there is another answer now"),
    ]
)

CHANGE_RATES = pa.schema(
    [
        _field("agent_type", pa.string(), "tenant or category"),
        _field("checked", pa.int64(), "answers checked, of the last four weeks"),
        _field("changed", pa.int64(), "of these, changed"),
        _field("entry_days", pa.float64(), "ages of the checked answers together"),
        _field("rate", pa.float64(), "changes an entry and day; null without checks, inf where all changed", True),
        _field("low", pa.float64(), "of its 90% interval"),
        _field("high", pa.float64(), "of its 90% interval: what the TTL rests on"),
        _field("measured", pa.bool_(), "whether the evidence is enough for a TTL of its own"),
        _field("ttl_days", pa.float64(), "life of an entry"),
        _field("why", pa.string(), "in words"),
    ]
)

WITHDRAWN_ENTRIES = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of canonical prompt and agent_type"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("prompt", pa.string(), "original spelling, personal data and secrets masked: [email]"),
        _field("response", pa.string(), "the answer that is wrong"),
        _field("why", pa.string(), "what was said against it, masked likewise"),
        _field("reports", pa.int64(), "how often it was reported"),
        _field("withdrawn_at", TIMESTAMP, "since when it stays out"),
        _field("by", pa.string(), "reports | log | person"),
        _field("reinstated_at", TIMESTAMP, "when it was allowed again; null: it stays out", nullable=True),
    ]
)
