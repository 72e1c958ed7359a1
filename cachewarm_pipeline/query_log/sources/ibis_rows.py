"""Shared by all statements to a source: running an expression, and the shape and order of its rows."""

import re
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.storage.schemas import TIMESTAMP

EARLIEST = date(2000, 1, 1)
"""Earlier times come from clocks that were never set."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def fetch(connection: Any, expression: Any) -> pa.Table:
    """Runs an expression. Postgres gives rows in batches, so that its driver's Python rows are not all in memory."""
    if connection.name == "postgres":
        return connection.to_pyarrow_batches(expression, chunk_size=20_000).read_all()
    return connection.to_pyarrow(expression)


def number_of(connection: Any, rows: Any) -> int:
    """The number of rows of an expression."""
    return int(fetch(connection, rows.aggregate(rows=rows.count()))["rows"][0].as_py())


def exclusion_of(*cases: tuple[Any, ExclusionReason]) -> Any:
    """The reason of the first case whose condition is true, as text; null if none is."""
    import ibis

    return ibis.cases(*((condition, str(reason)) for condition, reason in cases), else_=ibis.null("string"))


def with_clean_agent_types(table: pa.Table) -> tuple[pa.Table, Counts]:
    """The table with agent types stripped, without the rows whose agent type is blank or has control characters, and
    the number of these rows by reason.

    Rows are counted by their ``count`` column if there is one. Python does this because stripping every row would be
    the engine's slowest work, and a table has few agent types.
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
    """A timestamp column as UTC microseconds; one without a zone is UTC already."""
    if column.type.tz is None:
        return pc.assume_timezone(column.cast(pa.timestamp("us"), safe=False), "UTC")
    return column.cast(TIMESTAMP, safe=False)


def shaped(table: pa.Table, schema: pa.Schema, order: str) -> pa.Table:
    """The table with exactly the schema's columns and types, in an order that does not depend on an engine's collation.

    ``order`` lists columns; ``-name`` puts the largest first. The other columns break ties.
    """
    columns = [
        as_utc(table[field.name]) if pa.types.is_timestamp(field.type) else table[field.name].cast(field.type)
        for field in schema
    ]
    keys = [(name.lstrip("-"), "descending" if name.startswith("-") else "ascending") for name in order.split()]
    named = {name for name, _ in keys}
    keys += [(name, "ascending") for name in schema.names if name not in named]
    return pa.table(columns, schema=schema).sort_by(keys)
