"""Schemas of the warming plan and of its match rules."""

import pyarrow as pa

from cachewarm_pipeline.storage.candidate_schemas import CANDIDATE_FIELDS
from cachewarm_pipeline.storage.schema_fields import column as _field

WARMING_PLAN = pa.schema(
    [
        *CANDIDATE_FIELDS,
        _field("answer_group", pa.string(), "the same for all entries with equivalent answers"),
        _field("embedding_key", pa.string(), "key of the prompt's stored vector"),
        _field("rank", pa.int64(), "order in which entries are chosen; 0 is the first"),
        _field(
            "gain",
            pa.float64(),
            "hits a day, at mean cost, that it adds to the entries before it; null if entries are chosen by frequency",
            nullable=True,
        ),
    ]
)

PLAN_CURVE = pa.schema(
    [
        _field("entries", pa.int64(), "number of entries, counted from the first"),
        _field(
            "plan",
            pa.float64(),
            "expected hits a day of this many entries of the plan; beyond its end, of those that would come next too",
            nullable=True,
        ),
        _field("frequency", pa.float64(), "the same in another order: golden entries, then the most frequent", True),
        _field("random", pa.float64(), "the same in random order", True),
        _field("lookups", pa.float64(), "all expected lookups a day"),
        _field("planned", pa.bool_(), "whether the plan has this many entries"),
    ]
)

PLAN_CONFLICTS = pa.schema(
    [
        _field("agent_type", pa.string(), "tenant or category"),
        _field("reason", pa.string(), "conflicting_answer | inseparable"),
        _field("kept_id", pa.string(), "entry that is kept"),
        _field("kept_prompt", pa.string(), "prompt of the kept entry"),
        _field("kept_response", pa.string(), "answer of the kept entry"),
        _field("dropped_id", pa.string(), "candidate that is excluded"),
        _field("dropped_prompt", pa.string(), "prompt of the excluded candidate"),
        _field("dropped_response", pa.string(), "its answer, which is not equivalent to that of the kept entry"),
        _field("dropped_source", pa.string(), "golden | query_log | synthetic"),
        _field("distance", pa.float64(), "cosine distance of the two prompts"),
    ]
)

MATCH_RULES = pa.schema(
    [
        _field("agent_type", pa.string(), "the agent_type that the rule is for; empty: all others"),
        _field("rule", pa.string(), "learned | distance | exact_only"),
        _field("threshold", pa.float64(), "learned rule: least confidence (0 to 1) that is served", nullable=True),
        _field("distance_threshold", pa.float64(), "certified plain distance, for stock readers", nullable=True),
        _field("certified", pa.bool_(), "whether the rule has a certificate"),
        _field("queries", pa.int64(), "distinct queries that the rule was certified on"),
        _field("hits", pa.int64(), "of these, served at the threshold", nullable=True),
        _field("wrong_hits", pa.int64(), "of the hits, wrong as the judge decides", nullable=True),
        _field("upper", pa.float64(), "upper bound of the wrong-hit rate", nullable=True),
        _field("why", pa.string(), "the evidence for the rule, or why there is no rule, in words"),
        _field("data", pa.string(), "JSON: the rule as published; with an empty agent_type, what all rules share"),
    ]
)

MATCH_VECTORS = pa.schema(
    [
        _field("entry_id", pa.string(), "entry of the plan"),
        _field(
            "rule_vectors",
            pa.string(),
            "base64: position and centre of the answer in the learned space, and reliability",
        ),
    ]
)

MATCH_EVIDENCE = pa.schema(
    [
        _field("agent_type", pa.string(), "tenant or category"),
        _field("prompt", pa.string(), "query that the rule was certified on"),
        _field("frequency", pa.int64(), "rows of the query in the window"),
        _field("entry_id", pa.string(), "entry that would answer the query"),
        _field("entry_prompt", pa.string(), "prompt of that entry"),
        _field("score", pa.float64(), "log-odds of the learned model; null without a model", nullable=True),
        _field(
            "right",
            pa.bool_(),
            "whether the judge finds the entry's answer equivalent to the query's own; null: not judged",
            nullable=True,
        ),
        _field("nearest_id", pa.string(), "nearest entry, which a stock reader would serve"),
        _field("similarity", pa.float64(), "cosine similarity of the nearest entry"),
        _field("nearest_right", pa.bool_(), "as right, for the nearest entry", nullable=True),
    ]
)
