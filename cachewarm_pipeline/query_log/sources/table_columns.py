"""What the three source tables must hold, and how any engine's columns become ours.

Ibis expressions only, nothing is executed here. A value that is not what its column promises becomes null (or the
column's neutral value), never a failed query: text is looked at with a regular expression before it is cast, because
a bad cast stops the whole query on Postgres and Spark. A whole column of the wrong type is a SourceError.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cachewarm_pipeline.errors import ConfigurationError, SourceError


@dataclass(frozen=True)
class TableSpec:
    """A source table's contract (DESIGN.md section 4)."""

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
EXCLUDED, ANSWER_EXCLUDED = "cachewarm_left_out", "cachewarm_answer_left_out"
"""Columns of a log that came through a connector: why the row, or its answer alone, is left out; null for none."""

SPECS = {spec.name: spec for spec in (ANALYSES, FINDINGS, LOG)}


def check_mapping(tables: Mapping[str, str], columns: Mapping[str, Mapping[str, str]]) -> None:
    """Raises ConfigurationError for a mapped table or column that the contract does not know: most likely a typo."""
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


class Bound:
    """One source table with its columns under our names."""

    def __init__(self, spec: TableSpec, table: Any, mapping: Mapping[str, str], place: str) -> None:
        """``table`` is an Ibis table, ``mapping`` our column name to theirs, ``place`` what messages call the table.

        Raises SourceError for a required column that is not there, and for a mapped one, which was asked for by name.
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
        """Our column name to the engine's type, for the columns that are there."""
        schema = self.table.schema()
        return {ours: str(schema[theirs]) for ours, theirs in self.names.items()}

    def text(self, name: str) -> Any:
        """The column as text; null where it is null or absent."""
        column, kind = self._column(name)
        if column is None:
            return _null("string")
        if kind.is_string():
            return column
        if kind.is_json() or kind.is_integer() or kind.is_floating() or kind.is_decimal() or kind.is_uuid():
            return column.cast("string")
        raise self._wrong(name, kind, "text")

    def time(self, name: str) -> Any:
        """The column as a timestamp with or without a zone (none means UTC); null where text is not ISO-8601."""
        column, _ = self._column(name)
        return _null("timestamp('UTC')") if column is None else self.as_time(name, column)

    def as_time(self, name: str, column: Any) -> Any:
        """See ``time``; ``column`` is any value of the table, ``name`` what messages call it."""
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
        """The column as float64; null outside low..high, which is also where NaN and the infinities are."""
        column, kind = self._column(name)
        if column is None:
            return _null("float64")
        if kind.is_string():
            column = _number_of_text(column)
        elif kind.is_integer() or kind.is_floating() or kind.is_decimal():
            column = column.cast("float64")
        else:
            raise self._wrong(name, kind, "a number")
        # NaN is above any bound on every engine here.
        return _only_if(column.between(low, high), column)

    def flag(self, name: str) -> Any:
        """The column as true or false, never null: booleans, numbers (not 0), or the words true, t, yes, y, 1, hit."""
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
    """Whether a column was written without a type, which writers of Parquet do where every value is null."""
    return bool(kind.is_null() or (kind.is_unknown() and 'kind="NULL"' in str(kind)))


def find_name(name: str, found: list[str]) -> str | None:
    """The column of that name, or the only one that differs in case alone: engines fold names differently."""
    if name in found:
        return name
    near = [other for other in found if other.lower() == name.lower()]
    return near[0] if len(near) == 1 else None


def moment(day_start: datetime, column: Any) -> Any:
    """A UTC moment as a literal that compares with the time column, without a cast that would stop file pruning."""
    import ibis

    aware = day_start.astimezone(UTC)
    return ibis.literal(aware if column.type().timezone else aware.replace(tzinfo=None))


def _null(kind: str) -> Any:
    import ibis

    return ibis.null(kind)


def _only_if(condition: Any, value: Any) -> Any:
    return condition.ifelse(value, _null(str(value.type().copy(nullable=True))))


# Whole calendar, because a cast of 30 February is an error on some engines: months of 31, of 30, February, leap days.
_DATE = (
    r"([1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|"
    r"02-(0[1-9]|1[0-9]|2[0-8]))|"
    r"([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)-02-29)"
)
_CLOCK = r"[ T]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?"
_ZONE = r"(Z| ?UTC|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?"
_TIME = f"^{_DATE}({_CLOCK}{_ZONE})?$"


def _time_of_text(column: Any) -> Any:
    """ISO-8601 text as an instant; text without a zone is UTC. Fractions keep six digits; zones become +HH:MM."""
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
