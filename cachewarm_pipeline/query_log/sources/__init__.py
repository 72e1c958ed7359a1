"""The app's own tables behind one port: a folder of files, Postgres, Spark, or any other engine that Ibis speaks to.

Everything here reads; nothing writes. What is asked is the same Ibis expression on every engine (log.py, golden.py).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa
from cachewarm_client.text import sha256_hex
from cachewarm_client.urls import redact_url

from cachewarm_pipeline.errors import CachewarmError, SourceError
from cachewarm_pipeline.exclusion_reasons import Counts
from cachewarm_pipeline.ports import DayGroups, GoldenRows, Source, SourceInfo, TableInfo
from cachewarm_pipeline.query_log.log_formats import OWN, VERSION, Connector, connector_of
from cachewarm_pipeline.query_log.sources import golden_tables as golden
from cachewarm_pipeline.query_log.sources import ibis_engines as engines
from cachewarm_pipeline.query_log.sources import ibis_rows as rows
from cachewarm_pipeline.query_log.sources import log_table as log
from cachewarm_pipeline.query_log.sources.folder_files import FolderTables
from cachewarm_pipeline.query_log.sources.table_columns import (
    ANALYSES,
    FINDINGS,
    LOG,
    SPECS,
    Bound,
    TableSpec,
    check_mapping,
)

__all__ = ["IbisSource", "open_source"]

Answer = TypeVar("Answer")


MINING_VERSION = 3
"""Raise it whenever query_log.daily_counts or the questions about a day change: days that were mined before are then
mined again."""


class Tables(Protocol):
    """Where tables are found; names are the source's own."""

    connection: Any
    counts_are_cheap: bool

    def place(self, name: str) -> str: ...

    def has(self, name: str) -> bool: ...

    def table(self, name: str) -> Any | None: ...

    def day(self, name: str, day: date, time_column: str) -> Any | None: ...

    def version(self, name: str, day: date, time_column: str) -> str: ...

    def hold(self, expression: Any) -> AbstractContextManager[Any]: ...


def open_source(
    url: str | Path,
    *,
    tables: Mapping[str, str],
    columns: Mapping[str, Mapping[str, str]],
    max_response_bytes: int = 65_536,
    log_format: str = OWN,
) -> Source:
    """Opens a folder, ``postgresql://``, ``spark:///folder`` or any URL that ``ibis.connect`` takes.

    ``tables`` maps our table names to the source's ("schema.table" in a database), ``columns`` our column names to
    the source's, per table of ours. Responses over ``max_response_bytes`` are counted and never pulled. ``log_format``
    says whose columns the log has: ``own``, or a tool's (connectors.CONNECTORS), found by the tool's name for it.

    Raises ConfigurationError for a URL, format or mapping that cannot be meant, SourceError for a source that cannot be
    reached or that holds neither the log nor the golden tables. Messages hold no password.
    """
    check_mapping(tables, columns)
    connector = connector_of(log_format)
    expected = _expected(tables, columns, connector)
    text = str(url)
    scheme = match[1].lower() if (match := re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", text)) else "file"
    found: Tables
    if re.fullmatch(r"postgres(ql)?(\+\w+)?", scheme):
        found = engines.DatabaseTables(engines.connect_postgres(text), redact_url(text))
    elif scheme == "spark":
        found = FolderTables(_folder_of(text), engines.SparkReader(), expected)
    elif scheme == "file" and not _folder_of(text).is_file():
        found = FolderTables(_folder_of(text), engines.DuckReader(), expected)
    else:
        found = engines.DatabaseTables(engines.connect_any(text), redact_url(text))
    told = [tables, columns, max_response_bytes, *([] if connector is None else [log_format, VERSION])]
    mark = sha256_hex(_address(text, scheme), json.dumps(told, sort_keys=True))
    return IbisSource(found, tables, columns, max_response_bytes, redact_url(text), mark[:16], connector)


class IbisSource:
    """A Source over tables that Ibis can query."""

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
        """Raises SourceError for a mapped table that is not there, and when there is nothing to warm from."""
        self._tables = tables
        self._names = names
        self._columns = columns
        self._max_response_bytes = max_response_bytes
        self._shown = shown
        self._fingerprint = fingerprint
        self._connector = connector
        self._log_name: str | None = None
        self._present = self._asked(lambda: {spec.name: self._find(spec) for spec in SPECS.values()})
        if not self._has_log and not self._has_golden:
            wanted = LOG.name if connector is None else " or ".join(connector.tables)
            raise SourceError(
                f"source {shown} has neither {wanted} nor both {ANALYSES.name} and {FINDINGS.name}; map other names "
                'with CACHEWARM_TABLES={"llm_query_logs": "your_table"}'
            )

    def describe(self, today: date) -> SourceInfo:
        """The tables with their columns, and the days that the log covers."""
        return self._asked(lambda: self._describe(today))

    def golden(self, created_up_to: date, min_confidence: float) -> GoldenRows:
        """See Source.golden; no rows where the golden tables are not there."""
        if not self._has_golden:
            return golden.no_golden()
        return self._asked(
            lambda: golden.golden_rows(
                self._tables.connection,
                self._bound(ANALYSES),
                self._bound(FINDINGS),
                created_up_to,
                min_confidence,
                self._max_response_bytes,
            )
        )

    def day_groups(self, day: date) -> DayGroups:
        """See Source.day_groups; no rows where the log is not there."""
        if not self._has_log:
            return log.no_groups()
        return self._asked(
            lambda: log.day_groups(
                self._tables.connection, self._bound(LOG, day), day, self._max_response_bytes, self._tables.hold
            )
        )

    def rejected(self, day: date) -> pa.Table:
        """See Source.rejected; no rows where the log is not there."""
        if not self._has_log:
            return log.REJECTED.empty_table()
        return self._asked(
            lambda: log.rejected(self._tables.connection, self._bound(LOG, day), day, self._max_response_bytes)
        )

    def fingerprint(self, day: date) -> str:
        """See Source.fingerprint: 16 hex characters of the address (no user, no password), mapping, size bound and the
        version of the mining code, and 16 of a folder's files for the day."""
        name = self._name(LOG)
        version = self._asked(lambda: self._tables.version(name, day, self._time_column(name))) if self._has_log else ""
        return sha256_hex(self._fingerprint, str(MINING_VERSION))[:16] + sha256_hex(version)[:16]

    @property
    def _has_log(self) -> bool:
        return self._present[LOG.name]

    @property
    def _has_golden(self) -> bool:
        return self._present[ANALYSES.name] and self._present[FINDINGS.name]

    def _name(self, spec: TableSpec) -> str:
        """The source's name of a table: as it is mapped, else the one that is there, else the one that should be."""
        if self._connector is None or spec is not LOG:
            return self._names.get(spec.name, spec.name)
        if self._log_name is None:
            names = self._connector.tables
            there = self._names.get(LOG.name) or next((name for name in names if self._tables.has(name)), names[0])
            self._log_name = there
        return self._log_name

    def _find(self, spec: TableSpec) -> bool:
        name = self._name(spec)
        there = self._tables.has(name)
        if not there and spec.name in self._names:
            raise SourceError(f"{self._tables.place(name)} is not there; CACHEWARM_TABLES names it for {spec.name}")
        return there

    def _time_column(self, name: str) -> str:
        """What the log calls ``created_at``."""
        mapping = self._columns.get(LOG.name, {})
        if self._connector is None:
            return mapping.get("created_at", "created_at")
        return self._connector.time_column(mapping, lambda: list(self._table(name).columns))

    def _table(self, name: str, day: date | None = None) -> Any:
        table = self._tables.table(name) if day is None else self._tables.day(name, day, self._time_column(name))
        if table is None:
            raise SourceError(f"{self._tables.place(name)} is not there any more")
        return table

    def _bound(self, spec: TableSpec, day: date | None = None) -> Bound:
        name = self._name(spec)
        mapping, place = self._columns.get(spec.name, {}), self._tables.place(name)
        table = self._table(name, day)
        if self._connector is None or spec is not LOG:
            return Bound(spec, table, mapping, place)
        return self._connector.bound(self._tables.connection, table, mapping, place, day)

    def _times(self) -> Bound:
        """The log for questions about its days alone."""
        if self._connector is None:
            return self._bound(LOG)
        name = self._name(LOG)
        mapping, place = self._columns.get(LOG.name, {}), self._tables.place(name)
        return self._connector.times_of(self._tables.connection, self._table(name), mapping, place)

    def _describe(self, today: date) -> SourceInfo:
        connection = self._tables.connection
        found: dict[str, TableInfo | None] = dict.fromkeys(SPECS)
        for spec in SPECS.values():
            if self._present[spec.name]:
                bound = self._bound(spec)
                # Counting a large log would cost a database a full scan.
                counted = self._tables.counts_are_cheap or spec is not LOG
                times = self._times() if spec is LOG else bound
                number = rows.number_of(connection, times.table) if counted else None
                found[spec.name] = TableInfo(self._name(spec), bound.types(), number)
        first, last, excluded = None, None, Counts()
        if self._has_log:
            first, last, excluded = log.log_days(connection, self._times(), today)
        return SourceInfo(found[ANALYSES.name], found[FINDINGS.name], found[LOG.name], first, last, excluded)

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        """The answer, with any engine's own error as one line of ours."""
        try:
            return question()
        except CachewarmError:
            raise
        except (MemoryError, pa.ArrowMemoryError):
            raise
        except Exception as error:
            raise SourceError(f"source {self._shown} cannot be read: {engines.first_line(error)}") from error


def _expected(
    tables: Mapping[str, str], columns: Mapping[str, Mapping[str, str]], connector: Connector | None
) -> dict[str, Sequence[str]]:
    """Per table name in the source, the column names that the mapping promises."""
    expected: dict[str, Sequence[str]] = {
        tables.get(name, name): [columns.get(name, {}).get(ours, ours) for ours in (*spec.required, *spec.optional)]
        for name, spec in SPECS.items()
    }
    if connector is not None:
        names = (tables[LOG.name],) if LOG.name in tables else connector.tables
        expected |= dict.fromkeys(names, connector.columns)
    return expected


def _folder_of(url: str) -> Path:
    return Path(re.sub(r"^[A-Za-z][A-Za-z0-9+.-]+://", "", url)).expanduser()


def _address(url: str, scheme: str) -> str:
    """What tells one source from another: a folder's full path, or a URL without user, password and secrets."""
    if scheme in ("file", "spark"):
        return str(_folder_of(url).resolve())
    return redact_url(engines.normal_postgres_url(url))
