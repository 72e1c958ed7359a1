"""Tables of datasets, made from the columns that matter to a test."""

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

DAY = date(2026, 3, 20)

_EMPTY: dict[pa.DataType, Any] = {
    pa.string(): "",
    pa.float64(): 0.0,
    pa.int64(): 0,
    pa.bool_(): False,
    pa.date32(): DAY,
    pa.list_(pa.string()): [],
}


def table(schema: pa.Schema, *rows: dict[str, Any]) -> pa.Table:
    """Rows of a dataset. A missing value is null, or empty in a column that is not nullable."""
    empty = {
        field.name: None if field.nullable else _EMPTY.get(field.type, datetime(2026, 3, 20, tzinfo=UTC))
        for field in schema
    }
    return pa.Table.from_pylist([{**empty, **row} for row in rows], schema=schema)
