"""The datasets between assets: one Arrow schema each, checked when written and when read.

A dataset is one Parquet file per asset and day. Nothing here reads or writes a file.
"""

from collections.abc import Sequence

import pyarrow as pa

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.storage.answer_schemas import ANSWER_CHECKS, CHANGE_CHECKS, CHANGE_RATES, WITHDRAWN_ENTRIES
from cachewarm_pipeline.storage.measurement_schemas import MEASURED
from cachewarm_pipeline.storage.schema_fields import TIMESTAMP as TIMESTAMP
from cachewarm_pipeline.storage.schema_fields import column as _field

CANDIDATE_FIELDS = [
    _field("entry_id", pa.string(), "hash of canonical prompt and agent_type"),
    _field("agent_type", pa.string(), "tenant or category: a lookup only matches its own"),
    _field("prompt", pa.string(), "original spelling, at most 2,000 characters"),
    _field("response", pa.string(), "the answer as logged or found"),
    _field("source", pa.string(), "golden | query_log | synthetic"),
    _field("quality_score", pa.float64(), "0..1"),
    _field("demand", pa.float64(), "expected lookups a day"),
    _field("cost_usd", pa.float64(), "mean cost of the call that a hit saves; null where unknown", nullable=True),
    _field("provenance", pa.string(), "JSON object: where the answer comes from"),
]

GOLDEN_CANDIDATES = pa.schema(CANDIDATE_FIELDS)

RESPONSE = pa.struct(
    [
        _field("response", pa.string(), "the answer as logged or found"),
        _field("count", pa.int64(), "uncached rows with exactly this response"),
        _field("last_at", TIMESTAMP, "newest row with it"),
        _field("negative", pa.int64(), "rows with feedback -1"),
        _field("model", pa.string(), "what answered the newest row; null where unknown", nullable=True),
    ]
)

DAILY_QUERY_COUNTS = pa.schema(
    [
        _field("agent_type", pa.string(), "tenant or category: a lookup only matches its own"),
        _field("canonical", pa.string(), "canonical form of the prompt: what counts are keyed by"),
        _field("prompt", pa.string(), "most frequent original spelling of the day"),
        _field("prompt_count", pa.int64(), "rows with exactly that spelling"),
        _field("count", pa.int64(), "all rows: the demand"),
        _field("cache_hits", pa.int64(), "of these, served by the cache: demand, never evidence"),
        _field("users", pa.list_(pa.string()), "hashed ids, at most 16; empty where unknown"),
        _field("responses", pa.list_(RESPONSE), "best supported first, the top few"),
        _field("answered", pa.int64(), "uncached rows with any response: what shares are of"),
        _field("cost_usd", pa.float64(), "sum over costed rows"),
        _field("costed", pa.int64(), "uncached rows with a cost"),
        _field("latency_ms", pa.float64(), "sum over timed rows"),
        _field("timed", pa.int64(), "uncached rows with a latency"),
        _field("tokens", pa.int64(), "prompt + completion tokens of uncached rows"),
    ]
)

FREQUENT_QUERIES = pa.schema(
    [
        *CANDIDATE_FIELDS,
        _field("frequency", pa.int64(), "rows in the window"),
        _field("distinct_users", pa.int64(), "at least so many; null where users are unknown", nullable=True),
        _field("stability", pa.float64(), "estimated share of answered rows that agree with the chosen response, 0..1"),
        _field("last_answer_at", TIMESTAMP, "newest row with the chosen response"),
    ]
)

SYNTHETIC_VARIANTS = pa.schema(
    [
        *CANDIDATE_FIELDS,
        _field("base_id", pa.string(), "entry_id of the base query that it is a variant of"),
        _field("base_prompt", pa.string(), "that query"),
        _field("base_distance", pa.float64(), "cosine distance to it"),
    ]
)

UNFIT_QUERIES = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of canonical prompt and agent_type"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("prompt", pa.string(), "most frequent original spelling, personal data and secrets masked: [email]"),
        _field("reason", pa.string(), "volatile | personal"),
        _field("detail", pa.string(), "kinds of data found and where; or how many answers there are"),
        _field("frequency", pa.int64(), "rows in the window"),
        _field("stability", pa.float64(), "as in frequent_queries; null where no judge saw the query", nullable=True),
        _field("demand", pa.float64(), "lookups a day that the cache will not answer"),
    ]
)

LABELLED_QUERIES = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of canonical prompt and agent_type"),
        _field("agent_type", pa.string(), "tenant or category: a lookup only matches its own"),
        _field("prompt", pa.string(), "most frequent original spelling"),
        _field("response", pa.string(), "the query's own logged answer, best supported, then newest"),
        _field("frequency", pa.int64(), "rows in the window"),
        _field("demand", pa.float64(), "expected lookups a day, recent days weigh more"),
        _field("stands_for", pa.float64(), "all demand of the agent_type over that of its labelled queries"),
        _field("cost_usd", pa.float64(), "mean cost of a call; null where unknown", nullable=True),
        _field("last_day", pa.date32(), "newest day with it"),
        _field("part", pa.string(), "choose | fit | certify: what the query is used for, by hash"),
    ]
)

EMBEDDINGS = pa.schema(
    [
        _field("embedding_key", pa.string(), "hash of model id and text: where the vector is stored"),
        _field("model_id", pa.string(), "what made the vector; vectors of two models do not compare"),
        _field("text", pa.string(), "exactly what was embedded"),
        _field("dimensions", pa.int32(), "values a vector"),
    ]
)

WARMING_PLAN = pa.schema(
    [
        *CANDIDATE_FIELDS,
        _field("answer_group", pa.string(), "entries with equivalent answers share it"),
        _field("embedding_key", pa.string(), "where the prompt's vector is stored"),
        _field("rank", pa.int64(), "0 is the first to be chosen"),
        _field(
            "gain", pa.float64(), "hits a day of mean cost that it adds to those before it; null by frequency", True
        ),
    ]
)

PLAN_CURVE = pa.schema(
    [
        _field("entries", pa.int64(), "the first so many"),
        _field("plan", pa.float64(), "expected hits a day of the plan, and past its end of what would come next", True),
        _field("frequency", pa.float64(), "the same, golden first and then those asked most", True),
        _field("random", pa.float64(), "the same, drawn", True),
        _field("lookups", pa.float64(), "all lookups that are expected a day"),
        _field("planned", pa.bool_(), "whether the plan has so many entries"),
    ]
)

PLAN_CONFLICTS = pa.schema(
    [
        _field("agent_type", pa.string(), "tenant or category"),
        _field("reason", pa.string(), "conflicting_answer | inseparable"),
        _field("kept_id", pa.string(), "entry that stays"),
        _field("kept_prompt", pa.string(), "its prompt"),
        _field("kept_response", pa.string(), "its answer"),
        _field("dropped_id", pa.string(), "candidate that was left out"),
        _field("dropped_prompt", pa.string(), "its prompt"),
        _field("dropped_response", pa.string(), "its answer, not equivalent to the other one"),
        _field("dropped_source", pa.string(), "golden | query_log | synthetic"),
        _field("distance", pa.float64(), "cosine distance of the two prompts"),
    ]
)

MATCH_RULES = pa.schema(
    [
        _field("agent_type", pa.string(), "whose lookups; empty: every other agent_type"),
        _field("rule", pa.string(), "learned | distance | exact_only"),
        _field("threshold", pa.float64(), "least confidence (0..1) that a learned rule serves", nullable=True),
        _field("distance_threshold", pa.float64(), "certified plain distance, for stock readers", nullable=True),
        _field("certified", pa.bool_(), "whether the rule holds a certificate"),
        _field("queries", pa.int64(), "distinct certifying queries"),
        _field("hits", pa.int64(), "of these, served at the threshold", nullable=True),
        _field("wrong_hits", pa.int64(), "of the hits, wrong by the judge", nullable=True),
        _field("upper", pa.float64(), "upper bound of the wrong-hit rate", nullable=True),
        _field("why", pa.string(), "in words: what the rule rests on, or why there is none"),
        _field("data", pa.string(), "JSON: the rule as it is published; of the empty agent_type, what all share"),
    ]
)

MATCH_VECTORS = pa.schema(
    [
        _field("entry_id", pa.string(), "entry of the plan"),
        _field("rule_vectors", pa.string(), "base64: place and answer's centre in the learned space, reliability"),
    ]
)

MATCH_EVIDENCE = pa.schema(
    [
        _field("agent_type", pa.string(), "tenant or category"),
        _field("prompt", pa.string(), "certifying query"),
        _field("frequency", pa.int64(), "its rows in the window"),
        _field("entry_id", pa.string(), "entry that would answer it"),
        _field("entry_prompt", pa.string(), "that entry's prompt"),
        _field("score", pa.float64(), "log-odds of the learned model; null without one", nullable=True),
        _field("right", pa.bool_(), "by the judge: that answer is the query's own; null: not asked", nullable=True),
        _field("nearest_id", pa.string(), "nearest entry: what a stock reader would serve"),
        _field("similarity", pa.float64(), "cosine of the nearest entry"),
        _field("nearest_right", pa.bool_(), "by the judge: the nearest entry's answer is its own", nullable=True),
    ]
)

REPLAY_COUNTS = [
    _field("lookups", pa.int64(), "held-out lookups of the day"),
    _field("cold_hits", pa.int64(), "of these, hits of a cache that began empty and fills itself"),
    _field("warmed_hits", pa.int64(), "of these, hits of the warmed cache that fills itself in the same way"),
    _field("exact_hits", pa.int64(), "warmed hits by a warmed entry of the same canonical prompt"),
    _field("semantic_hits", pa.int64(), "warmed hits by another warmed entry, as the match rule allows"),
    _field("own_hits", pa.int64(), "warmed hits by what the cache stored itself"),
    _field("distance_hits", pa.int64(), "hits of warmed entries, exact or by the certified plain distance"),
    _field("exact_judged", pa.int64(), "logged answers that were compared with the response of an exact hit"),
    _field("exact_wrong", pa.int64(), "of these, not equivalent"),
    _field("semantic_judged", pa.int64(), "logged answers that were compared with the response of a semantic hit"),
    _field("semantic_wrong", pa.int64(), "of these, not equivalent"),
]

REPLAY = pa.schema(
    [
        _field("agent_type", pa.string(), "tenant or category: a lookup only matches its own"),
        _field("date", pa.date32(), "held-out day"),
        *REPLAY_COUNTS,
    ]
)

REPLAY_DECISIONS = pa.schema(
    [
        _field("agent_type", pa.string(), "tenant or category"),
        _field("prompt", pa.string(), "distinct held-out query"),
        _field("kind", pa.string(), "exact | semantic | miss: what a warmed entry does for it"),
        _field("entry_id", pa.string(), "entry that serves it; of a miss, the one that came near"),
        _field("entry_prompt", pa.string(), "that entry's prompt"),
        _field("score", pa.float64(), "log-odds of the match rule; null for exact", nullable=True),
        _field("similarity", pa.float64(), "cosine of the two prompts"),
        _field("lookups", pa.int64(), "its held-out lookups, all days"),
        _field("judged", pa.int64(), "its logged answers that were compared with the entry's"),
        _field("wrong", pa.int64(), "of these, not equivalent"),
        _field("served_response", pa.string(), "the entry's response, its first 500 characters"),
        _field("own_response", pa.string(), "its own logged answer, likewise; null without one", nullable=True),
    ]
)

VERDICT = pa.schema(
    [
        _field("gate", pa.string(), "name of the blocking check"),
        _field("plan_hash", pa.string(), "hash of exactly what was judged"),
        _field("limits", pa.string(), "JSON: the settings it was judged by"),
        _field("passed", pa.bool_(), "whether it may be published"),
        _field("withheld", pa.list_(pa.string()), "agent types that may be published for exact hits only"),
        _field("sentence", pa.string(), "what the gate found"),
    ]
)

GATES = ("quality_threshold", "no_conflicting_entries", "volatile_or_personal_share", "false_positive_rate")
"""The blocking checks whose stored verdicts a publish asks for."""

SCHEMAS: dict[str, pa.Schema] = {
    "golden_candidates": GOLDEN_CANDIDATES,
    "daily_query_counts": DAILY_QUERY_COUNTS,
    "frequent_queries": FREQUENT_QUERIES,
    "unfit_queries": UNFIT_QUERIES,
    "synthetic_variants": SYNTHETIC_VARIANTS,
    "labelled_queries": LABELLED_QUERIES,
    "embeddings": EMBEDDINGS,
    "warming_plan": WARMING_PLAN,
    "plan_conflicts": PLAN_CONFLICTS,
    "plan_curve": PLAN_CURVE,
    "match_rules": MATCH_RULES,
    "match_vectors": MATCH_VECTORS,
    "match_evidence": MATCH_EVIDENCE,
    "answer_checks": ANSWER_CHECKS,
    "change_checks": CHANGE_CHECKS,
    "change_rates": CHANGE_RATES,
    "withdrawn_entries": WITHDRAWN_ENTRIES,
    "replay": REPLAY,
    "replay_decisions": REPLAY_DECISIONS,
    **{f"verdict_{gate}": VERDICT for gate in GATES},
    **MEASURED,
}

MAX_USERS = 16
"""Hashed users kept a query: sets of k <= 16 merge exactly over days for the question 'at least k users?'."""

MAX_RESPONSES = 5
"""Distinct responses kept a query and day, best supported first; `answered` still counts the others."""


def conform(asset: str, table: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """The table with exactly the asset's columns and types; with ``columns``, only those, in the order given.

    Raises DatasetError that names the asset and the column: missing, of a type that does not cast, or null where
    nulls are not allowed.
    """
    schema = schema_of(asset, columns)
    arrays = []
    for field in schema:
        if field.name not in table.column_names:
            raise DatasetError(f"dataset {asset}: column {field.name!r} is missing (have {table.column_names})")
        column = table[field.name]
        try:
            column = column.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DatasetError(f"dataset {asset}: column {field.name!r} is not {field.type}: {error}") from None
        if not field.nullable and column.null_count:
            raise DatasetError(f"dataset {asset}: column {field.name!r} has {column.null_count} nulls")
        arrays.append(column)
    return pa.table(arrays, schema=schema)


def schema_of(asset: str, columns: Sequence[str] | None = None) -> pa.Schema:
    """The asset's schema, or the part of it with these columns. Raises DatasetError for a name that is not in it."""
    if asset not in SCHEMAS:
        raise DatasetError(f"there is no dataset {asset!r} (have {', '.join(SCHEMAS)})")
    schema = SCHEMAS[asset]
    if columns is None:
        return schema
    unknown = [name for name in columns if name not in schema.names]
    if unknown:
        raise DatasetError(f"dataset {asset} has no column {unknown[0]!r} (have {', '.join(schema.names)})")
    return pa.schema([schema.field(name) for name in columns])
