"""Schemas of the mined log, of candidates, and of what they are embedded as."""

import pyarrow as pa

from cachewarm_pipeline.storage.schema_fields import TIMESTAMP
from cachewarm_pipeline.storage.schema_fields import column as _field

CANDIDATE_FIELDS = [
    _field("entry_id", pa.string(), "hash of the canonical prompt and the agent_type"),
    _field("agent_type", pa.string(), "tenant or category; a lookup matches only entries of its own agent_type"),
    _field("prompt", pa.string(), "the prompt as spelled, at most 2,000 characters"),
    _field("response", pa.string(), "the answer as logged or found"),
    _field("source", pa.string(), "golden | query_log | synthetic"),
    _field("quality_score", pa.float64(), "0 to 1"),
    _field("demand", pa.float64(), "expected lookups a day"),
    _field("cost_usd", pa.float64(), "mean cost of the call that a hit saves; null if unknown", nullable=True),
    _field("provenance", pa.string(), "JSON object: where the answer comes from"),
]

GOLDEN_CANDIDATES = pa.schema(CANDIDATE_FIELDS)

RESPONSE = pa.struct(
    [
        _field("response", pa.string(), "the answer as logged or found"),
        _field("count", pa.int64(), "uncached rows with exactly this response"),
        _field("last_at", TIMESTAMP, "time of the newest row with it"),
        _field("negative", pa.int64(), "rows with it that have feedback -1"),
        _field("model", pa.string(), "the model that answered the newest row; null if unknown", nullable=True),
        _field(
            "users",
            pa.list_(pa.string()),
            "hashed ids of users who got it, the smallest 16; null in a day that an older version mined",
            nullable=True,
        ),
        _field("anonymous", pa.int64(), "rows with it that have no user id; null likewise", nullable=True),
    ]
)

DAILY_QUERY_COUNTS = pa.schema(
    [
        _field("agent_type", pa.string(), "tenant or category; a lookup matches only entries of its own agent_type"),
        _field("canonical", pa.string(), "canonical form of the prompt, by which rows are counted"),
        _field("prompt", pa.string(), "most frequent spelling of the day"),
        _field("prompt_count", pa.int64(), "rows with exactly this spelling"),
        _field("count", pa.int64(), "all rows: the demand"),
        _field("cache_hits", pa.int64(), "of these, rows that the cache answered: demand, but never evidence"),
        _field("users", pa.list_(pa.string()), "hashed ids of users, at most 16; empty if unknown"),
        _field("responses", pa.list_(RESPONSE), "the best supported responses, best first"),
        _field("answered", pa.int64(), "uncached rows with any response; shares are of these"),
        _field("cost_usd", pa.float64(), "sum over the costed rows"),
        _field("costed", pa.int64(), "uncached rows with a cost"),
        _field("latency_ms", pa.float64(), "sum over the timed rows"),
        _field("timed", pa.int64(), "uncached rows with a latency"),
        _field("tokens", pa.int64(), "prompt and completion tokens of the uncached rows"),
    ]
)

FREQUENT_QUERIES = pa.schema(
    [
        *CANDIDATE_FIELDS,
        _field("frequency", pa.int64(), "rows in the window"),
        _field("distinct_users", pa.int64(), "distinct users, counted up to 16; null if unknown", nullable=True),
        _field(
            "stability",
            pa.float64(),
            "estimated probability that the answer serves another user, or at another time, as well as that of a new "
            "call: 1 if answers merely vary",
        ),
        _field("last_answer_at", TIMESTAMP, "time of the newest row with the chosen response"),
    ]
)

SYNTHETIC_VARIANTS = pa.schema(
    [
        *CANDIDATE_FIELDS,
        _field("base_id", pa.string(), "entry_id of the base query that this is a variant of"),
        _field("base_prompt", pa.string(), "prompt of the base query"),
        _field("base_distance", pa.float64(), "cosine distance to the base query"),
    ]
)

UNFIT_QUERIES = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of the canonical prompt and the agent_type"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("prompt", pa.string(), "most frequent spelling; personal data and secrets are masked: [email]"),
        _field("reason", pa.string(), "volatile | personal"),
        _field(
            "detail",
            pa.string(),
            "personal: kinds of data, and where; volatile: what the answers change with, and the rates",
        ),
        _field("frequency", pa.int64(), "rows in the window"),
        _field("stability", pa.float64(), "as in frequent_queries; null if no judge saw the query", nullable=True),
        _field("demand", pa.float64(), "lookups a day that the cache will not answer"),
    ]
)

JUDGE_NOISE = pa.schema(
    [
        _field("agent_type", pa.string(), "tenant or category"),
        _field("queries", pa.int64(), "frequent queries with an answer, volatile ones included"),
        _field("near_pairs", pa.int64(), "judged pairs of answers to one query, at most a day apart"),
        _field("near_disagreement", pa.float64(), "mean of 1 - probability of these; null if none", nullable=True),
        _field(
            "near_called_different",
            pa.float64(),
            "share of these that the judge calls different where it labels: the noise floor; null if none",
            nullable=True,
        ),
        _field("far_pairs", pa.int64(), "pairs at least a week apart"),
        _field("far_disagreement", pa.float64(), "share that disagrees", nullable=True),
        _field("same_user_pairs", pa.int64(), "pairs of answers to one user"),
        _field("same_user_disagreement", pa.float64(), "share that disagrees", nullable=True),
        _field("other_user_pairs", pa.int64(), "pairs of answers to two users"),
        _field("other_user_disagreement", pa.float64(), "share that disagrees", nullable=True),
        _field("changing_share", pa.float64(), "share of queries whose answers change over time"),
        _field("by_user_share", pa.float64(), "share of queries whose answers differ by user"),
        _field("cannot_tell_share", pa.float64(), "share of queries where even close answers nearly all disagree"),
        _field("sampled_share", pa.float64(), "share of queries of whose responses only a sample was judged"),
    ]
)

LABELLED_QUERIES = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of the canonical prompt and the agent_type"),
        _field("agent_type", pa.string(), "tenant or category; a lookup matches only entries of its own agent_type"),
        _field("prompt", pa.string(), "most frequent spelling"),
        _field("response", pa.string(), "the query's own logged answer: the best supported, then the newest"),
        _field("frequency", pa.int64(), "rows in the window"),
        _field("demand", pa.float64(), "expected lookups a day; recent days weigh more"),
        _field("stands_for", pa.float64(), "demand of the whole agent_type / demand of its labelled queries"),
        _field("cost_usd", pa.float64(), "mean cost of a call; null if unknown", nullable=True),
        _field("last_day", pa.date32(), "newest day with the query"),
        _field("part", pa.string(), "choose | fit | certify: what the query is used for, assigned by hash"),
    ]
)

EMBEDDINGS = pa.schema(
    [
        _field("embedding_key", pa.string(), "hash of model id and text, under which the vector is stored"),
        _field("model_id", pa.string(), "the model that made the vector; vectors of two models cannot be compared"),
        _field("text", pa.string(), "exactly the text that was embedded"),
        _field("dimensions", pa.int32(), "numbers in the vector"),
    ]
)
