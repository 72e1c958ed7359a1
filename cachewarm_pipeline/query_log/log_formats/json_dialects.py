"""Where DuckDB and PostgreSQL differ: text that may not be JSON, keys with dots, timestamps.

Everything else about JSON is the same Ibis expression on both. Other engines are refused: connectors were never run on
them.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from cachewarm_pipeline.errors import ConfigurationError

_POSTGRES_16 = 160_000
"""The first Postgres that can test whether a text is JSON without raising an error."""

_NO_LIMIT = 2**62


class Dialect(Protocol):
    """How an engine reads JSON."""

    @property
    def parses_text(self) -> bool:
        """Whether ``parse`` works; if not, it gives null."""
        ...

    def parse(self, text: Any) -> Any:
        """The text as JSON; null if it is not JSON."""
        ...

    def encode(self, column: Any) -> Any:
        """A column of JSON or of nested values, as JSON that ``member`` and Ibis accept."""
        ...

    def member(self, json: Any, key: str) -> Any:
        """The object's value under this key, which may contain dots; null if the object lacks it."""
        ...

    def timestamp(self, nanoseconds: Any) -> Any:
        """An int64 column of nanoseconds since 1970, as UTC timestamps."""
        ...

    def seconds(self, time: Any) -> Any:
        """A timestamp as seconds since 1970, float64."""
        ...

    def step(self, table: Any) -> Any:
        """The table as a subquery, so that later expressions refer to its columns by name.

        Without it Ibis repeats a column's whole expression wherever the column is used, and the statement grows
        exponentially over several steps.
        """
        ...


def dialect_of(connection: Any, log_format: str, place: str) -> Dialect:
    """The dialect of a connection. Raises ConfigurationError for an engine that connectors do not run on."""
    if connection.name == "duckdb":
        return DuckDialect()
    if connection.name == "postgres":
        return PostgresDialect(connection.con.info.server_version >= _POSTGRES_16)
    raise ConfigurationError(
        f"{place}: CACHEWARM_LOG_FORMAT={log_format} reads folders of files, DuckDB and PostgreSQL, not "
        f"{connection.name}; make a view there with the columns of llm_query_logs and name it in CACHEWARM_TABLES"
    )


class DuckDialect:
    """DuckDB, over folders of files and its own databases."""

    parses_text = True

    def parse(self, text: Any) -> Any:
        return text.try_cast("json")

    def encode(self, column: Any) -> Any:
        return column.cast("json")

    def member(self, json: Any, key: str) -> Any:
        quoted = key.replace("\\", "\\\\").replace('"', '\\"')
        return _udf("json_extract", ("json", "string"), "json")(json, f'$."{quoted}"')

    def timestamp(self, nanoseconds: Any) -> Any:
        return _udf("make_timestamptz", ("int64",), "timestamp('UTC')")(
            # Not //, which Ibis computes with floats here: they are a microsecond off.
            _udf("divide", ("int64", "int64"), "int64")(nanoseconds, 1_000)
        )

    def seconds(self, time: Any) -> Any:
        return _udf("epoch", (str(time.type()),), "float64")(time)

    def step(self, table: Any) -> Any:
        return table.view()


@dataclass(frozen=True)
class PostgresDialect:
    """PostgreSQL: jsonb columns on any version, JSON in text columns from 16 on."""

    parses_text: bool

    def parse(self, text: Any) -> Any:
        import ibis

        if not self.parses_text:
            return ibis.null(_jsonb())
        valid = _udf("pg_input_is_valid", ("string", "string"), "boolean")(text, "jsonb")
        return ibis.cases((valid, text.cast(_jsonb())), else_=ibis.null(_jsonb()))

    def encode(self, column: Any) -> Any:
        kind = column.type()
        # Not for json: it accepts \u0000, which then fails the statement that reads it.
        return column if kind.is_json() and kind.binary else self.parse(column.cast("string"))

    def member(self, json: Any, key: str) -> Any:
        return json[key]

    def timestamp(self, nanoseconds: Any) -> Any:
        return _udf("to_timestamp", ("float64",), "timestamp('UTC')")(nanoseconds / 1e9)

    def seconds(self, time: Any) -> Any:
        return _udf("date_part", ("string", str(time.type())), "float64")("epoch", time)

    def step(self, table: Any) -> Any:
        # Postgres inlines a plain subquery and repeats its columns, as Ibis does. It does not inline one with a limit.
        return table.limit(_NO_LIMIT)


def _jsonb() -> Any:
    import ibis.expr.datatypes as dt

    return dt.JSON(binary=True)


@cache
def _udf(name: str, takes: tuple[str, ...], gives: str) -> Any:
    """The engine's own function of that name."""
    import ibis
    import ibis.expr.datatypes as dt

    def one(a): ...  # type: ignore[no-untyped-def]  # Ibis uses the names; the types are in the signature

    def two(a, b): ...  # type: ignore[no-untyped-def]

    signature = tuple(dt.dtype(kind) for kind in takes), dt.dtype(gives)
    return ibis.udf.scalar.builtin(one if len(takes) == 1 else two, name=name, signature=signature)
