"""The contract of the three source tables, and how any engine's columns become ours.

Ibis expressions only; nothing is executed here. A value that its column does not allow becomes null (or the column's
neutral value) and never fails the statement: text is matched against a regular expression before it is cast, because a
bad cast stops the whole statement on Postgres and Spark. A whole column of the wrong type is a SourceError.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cachewarm_pipeline.errors import ConfigurationError, SourceError


@dataclass(frozen=True)
class TableSpec:
    """The columns that a source table must have (docs/data-sources.md)."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


ANALYSES = TableSpec("analyses", ("id", "content_preview", "created_at"), ("url",))
FINDINGS = TableSpec("findings", ("analysis_id", "agent_type", "output", "confidence_score"))
LOG = TableSpec(
    "llm_query_logs",
    ("query", "agent_type", "response", "created_at"),
    (
        "user_id",
        "cache_hit",
        "feedback",
        "model",
        "prompt_tokens",
        "completion_tokens",
        "cost_usd",
        "latency_ms",
    ),
)
EXCLUDED, ANSWER_EXCLUDED = "cachewarm_excluded", "cachewarm_answer_excluded"
"""Columns that a connector adds to a log: the reason why the row, or only its answer, is excluded; null for none."""

SPECS = {spec.name: spec for spec in (ANALYSES, FINDINGS, LOG)}


def check_mapping(tables: Mapping[str, str], columns: Mapping[str, Mapping[str, str]]) -> None:
    """Raises ConfigurationError for a mapped table or column that is not in the contract: most likely a typo."""
    for setting, names in (("CACHEWARM_TABLES", tables), ("CACHEWARM_COLUMNS", columns)):
        for name in names:
            if name not in SPECS:
                raise ConfigurationError(f"{setting}: no table {name!r}; the tables are {', '.join(SPECS)}")
    for name, mapped in columns.items():
        known = (*SPECS[name].required, *SPECS[name].optional)
        for column in mapped:
            if column not in known:
                raise ConfigurationError(
                    f"CACHEWARM_COLUMNS: table {name} has no column {column!r}; its columns are {', '.join(known)}"
                )


class MappedTable:
    """One source table, whose columns are reached by our names and read as our types."""

    def __init__(self, spec: TableSpec, table: Any, mapping: Mapping[str, str], place: str) -> None:
        """``table``: an Ibis table. ``mapping``: our column names to the table's. ``place``: the table in messages.

        Raises SourceError if a required column or a mapped one is missing.
        """
        self.spec = spec
        self.table = table
        self.place = place
        self.names: dict[str, str] = {}
        found = list(table.columns)
        missing = []
        for ours in (*spec.required, *spec.optional):
            theirs = find_name(mapping.get(ours, ours), found)
            if theirs is not None:
                self.names[ours] = theirs
            elif ours in spec.required or ours in mapping:
                missing.append(mapping.get(ours, ours))
        if missing:
            example = f'{{"{spec.name}": {{"{spec.required[0]}": "your_column"}}}}'
            raise SourceError(
                f"{place}: missing column(s) {', '.join(missing)}; found {', '.join(found[:40]) or 'none'}; "
                f"map other names with CACHEWARM_COLUMNS={example}"
            )

    def types(self) -> dict[str, str]:
        """Our column names to the engine's types, for the columns that exist."""
        schema = self.table.schema()
        return {ours: str(schema[theirs]) for ours, theirs in self.names.items()}

    def text(self, name: str) -> Any:
        """The column as text; null if it is null or the column is missing."""
        column, kind = self._column(name)
        if column is None:
            return null_of("string")
        if kind.is_string():
            return column
        if kind.is_json() or kind.is_integer() or kind.is_floating() or kind.is_decimal() or kind.is_uuid():
            return column.cast("string")
        raise self._wrong(name, kind, "text")

    def time(self, name: str) -> Any:
        """The column as a timestamp with or without a zone (none means UTC); null if text is not ISO-8601."""
        column, _ = self._column(name)
        return null_of("timestamp('UTC')") if column is None else self.as_time(name, column)

    def as_time(self, name: str, column: Any) -> Any:
        """As ``time``, for any value ``column`` of the table; messages call it ``name``."""
        kind = column.type()
        if kind.is_timestamp():
            return column
        if kind.is_date():
            return column.cast("timestamp")
        if kind.is_unknown() and "TIMESTAMP" in str(kind):  # DuckDB's nanoseconds with a zone, which pandas writes
            return column.cast("timestamp('UTC')")
        if kind.is_string():
            return _time_of_text(column)
        raise self._wrong(name, kind, "a time")

    def number(self, name: str, low: float, high: float) -> Any:
        """The column as float64; null outside low..high, and for NaN and the infinities."""
        column, kind = self._column(name)
        if column is None:
            return null_of("float64")
        if kind.is_string():
            column = _number_of_text(column)
        elif kind.is_integer() or kind.is_floating() or kind.is_decimal():
            column = column.cast("float64")
        else:
            raise self._wrong(name, kind, "a number")
        # NaN is above any bound on every engine here.
        return _only_if(column.between(low, high), column)

    def flag(self, name: str) -> Any:
        """The column as true or false, never null. True: true, a number other than 0, or one of the words true, t, yes,
        y, 1, 1.0, hit."""
        import ibis

        column, kind = self._column(name)
        if column is None:
            return ibis.literal(False)
        if kind.is_boolean():
            return column.fill_null(False)
        if kind.is_integer() or kind.is_floating() or kind.is_decimal():
            return (column != 0).fill_null(False)
        if kind.is_string():
            words = ["true", "t", "yes", "y", "1", "1.0", "hit"]
            return column.strip().lower().isin(words).fill_null(False)
        raise self._wrong(name, kind, "a truth value")

    def _column(self, name: str) -> tuple[Any, Any]:
        if name not in self.names:
            return None, None
        column = self.table[self.names[name]]
        kind = column.type()
        return (None, None) if is_untyped(kind) else (column, kind)

    def _wrong(self, name: str, kind: Any, wanted: str) -> SourceError:
        theirs, shown = self.names.get(name, name), str(kind)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return SourceError(
            f"{self.place}: column {theirs!r} is of type {shown}, which cannot be {wanted}{self._remedy(name)}"
        )

    def _remedy(self, name: str) -> str:
        example = f'{{"{self.spec.name}": {{"{name}": "your_column"}}}}'
        return f"; name another column for {name} with CACHEWARM_COLUMNS={example}"


def is_untyped(kind: Any) -> bool:
    """Whether a column has no type: Parquet writers do that when every value is null."""
    return bool(kind.is_null() or (kind.is_unknown() and 'kind="NULL"' in str(kind)))


def find_name(name: str, found: list[str]) -> str | None:
    """The column of that name, or the only one that differs just in case: engines fold names differently."""
    if name in found:
        return name
    near = [other for other in found if other.lower() == name.lower()]
    return near[0] if len(near) == 1 else None


def time_literal(time: datetime, column: Any) -> Any:
    """A UTC time as a literal to compare with the time column. It needs no cast, which would stop file pruning."""
    import ibis

    aware = time.astimezone(UTC)
    return ibis.literal(aware if column.type().timezone else aware.replace(tzinfo=None))


def null_of(kind: str) -> Any:
    """A null of that Ibis type."""
    import ibis

    return ibis.null(kind)


def _only_if(condition: Any, value: Any) -> Any:
    return condition.ifelse(value, null_of(str(value.type().copy(nullable=True))))


# The whole calendar, because casting 30 February is an error on some engines: months of 31 days, of 30, February, leap
# days.
_DATE = (
    r"([1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|"
    r"02-(0[1-9]|1[0-9]|2[0-8]))|"
    r"([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)-02-29)"
)
_CLOCK = r"[ T]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?"
_ZONE = r"(Z| ?UTC|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?"
_TIME = f"^{_DATE}({_CLOCK}{_ZONE})?$"


def _time_of_text(column: Any) -> Any:
    """ISO-8601 text as a UTC timestamp. Text without a zone is UTC; fractions keep six digits; zones become +HH:MM."""
    text = column.strip()
    text = _only_if(text.re_search(_TIME), text)
    text = text.re_replace(r"([.][0-9]{6})[0-9]+", r"\1").re_replace("(Z| ?UTC)$", "+00:00")
    text = text.re_replace("(:[0-9.]+[+-][0-9][0-9])$", r"\1:00")
    text = text.re_replace("([+-][0-9][0-9])([0-9][0-9])$", r"\1:\2")
    return text.cast("timestamp('UTC')")


def _number_of_text(column: Any) -> Any:
    text = column.strip()
    return _only_if(text.re_search(r"^[+-]?([0-9]{1,15}([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,2})?$"), text).cast(
        "float64"
    )
