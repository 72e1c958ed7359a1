"""A tool's own table under its own column names, with access to its JSON. Ibis expressions only."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from cachewarm_pipeline.errors import SourceError
from cachewarm_pipeline.query_log.log_formats.json_dialects import Dialect
from cachewarm_pipeline.query_log.sources.table_columns import MappedTable, TableSpec, find_name, is_untyped, null_of


@dataclass(frozen=True)
class Document:
    """A prompt or an answer as the tool logged it: JSON or plain text. Both fields are null if it logged nothing."""

    raw: Any
    """As text."""
    json: Any
    """As JSON; null if the text is not JSON."""


class ToolTable(MappedTable):
    """One table of a tool. No column is required: a missing one reads as null."""

    def __init__(
        self,
        tool: str,
        columns: Collection[str],
        attributes: Collection[str],
        table: Any,
        place: str,
        dialect: Dialect,
    ) -> None:
        """``columns``: the columns that the connector knows. ``attributes``: those whose JSON keys contain dots."""
        super().__init__(TableSpec(tool, (), tuple(columns)), table, {}, place)
        kinds = table.schema()
        self.names = {name: theirs for name, theirs in self.names.items() if not is_untyped(kinds[theirs])}
        self.dialect = dialect
        self._attributes = {self.names[name] for name in attributes if name in self.names}

    def first(self, *names: str) -> str | None:
        """The first of the names that is a column; None if none is."""
        return next((name for name in names if name in self.names), None)

    def require(self, log_format: str, *alternatives: tuple[str, ...]) -> None:
        """Raises SourceError unless at least one name of each tuple is a column."""
        missing = [" or ".join(names) for names in alternatives if self.first(*names) is None]
        if missing:
            raise SourceError(
                f"{self.place}: CACHEWARM_LOG_FORMAT={log_format} needs column(s) {', '.join(missing)} of "
                f"{self.spec.name}; found {self._found()}; map others with "
                'CACHEWARM_COLUMNS={"llm_query_logs": {"created_at": "your_column"}}'
            )

    def json(self, name: str) -> Any:
        """The column as JSON; null if it is missing or not JSON."""
        if name not in self.names:
            return self.dialect.parse(null_of("string"))
        return self._as_json(self.table[self.names[name]])

    def document(self, name: str) -> Document:
        """The column as text and as JSON."""
        if name not in self.names:
            return Document(null_of("string"), self.dialect.parse(null_of("string")))
        column = self.table[self.names[name]]
        if column.type().is_string():
            return Document(column, self._as_json(column) if self.dialect.parses_text else self.dialect.parse(column))
        json = self._as_json(column)
        return Document(json.cast("string"), json)

    def timestamp(self, name: str) -> Any:
        """The column as a timestamp, see ``time``. A column named ``...nano`` has nanoseconds since 1970."""
        if not name.lower().endswith("nano"):
            return self.time(name)
        return self.dialect.timestamp(self.nanoseconds(name))

    def nanoseconds(self, name: str) -> Any:
        """The column as int64; null if it is missing, or its text is not such a number."""
        import ibis

        if name not in self.names:
            return ibis.null("int64")
        text = self.table[self.names[name]].cast("string")
        fits = text.re_search("^([0-9]{1,18}|[1-8][0-9]{18})$").fill_null(False)
        return fits.ifelse(text, null_of("string")).cast("int64")

    def existing(self, **columns: str) -> dict[str, Any]:
        """Our column names to the tool's columns, for those that exist."""
        return {ours: self.table[self.names[theirs]] for ours, theirs in columns.items() if theirs in self.names}

    def latency(self, start: str, end: str) -> dict[str, Any]:
        """``latency_ms`` as the time between two columns; empty if one of them is missing."""
        if not {start, end} <= self.names.keys():
            return {}
        if start.lower().endswith("nano") and end.lower().endswith("nano"):
            return {"latency_ms": (self.nanoseconds(end) - self.nanoseconds(start)) / 1e6}
        first, last = (self.dialect.seconds(self.timestamp(name)) for name in (start, end))
        return {"latency_ms": (last - first) * 1e3}

    def attribute(self, json: Any, key: str) -> Any:
        """The value of an attribute, in an object or in OTLP's list of keys and values; see ``attribute_text``."""
        import ibis

        listed = json.array.filter(lambda one: (one["key"].str == key).fill_null(False))[0]["value"]
        return ibis.coalesce(self.dialect.member(json, key), listed)

    def at_path(self, path: str, ours: str) -> Any:
        """The value of a name in CACHEWARM_COLUMNS: a column, or ``column.key.key``, a path into a column's JSON, as
        text. ``ours``: our column name, for messages.

        Raises SourceError if there is no such column.
        """
        found = list(self.table.columns)
        if (name := find_name(path, found)) is not None:
            return self.table[name]
        for end in (at for at, letter in enumerate(path) if letter == "."):
            if (name := find_name(path[:end], found)) is None:
                continue
            json = self._as_json(self.table[name])
            if name in self._attributes:
                return attribute_text(self.attribute(json, path[end + 1 :]))
            for key in path[end + 1 :].split("."):
                json = self.dialect.member(json, key)
            return scalar_text(json)
        raise SourceError(
            f"{self.place}: missing column {path}, which CACHEWARM_COLUMNS names for {ours}; found {self._found()}"
        )

    def _remedy(self, name: str) -> str:
        return f" in {self.spec.name}"

    def _found(self) -> str:
        return ", ".join(list(self.table.columns)[:40]) or "none"

    def _as_json(self, column: Any) -> Any:
        kind = column.type()
        if self.dialect.parses_text or (kind.is_json() and kind.binary):
            return self.dialect.parse(column) if kind.is_string() else self.dialect.encode(column)
        raise SourceError(
            f"{self.place}: column {column.get_name()!r} is of type {kind}; reading JSON from it needs PostgreSQL "
            "16: make the column jsonb, or use a folder with an export"
        )


def scalar_text(json: Any) -> Any:
    """A JSON value as text: a string without its quotes, anything else as JSON; null for null."""
    import ibis

    return ibis.coalesce(json.str, json.cast("string").nullif("null"))


def attribute_text(value: Any) -> Any:
    """An attribute's value as text; null if it is missing or empty."""
    import ibis

    # In OTLP the key of a value is its type.
    kinds = [value[kind] for kind in ("stringValue", "intValue", "doubleValue", "boolValue")]
    return ibis.coalesce(*map(scalar_text, [*kinds, value])).nullif("")
