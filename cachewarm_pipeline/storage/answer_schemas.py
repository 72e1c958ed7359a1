"""Schemas of what is known about answers: checks, change rates, and withdrawn answers."""

import pyarrow as pa

from cachewarm_pipeline.storage.schema_fields import TIMESTAMP
from cachewarm_pipeline.storage.schema_fields import column as _field

ANSWER_CHECKS = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of the canonical prompt and the agent_type"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("prompt", pa.string(), "the prompt as spelled"),
        _field("source", pa.string(), "golden | query_log | synthetic"),
        _field(
            "reasons",
            pa.list_(pa.string()),
            "why the answer is stale: answer_model, prompt_version, embedder, source_row, changed, age; empty if it "
            "was only checked",
        ),
        _field("why", pa.string(), "the reasons in words, and the outcome"),
        _field("old_response", pa.string(), "the answer that was checked or marked as stale"),
        _field("new_response", pa.string(), "the answer that replaces it; null if none is known", nullable=True),
        _field("answered_by", pa.string(), "log | llm:<model>: where the new answer comes from", nullable=True),
        _field("answered_at", TIMESTAMP, "end of the day on which the new answer was found", nullable=True),
        _field("age_days", pa.float64(), "age of the checked answer; null: not checked", nullable=True),
        _field("changed", pa.bool_(), "whether the check found another answer; null: not checked", nullable=True),
        _field("checked_at", TIMESTAMP, "end of the day of the check; null: not checked", nullable=True),
        _field("marked_at", TIMESTAMP, "end of the day on which it was first found stale", nullable=True),
        _field("priority", pa.float64(), "hits a day x change rate; the highest is checked first"),
        _field("answer_model", pa.string(), "the model that wrote the new answer, or else the old one", nullable=True),
        _field(
            "prompt_version",
            pa.string(),
            "version of the application's prompt for the new answer, or else the old one",
            nullable=True,
        ),
        _field("source_row", pa.string(), "hash of what the old answer was made from; null if unknown", nullable=True),
    ]
)

CHANGE_CHECKS = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of the canonical prompt and the agent_type"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("planned", pa.bool_(), "whether it was an entry of the plan; the sample is of all frequent queries"),
        _field("age_days", pa.float64(), "age of the checked answer"),
        _field("changed", pa.bool_(), "whether there is another answer now"),
    ]
)

CHANGE_RATES = pa.schema(
    [
        _field("agent_type", pa.string(), "tenant or category"),
        _field("checked", pa.int64(), "answers checked in the last four weeks"),
        _field("changed", pa.int64(), "of these, changed"),
        _field("entry_days", pa.float64(), "sum of the ages of the checked answers"),
        _field("rate", pa.float64(), "changes per entry and day; null without checks, inf if all changed", True),
        _field("low", pa.float64(), "low end of its 90% interval"),
        _field("high", pa.float64(), "high end of its 90% interval, from which the TTL is computed"),
        _field("measured", pa.bool_(), "whether the evidence is enough for a TTL of its own"),
        _field("ttl_days", pa.float64(), "TTL of an entry"),
        _field("why", pa.string(), "the reason for the TTL, in words"),
    ]
)

WITHDRAWN_ENTRIES = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of the canonical prompt and the agent_type"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("prompt", pa.string(), "the prompt as spelled; personal data and secrets are masked: [email]"),
        _field("response", pa.string(), "the wrong answer"),
        _field("why", pa.string(), "the reason for the withdrawal, masked in the same way"),
        _field("reports", pa.int64(), "number of reports"),
        _field("withdrawn_at", TIMESTAMP, "when it was withdrawn"),
        _field("by", pa.string(), "reports | log | person"),
        _field("reinstated_at", TIMESTAMP, "when it was reinstated; null: it is still withdrawn", nullable=True),
    ]
)
