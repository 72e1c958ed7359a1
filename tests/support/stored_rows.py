"""Tables of datasets from the few columns that a test is about."""

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
    """Rows of a dataset; what is not given is null, or empty where it cannot be."""
    empty = {
        field.name: None if field.nullable else _EMPTY.get(field.type, datetime(2026, 3, 20, tzinfo=UTC))
        for field in schema
    }
    return pa.Table.from_pylist([{**empty, **row} for row in rows], schema=schema)
