"""What all schemas are made of: columns with a description, and the type of timestamps."""

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")


def column(name: str, kind: pa.DataType, description: str, nullable: bool = False) -> pa.Field:
    """A column. Dagster's UI shows the description beside its name."""
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})
