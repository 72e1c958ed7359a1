"""The datasets between assets: one Arrow schema for each, checked when a dataset is written and when it is read.

A dataset is one Parquet file for each asset and day (``storage.datasets``). Nothing here reads or writes a file. The
schemas themselves are in ``candidate_schemas``, ``plan_schemas``, ``proof_schemas``, ``answer_schemas`` and
``measurement_schemas``.
"""

from collections.abc import Sequence

import pyarrow as pa

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.storage.answer_schemas import ANSWER_CHECKS, CHANGE_CHECKS, CHANGE_RATES, WITHDRAWN_ENTRIES
from cachewarm_pipeline.storage.candidate_schemas import (
    CANDIDATE_FIELDS,
    DAILY_QUERY_COUNTS,
    EMBEDDINGS,
    FREQUENT_QUERIES,
    GOLDEN_CANDIDATES,
    JUDGE_NOISE,
    LABELLED_QUERIES,
    RESPONSE,
    SYNTHETIC_VARIANTS,
    UNFIT_QUERIES,
)
from cachewarm_pipeline.storage.measurement_schemas import MEASURED
from cachewarm_pipeline.storage.plan_schemas import (
    MATCH_EVIDENCE,
    MATCH_RULES,
    MATCH_VECTORS,
    PLAN_CONFLICTS,
    PLAN_CURVE,
    WARMING_PLAN,
)
from cachewarm_pipeline.storage.proof_schemas import GATES, REPLAY, REPLAY_COUNTS, REPLAY_DECISIONS, VERDICT
from cachewarm_pipeline.storage.schema_fields import TIMESTAMP

__all__ = [
    "ANSWER_CHECKS",
    "CANDIDATE_FIELDS",
    "CHANGE_CHECKS",
    "CHANGE_RATES",
    "DAILY_QUERY_COUNTS",
    "EMBEDDINGS",
    "FREQUENT_QUERIES",
    "GATES",
    "GOLDEN_CANDIDATES",
    "JUDGE_NOISE",
    "LABELLED_QUERIES",
    "MATCH_EVIDENCE",
    "MATCH_RULES",
    "MATCH_VECTORS",
    "MAX_RESPONSES",
    "MAX_USERS",
    "PLAN_CONFLICTS",
    "PLAN_CURVE",
    "REPLAY",
    "REPLAY_COUNTS",
    "REPLAY_DECISIONS",
    "RESPONSE",
    "SCHEMAS",
    "SYNTHETIC_VARIANTS",
    "TIMESTAMP",
    "UNFIT_QUERIES",
    "VERDICT",
    "WARMING_PLAN",
    "WITHDRAWN_ENTRIES",
    "conform",
    "schema_of",
]

SCHEMAS: dict[str, pa.Schema] = {
    "golden_candidates": GOLDEN_CANDIDATES,
    "daily_query_counts": DAILY_QUERY_COUNTS,
    "frequent_queries": FREQUENT_QUERIES,
    "unfit_queries": UNFIT_QUERIES,
    "judge_noise": JUDGE_NOISE,
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
"""Hashed users kept for each query. Sets of up to 16 users merge exactly over days for the question "at least k users?"
where k <= 16."""

MAX_RESPONSES = 5
"""Distinct responses kept for each query and day, best supported first. The column ``answered`` counts all of them."""


def conform(asset: str, table: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """The table with exactly the asset's columns and types; with ``columns``, only those, in the order given.

    Raises DatasetError, which names the asset and the column, where a column is missing, cannot be cast to its type, or
    has nulls that are not allowed.
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
    """The asset's schema, or only these columns of it. Raises DatasetError for an unknown asset or column."""
    if asset not in SCHEMAS:
        raise DatasetError(f"there is no dataset {asset!r} (have {', '.join(SCHEMAS)})")
    schema = SCHEMAS[asset]
    if columns is None:
        return schema
    unknown = [name for name in columns if name not in schema.names]
    if unknown:
        raise DatasetError(f"dataset {asset} has no column {unknown[0]!r} (have {', '.join(schema.names)})")
    return pa.schema([schema.field(name) for name in columns])
