"""What one tool's log is to us: where it is, which columns it needs, and the mapping to our columns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cachewarm_pipeline.days import start_of
from cachewarm_pipeline.query_log.log_formats.chat_messages import texts_of
from cachewarm_pipeline.query_log.log_formats.json_dialects import Dialect, dialect_of
from cachewarm_pipeline.query_log.log_formats.tool_table import Document, ToolTable
from cachewarm_pipeline.query_log.sources.table_columns import LOG, Bound, TableSpec, find_name, moment

TIME = "created_at"


@dataclass(frozen=True)
class Connector:
    """How one tool's table is read."""

    format: str
    """What CACHEWARM_LOG_FORMAT calls it."""
    tool: str
    """What messages call the tool's table."""
    tables: tuple[str, ...]
    """Names that the tool gives the table; the first that is there is read."""
    columns: tuple[str, ...]
    """All columns that the connector knows."""
    needs: Mapping[str, tuple[str, ...]]
    """Per column of ours that there is nothing without (query, response, created_at): the tool's columns, one of which
    has to be there. What CACHEWARM_COLUMNS maps needs none."""
    read: Callable[[ToolTable], dict[str, Any]]
    """Our columns but for time and texts, and ``asked``, ``told`` (Documents), ``finish`` and ``call``: texts_of."""
    plain_answers: bool = False
    """Whether an answer may be logged as a JSON object of the application's own."""
    attributes: tuple[str, ...] = ()
    """Columns whose keys hold dots themselves."""
    unnest: Callable[[Any, Dialect], Any] = lambda table, _dialect: table
    """Rows of calls, out of a table with several calls in a row."""
    unpack: Callable[[ToolTable], Any] = lambda calls: calls.table
    """The table with the columns that ``read`` looks for, out of one that holds them otherwise."""

    def time_column(self, mapping: Mapping[str, str], found: Callable[[], list[str]]) -> str:
        """The table's column that says when a call began. ``found`` gives its columns, where they are needed."""
        names = (mapping[TIME],) if TIME in mapping else self.needs[TIME]
        if len(names) == 1:
            return names[0]
        there = found()
        return next((name for wanted in names if (name := find_name(wanted, there)) is not None), names[0])

    def times_of(self, connection: Any, table: Any, mapping: Mapping[str, str], place: str) -> Bound:
        """The log with its ``created_at`` alone, of all its rows: as cheap as the tool's own column."""
        calls = self._open(connection, table, mapping, place)
        spec = TableSpec(LOG.name, (TIME,))
        return Bound(spec, calls.table.select(**{TIME: self._time(calls, mapping)}), {}, place)

    def bound(
        self, connection: Any, table: Any, mapping: Mapping[str, str], place: str, day: date | None = None
    ) -> Bound:
        """The table under our names; of one UTC day where one is given.

        ``mapping``: our column name to another column of the tool's than the connector's own choice.
        Raises SourceError for a missing column, ConfigurationError for an engine that this does not run on.
        """
        calls = self._open(connection, table, mapping, place)
        if day is not None:
            # Before anything is parsed: a day must not cost what the history costs.
            at = self._time(calls, mapping)
            first, end = (moment(start_of(one), at) for one in (day, day + timedelta(days=1)))
            calls = self._table(calls.table.filter(at >= first, at < end), place, calls.dialect)
        calls = self._table(self.unpack(calls), place, calls.dialect)
        columns = self.read(calls)
        asked, told = columns.pop("asked"), columns.pop("told")
        for ours, theirs in mapping.items():
            value = calls.at_path(theirs, ours)
            if ours == "query":
                asked = _document(calls, value)
            elif ours == "response":
                told = _document(calls, value)
            else:
                columns[ours] = value
        columns[TIME] = self._time(calls, mapping)
        base = calls.table.select(
            **columns, asked_raw=asked.raw, asked_json=asked.json, told_raw=told.raw, told_json=told.json
        )
        return Bound(LOG, texts_of(base, calls.dialect, plain=self.plain_answers), {}, place)

    def _open(self, connection: Any, table: Any, mapping: Mapping[str, str], place: str) -> ToolTable:
        dialect = dialect_of(connection, self.format, place)
        calls = self._table(self.unnest(table, dialect), place, dialect)
        calls.need(self.format, *(names for ours, names in self.needs.items() if ours not in mapping))
        return calls

    def _table(self, table: Any, place: str, dialect: Dialect) -> ToolTable:
        return ToolTable(self.tool, self.columns, self.attributes, table, place, dialect)

    def _time(self, calls: ToolTable, mapping: Mapping[str, str]) -> Any:
        if TIME in mapping:
            return calls.as_time(TIME, calls.at_path(mapping[TIME], TIME))
        return calls.moment(calls.first(*self.needs[TIME]) or "")


def _document(calls: ToolTable, value: Any) -> Document:
    kind = value.type()
    if kind.is_string():
        return Document(value, calls.dialect.parse(value))
    json = calls.dialect.encode(value)
    return Document(json.cast("string"), json)
