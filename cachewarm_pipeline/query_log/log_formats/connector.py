"""How one tool's log is mapped to our columns: where it is, which columns it needs, and what each of them becomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cachewarm_pipeline.days import start_of
from cachewarm_pipeline.query_log.log_formats.chat_messages import with_texts
from cachewarm_pipeline.query_log.log_formats.json_dialects import Dialect, dialect_of
from cachewarm_pipeline.query_log.log_formats.tool_table import Document, ToolTable
from cachewarm_pipeline.query_log.sources.table_columns import (
    LOG,
    MappedTable,
    TableSpec,
    find_name,
    null_of,
    time_literal,
)

TIME = "created_at"


@dataclass(frozen=True)
class CallColumns:
    """What each row of a tool's table has about one call of a model, as Ibis expressions."""

    prompt: Document
    """The messages of the request, or its text."""
    answer: Document
    """The model's answer."""
    excluded: Any
    """Why the row is not a usable chat call, as the text of an ExclusionReason; null if it is one."""
    columns: Mapping[str, Any]
    """Our other columns by their names, without the time and the two texts."""
    finish: Any = None
    """Why the model stopped, if the tool has a column for it; else the answer's own JSON is read."""


@dataclass(frozen=True)
class Connector:
    """How one tool's table is read."""

    format: str
    """Its name in CACHEWARM_LOG_FORMAT."""
    tool: str
    """The tool's table as messages name it."""
    tables: tuple[str, ...]
    """Names that the tool gives the table; the first one that exists is read."""
    columns: tuple[str, ...]
    """All columns that the connector knows."""
    needs: Mapping[str, tuple[str, ...]]
    """For each column of ours that is required: the tool's columns, one of which must exist. A column that
    CACHEWARM_COLUMNS maps needs none of them."""
    read: Callable[[ToolTable], CallColumns]
    """Maps the tool's columns to ours."""
    plain_answers: bool = False
    """Whether an answer may be logged as a JSON object of the application's own."""
    attributes: tuple[str, ...] = ()
    """Columns whose JSON keys contain dots."""
    unnest: Callable[[Any, Dialect], Any] = lambda table, _dialect: table
    """Makes one row a call, if the tool writes several calls into one row."""
    unpack: Callable[[ToolTable], Any] = lambda calls: calls.table
    """Gives the table the columns that ``read`` uses, if the tool packs them into others."""

    def time_column(self, mapping: Mapping[str, str], found: Callable[[], list[str]]) -> str:
        """The table's column with the start of each call. ``found`` gives the table's columns; it is called only if
        there is a choice."""
        names = (mapping[TIME],) if TIME in mapping else self.needs[TIME]
        if len(names) == 1:
            return names[0]
        columns = found()
        return next((name for wanted in names if (name := find_name(wanted, columns)) is not None), names[0])

    def map_times(self, connection: Any, table: Any, mapping: Mapping[str, str], place: str) -> MappedTable:
        """All rows of the log with ``created_at`` alone: as cheap to read as the tool's own column."""
        calls = self._open(connection, table, mapping, place)
        spec = TableSpec(LOG.name, (TIME,))
        return MappedTable(spec, calls.table.select(**{TIME: self._time(calls, mapping)}), {}, place)

    def map_table(
        self, connection: Any, table: Any, mapping: Mapping[str, str], place: str, day: date | None = None
    ) -> MappedTable:
        """The table under our names; with ``day`` only the rows of that UTC day.

        ``mapping``: our column names to columns of the tool that replace the connector's own choice. ``place``: the
        table in messages.
        Raises SourceError for a missing column, ConfigurationError for an engine that connectors do not run on.
        """
        calls = self._open(connection, table, mapping, place)
        if day is not None:
            # Before any JSON is parsed: a day must not cost as much as the whole history.
            at = self._time(calls, mapping)
            first, end = (time_literal(start_of(one), at) for one in (day, day + timedelta(days=1)))
            calls = self._table(calls.table.filter(at >= first, at < end), place, calls.dialect)
        calls = self._table(self.unpack(calls), place, calls.dialect)
        call = self.read(calls)
        prompt, answer, columns = call.prompt, call.answer, dict(call.columns)
        for ours, theirs in mapping.items():
            value = calls.at_path(theirs, ours)
            if ours == "query":
                prompt = _document(calls, value)
            elif ours == "response":
                answer = _document(calls, value)
            else:
                columns[ours] = value
        columns[TIME] = self._time(calls, mapping)
        base = calls.table.select(
            **columns,
            call_excluded=call.excluded,
            call_finish=null_of("string") if call.finish is None else call.finish,
            request_raw=prompt.raw,
            request_json=prompt.json,
            answer_raw=answer.raw,
            answer_json=answer.json,
        )
        return MappedTable(LOG, with_texts(base, calls.dialect, plain=self.plain_answers), {}, place)

    def _open(self, connection: Any, table: Any, mapping: Mapping[str, str], place: str) -> ToolTable:
        dialect = dialect_of(connection, self.format, place)
        calls = self._table(self.unnest(table, dialect), place, dialect)
        calls.require(self.format, *(names for ours, names in self.needs.items() if ours not in mapping))
        return calls

    def _table(self, table: Any, place: str, dialect: Dialect) -> ToolTable:
        return ToolTable(self.tool, self.columns, self.attributes, table, place, dialect)

    def _time(self, calls: ToolTable, mapping: Mapping[str, str]) -> Any:
        if TIME in mapping:
            return calls.as_time(TIME, calls.at_path(mapping[TIME], TIME))
        return calls.timestamp(calls.first(*self.needs[TIME]) or "")


def _document(calls: ToolTable, value: Any) -> Document:
    kind = value.type()
    if kind.is_string():
        return Document(value, calls.dialect.parse(value))
    json = calls.dialect.encode(value)
    return Document(json.cast("string"), json)
