"""What all schemas are made of."""

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")


def column(name: str, kind: pa.DataType, description: str, nullable: bool = False) -> pa.Field:
    """A column; the description is what Dagster's UI shows beside it."""
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})
