"""What the questions to a source share: running an expression, and the shape and order of what comes back."""

import re
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.storage.schemas import TIMESTAMP

EARLIEST = date(2000, 1, 1)
"""Earlier moments are clocks that were never set."""

MAX_AGENT_TYPE_CHARS = 200
"""A tenant's name, not a text: a longer one is a shifted column."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def fetch(connection: Any, expression: Any) -> pa.Table:
    """Runs an expression. A driver of Python rows hands them over in batches, so that they are not held twice."""
    if connection.name == "postgres":
        return connection.to_pyarrow_batches(expression, chunk_size=20_000).read_all()
    return connection.to_pyarrow(expression)


def number_of(connection: Any, rows: Any) -> int:
    return int(fetch(connection, rows.aggregate(rows=rows.count()))["rows"][0].as_py())


def exclusion_of(*cases: tuple[Any, ExclusionReason]) -> Any:
    import ibis

    return ibis.cases(*((condition, str(reason)) for condition, reason in cases), else_=ibis.null("string"))


def with_clean_agent_types(table: pa.Table) -> tuple[pa.Table, Counts]:
    """The table with agent types stripped, without the rows whose agent type is blank or has control characters.

    Counts rows by their ``count`` column where there is one. Done here because stripping every row is the engine's
    slowest work, and a table has few agent types.
    """
    encoded = table["agent_type"].combine_chunks().dictionary_encode()
    names = [name.strip() for name in encoded.dictionary.to_pylist()]
    reasons = [
        ExclusionReason.EMPTY_AGENT_TYPE
        if not name
        else None
        if _CONTROL.search(name) is None
        else ExclusionReason.BAD_AGENT_TYPE
        for name in names
    ]
    excluded: Counts = Counts()
    for code, reason in enumerate(reasons):
        if reason is not None:
            rows = table.filter(pc.equal(encoded.indices, code))
            excluded[reason] += pc.sum(rows["count"]).as_py() if "count" in rows.column_names else rows.num_rows
    clean = pa.array(names, pa.string()).take(encoded.indices)
    good = pa.array([reason is None for reason in reasons], pa.bool_()).take(encoded.indices)
    position = table.column_names.index("agent_type")
    return table.set_column(position, "agent_type", clean).filter(good), excluded


def as_utc(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.type.tz is None:
        return pc.assume_timezone(column.cast(pa.timestamp("us"), safe=False), "UTC")
    return column.cast(TIMESTAMP, safe=False)


def shaped(table: pa.Table, schema: pa.Schema, order: str) -> pa.Table:
    """Exactly the schema's columns and types, in an order that no engine's collation has a say in.

    ``order`` lists columns, ``-name`` for the largest first; the columns that it does not name break the ties.
    """
    columns = [
        as_utc(table[field.name]) if pa.types.is_timestamp(field.type) else table[field.name].cast(field.type)
        for field in schema
    ]
    keys = [(name.lstrip("-"), "descending" if name.startswith("-") else "ascending") for name in order.split()]
    named = {name for name, _ in keys}
    keys += [(name, "ascending") for name in schema.names if name not in named]
    return pa.table(columns, schema=schema).sort_by(keys)
