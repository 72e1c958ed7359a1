"""What the two engines that connectors run on call by different names: JSON that may be none, keys with dots, moments.

Everything else about JSON is an Ibis expression of one form. Other engines are refused: nobody has run this on them.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from cachewarm_pipeline.errors import ConfigurationError

_POSTGRES_16 = 160_000
"""The first Postgres that tells whether a text is JSON without failing on one that is not."""

_NO_LIMIT = 2**62


class Dialect(Protocol):
    """How an engine reads JSON."""

    @property
    def parses_text(self) -> bool:
        """Whether ``parse`` can; else it gives null."""
        ...

    def parse(self, text: Any) -> Any:
        """The text as JSON; null where it is none."""
        ...

    def encode(self, column: Any) -> Any:
        """A column of JSON, or of nested values, as JSON that ``member`` and Ibis take."""
        ...

    def member(self, json: Any, key: str) -> Any:
        """The object's value under exactly this key, dots and all; null where there is none."""
        ...

    def moment(self, nanoseconds: Any) -> Any:
        """An int64 column of nanoseconds since 1970 as timestamps in UTC."""
        ...

    def seconds(self, time: Any) -> Any:
        """A timestamp as float64 seconds since 1970, with their fraction."""
        ...

    def step(self, table: Any) -> Any:
        """The table, its columns worked out: what is built on them refers to them and does not repeat them.

        Ibis writes each column's expression out wherever it is used. Over several steps that grows beyond measure.
        """
        ...


def dialect_of(connection: Any, log_format: str, place: str) -> Dialect:
    """Raises ConfigurationError for an engine that connectors do not run on."""
    if connection.name == "duckdb":
        return DuckDialect()
    if connection.name == "postgres":
        return PostgresDialect(connection.con.info.server_version >= _POSTGRES_16)
    raise ConfigurationError(
        f"{place}: CACHEWARM_LOG_FORMAT={log_format} reads folders of files, DuckDB and PostgreSQL, not "
        f"{connection.name}; make a view there with the columns of llm_query_logs and name it in CACHEWARM_TABLES"
    )


class DuckDialect:
    """DuckDB: over folders of files, and its own databases."""

    parses_text = True

    def parse(self, text: Any) -> Any:
        return text.try_cast("json")

    def encode(self, column: Any) -> Any:
        return column.cast("json")

    def member(self, json: Any, key: str) -> Any:
        quoted = key.replace("\\", "\\\\").replace('"', '\\"')
        return _udf("json_extract", ("json", "string"), "json")(json, f'$."{quoted}"')

    def moment(self, nanoseconds: Any) -> Any:
        return _udf("make_timestamptz", ("int64",), "timestamp('UTC')")(
            # Not //, which Ibis divides as floats here: they are a microsecond off.
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
        # Not for json: it takes \u0000, which then stops the query that reads it.
        return column if kind.is_json() and kind.binary else self.parse(column.cast("string"))

    def member(self, json: Any, key: str) -> Any:
        return json[key]

    def moment(self, nanoseconds: Any) -> Any:
        return _udf("to_timestamp", ("float64",), "timestamp('UTC')")(nanoseconds / 1e9)

    def seconds(self, time: Any) -> Any:
        return _udf("date_part", ("string", str(time.type())), "float64")("epoch", time)

    def step(self, table: Any) -> Any:
        # Postgres pulls a plain subquery up and repeats its columns just as Ibis does; one with a limit it does not.
        return table.limit(_NO_LIMIT)


def _jsonb() -> Any:
    import ibis.expr.datatypes as dt

    return dt.JSON(binary=True)


@cache
def _udf(name: str, takes: tuple[str, ...], gives: str) -> Any:
    """The engine's own function of that name."""
    import ibis
    import ibis.expr.datatypes as dt

    def one(a): ...  # type: ignore[no-untyped-def]  # Ibis reads its names, and types from the signature

    def two(a, b): ...  # type: ignore[no-untyped-def]

    signature = tuple(dt.dtype(kind) for kind in takes), dt.dtype(gives)
    return ibis.udf.scalar.builtin(one if len(takes) == 1 else two, name=name, signature=signature)
