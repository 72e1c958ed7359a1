"""The datasets between assets: one Arrow schema each, checked when written and when read.

A dataset is one Parquet file per asset and day. Nothing here reads or writes a file.
"""

from collections.abc import Sequence

import pyarrow as pa

from cachewarm_pipeline.core.errors import DatasetError

TIMESTAMP = pa.timestamp("us", tz="UTC")

CANDIDATE_FIELDS = [
    pa.field("entry_id", pa.string(), nullable=False),  # core.text.entry_id(prompt, agent_type)
    pa.field("agent_type", pa.string(), nullable=False),
    pa.field("prompt", pa.string(), nullable=False),  # original spelling, at most MAX_PROMPT_CHARS characters
    pa.field("response", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),  # golden | query_log | synthetic
    pa.field("quality_score", pa.float64(), nullable=False),  # 0..1
    pa.field("demand", pa.float64(), nullable=False),  # expected lookups a day
    pa.field("cost_usd", pa.float64()),  # mean cost of the call that a hit saves; null where unknown
    pa.field("provenance", pa.string(), nullable=False),  # JSON object: where the answer comes from
]

GOLDEN_CANDIDATES = pa.schema(CANDIDATE_FIELDS)

RESPONSE = pa.struct(
    [
        pa.field("response", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),  # uncached rows with exactly this response
        pa.field("last_at", TIMESTAMP, nullable=False),
        pa.field("negative", pa.int64(), nullable=False),  # rows with feedback -1
    ]
)

DAILY_QUERY_COUNTS = pa.schema(
    [
        pa.field("agent_type", pa.string(), nullable=False),
        pa.field("canonical", pa.string(), nullable=False),  # core.text.canonical(prompt)
        pa.field("prompt", pa.string(), nullable=False),  # most frequent original spelling of the day
        pa.field("prompt_count", pa.int64(), nullable=False),  # rows with exactly that spelling
        pa.field("count", pa.int64(), nullable=False),  # all rows: the demand
        pa.field("cache_hits", pa.int64(), nullable=False),  # of these, served by the cache: demand, never evidence
        pa.field("users", pa.list_(pa.string()), nullable=False),  # hashed ids, at most MAX_USERS; empty where unknown
        pa.field("responses", pa.list_(RESPONSE), nullable=False),  # best supported first, at most MAX_RESPONSES
        pa.field("answered", pa.int64(), nullable=False),  # uncached rows with any response: what shares are of
        pa.field("cost_usd", pa.float64(), nullable=False),  # sum over costed rows
        pa.field("costed", pa.int64(), nullable=False),  # uncached rows with a cost
        pa.field("latency_ms", pa.float64(), nullable=False),  # sum over timed rows
        pa.field("timed", pa.int64(), nullable=False),  # uncached rows with a latency
        pa.field("tokens", pa.int64(), nullable=False),  # prompt + completion tokens of uncached rows
    ]
)

FREQUENT_QUERIES = pa.schema(
    [
        *CANDIDATE_FIELDS,
        pa.field("frequency", pa.int64(), nullable=False),  # rows in the window
        pa.field("distinct_users", pa.int64()),  # at least so many; null where users are unknown
        pa.field("stability", pa.float64(), nullable=False),  # share of the chosen response among answered rows, 0..1
        pa.field("last_answer_at", TIMESTAMP, nullable=False),
    ]
)

EMBEDDINGS = pa.schema(
    [
        pa.field("embedding_key", pa.string(), nullable=False),  # core.text.embedding_key(model id, text)
        pa.field("model_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("dimensions", pa.int32(), nullable=False),
    ]
)

WARMING_PLAN = pa.schema(
    [
        *CANDIDATE_FIELDS,
        pa.field("answer_group", pa.string(), nullable=False),  # entries with equivalent answers share it
        pa.field("embedding_key", pa.string(), nullable=False),
        pa.field("rank", pa.int64(), nullable=False),  # 0 is the first to be chosen
    ]
)

SCHEMAS: dict[str, pa.Schema] = {
    "golden_candidates": GOLDEN_CANDIDATES,
    "daily_query_counts": DAILY_QUERY_COUNTS,
    "frequent_queries": FREQUENT_QUERIES,
    "embeddings": EMBEDDINGS,
    "warming_plan": WARMING_PLAN,
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
