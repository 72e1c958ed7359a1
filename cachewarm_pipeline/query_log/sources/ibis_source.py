"""A source over tables that Ibis can query.

It finds the tables, builds the statements of log_table and golden_tables, and turns engine errors into SourceError.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import date
from typing import Any, Protocol, TypeVar

import pyarrow as pa
from cachewarm_client.text import sha256_hex

from cachewarm_pipeline.errors import CachewarmError, SourceError
from cachewarm_pipeline.exclusion_reasons import Counts
from cachewarm_pipeline.ports import DayGroups, GoldenRows, SourceInfo, TableInfo
from cachewarm_pipeline.query_log.log_formats.connector import Connector
from cachewarm_pipeline.query_log.sources import golden_tables as golden
from cachewarm_pipeline.query_log.sources import ibis_engines as engines
from cachewarm_pipeline.query_log.sources import ibis_rows as rows
from cachewarm_pipeline.query_log.sources import log_table as log
from cachewarm_pipeline.query_log.sources.table_columns import ANALYSES, FINDINGS, LOG, SPECS, MappedTable, TableSpec

Answer = TypeVar("Answer")

MINING_VERSION = 4
"""Raise it whenever query_log.daily_counts or the statements about a day change: days mined before are then mined
again."""


class Tables(Protocol):
    """The tables of a folder or a database. Names are the source's own."""

    connection: Any
    """The Ibis backend that runs expressions over the tables."""
    counts_are_cheap: bool
    """Whether counting all rows of a table needs no full scan."""

    def place(self, name: str) -> str:
        """The table as messages name it."""
        ...

    def has(self, name: str) -> bool: ...

    def table(self, name: str) -> Any | None:
        """The whole table; None if it does not exist."""
        ...

    def day(self, name: str, day: date, time_column: str) -> Any | None:
        """The table with at least the rows of that UTC day; None if it does not exist."""
        ...

    def version(self, name: str, day: date, time_column: str) -> str:
        """A text that changes when the files with that day's rows change; empty if the source cannot tell."""
        ...

    def snapshot(self, expression: Any) -> AbstractContextManager[Any]:
        """The expression's rows, unchanged for several statements."""
        ...


class IbisSource:
    """The ``Source`` port over tables that Ibis can query."""

    def __init__(
        self,
        tables: Tables,
        names: Mapping[str, str],
        columns: Mapping[str, Mapping[str, str]],
        max_response_bytes: int,
        shown: str,
        fingerprint: str,
        connector: Connector | None = None,
    ) -> None:
        """``names`` and ``columns`` map our names to the source's; ``shown`` is the URL without secrets.

        Raises SourceError if a mapped table does not exist, or if there is neither a log nor golden tables.
        """
        self._tables = tables
        self._names = names
        self._columns = columns
        self._max_response_bytes = max_response_bytes
        self._shown = shown
        self._fingerprint = fingerprint
        self._connector = connector
        self._log_name: str | None = None
        self._present = self._translate_errors(lambda: {spec.name: self._find(spec) for spec in SPECS.values()})
        if not self._has_log and not self._has_golden:
            wanted = LOG.name if connector is None else " or ".join(connector.tables)
            raise SourceError(
                f"source {shown} has neither {wanted} nor both {ANALYSES.name} and {FINDINGS.name}; map other names "
                'with CACHEWARM_TABLES={"llm_query_logs": "your_table"}'
            )

    def describe(self, today: date) -> SourceInfo:
        """The tables with their columns, and the days that the log covers."""
        return self._translate_errors(lambda: self._describe(today))

    def golden(self, created_up_to: date, min_confidence: float) -> GoldenRows:
        """See Source.golden; no rows if the source has no golden tables."""
        if not self._has_golden:
            return golden.no_golden()
        return self._translate_errors(
            lambda: golden.golden_rows(
                self._tables.connection,
                self._mapped(ANALYSES),
                self._mapped(FINDINGS),
                created_up_to,
                min_confidence,
                self._max_response_bytes,
            )
        )

    def day_groups(self, day: date) -> DayGroups:
        """See Source.day_groups; no rows if the source has no log."""
        if not self._has_log:
            return log.no_groups()
        return self._translate_errors(
            lambda: log.day_groups(
                self._tables.connection, self._mapped(LOG, day), day, self._max_response_bytes, self._tables.snapshot
            )
        )

    def rejected(self, day: date) -> pa.Table:
        """See Source.rejected; no rows if the source has no log."""
        if not self._has_log:
            return log.REJECTED.empty_table()
        return self._translate_errors(
            lambda: log.rejected(self._tables.connection, self._mapped(LOG, day), day, self._max_response_bytes)
        )

    def fingerprint(self, day: date) -> str:
        """See Source.fingerprint. The first 16 hex characters stand for the address (without user and password), the
        mapping, the size bound and MINING_VERSION; the next 16 for a folder's files with the day's rows."""
        name = self._name(LOG)
        version = (
            self._translate_errors(lambda: self._tables.version(name, day, self._time_column(name)))
            if self._has_log
            else ""
        )
        return sha256_hex(self._fingerprint, str(MINING_VERSION))[:16] + sha256_hex(version)[:16]

    @property
    def _has_log(self) -> bool:
        return self._present[LOG.name]

    @property
    def _has_golden(self) -> bool:
        return self._present[ANALYSES.name] and self._present[FINDINGS.name]

    def _name(self, spec: TableSpec) -> str:
        """The source's name of a table: the mapped one, else the first of the tool's names that exists, else our own or
        the tool's first name."""
        if self._connector is None or spec is not LOG:
            return self._names.get(spec.name, spec.name)
        if self._log_name is None:
            names = self._connector.tables
            mapped = self._names.get(LOG.name)
            self._log_name = mapped or next((name for name in names if self._tables.has(name)), names[0])
        return self._log_name

    def _find(self, spec: TableSpec) -> bool:
        """Whether the table exists. Raises SourceError if it is mapped and does not."""
        name = self._name(spec)
        exists = self._tables.has(name)
        if not exists and spec.name in self._names:
            raise SourceError(f"{self._tables.place(name)} does not exist; CACHEWARM_TABLES names it for {spec.name}")
        return exists

    def _time_column(self, name: str) -> str:
        """The log's own name for ``created_at``."""
        mapping = self._columns.get(LOG.name, {})
        if self._connector is None:
            return mapping.get("created_at", "created_at")
        return self._connector.time_column(mapping, lambda: list(self._table(name).columns))

    def _table(self, name: str, day: date | None = None) -> Any:
        table = self._tables.table(name) if day is None else self._tables.day(name, day, self._time_column(name))
        if table is None:
            raise SourceError(f"{self._tables.place(name)} no longer exists")
        return table

    def _mapped(self, spec: TableSpec, day: date | None = None) -> MappedTable:
        name = self._name(spec)
        mapping, place = self._columns.get(spec.name, {}), self._tables.place(name)
        table = self._table(name, day)
        if self._connector is None or spec is not LOG:
            return MappedTable(spec, table, mapping, place)
        return self._connector.map_table(self._tables.connection, table, mapping, place, day)

    def _times(self) -> MappedTable:
        """The log, for statements about its days alone."""
        if self._connector is None:
            return self._mapped(LOG)
        name = self._name(LOG)
        mapping, place = self._columns.get(LOG.name, {}), self._tables.place(name)
        return self._connector.map_times(self._tables.connection, self._table(name), mapping, place)

    def _describe(self, today: date) -> SourceInfo:
        connection = self._tables.connection
        found: dict[str, TableInfo | None] = dict.fromkeys(SPECS)
        for spec in SPECS.values():
            if self._present[spec.name]:
                mapped = self._mapped(spec)
                # Counting a large log would cost a database a full scan.
                counted = self._tables.counts_are_cheap or spec is not LOG
                times = self._times() if spec is LOG else mapped
                number = rows.number_of(connection, times.table) if counted else None
                found[spec.name] = TableInfo(self._name(spec), mapped.types(), number)
        first, last, excluded = None, None, Counts()
        if self._has_log:
            first, last, excluded = log.log_days(connection, self._times(), today)
        return SourceInfo(found[ANALYSES.name], found[FINDINGS.name], found[LOG.name], first, last, excluded)

    def _translate_errors(self, statement: Callable[[], Answer]) -> Answer:
        """The statement's answer. An engine's own error becomes a SourceError of one line."""
        try:
            return statement()
        except CachewarmError:
            raise
        except (MemoryError, pa.ArrowMemoryError):
            raise
        except Exception as error:
            raise SourceError(f"source {self._shown} cannot be read: {engines.first_line(error)}") from error
