"""A folder of Parquet, CSV or JSONL files as tables: which files are read, and by which engine.

A table is a file ``name.parquet`` (or .csv, .jsonl, .ndjson, the last three also with .gz) or a folder ``name/`` of
such files, for example one a day. Files and folders whose names begin with ``_`` or ``.`` are never read, and neither
are files with another ending, such as a half-written ``x.parquet.tmp``.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from cachewarm_pipeline.errors import SourceError
from cachewarm_pipeline.query_log.sources.table_columns import find_name

FORMATS = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson": "jsonl",
    ".ndjson.gz": "jsonl",
}


@dataclass(frozen=True)
class TableFiles:
    """The files of one table, all of one format, sorted by path."""

    format: str
    paths: tuple[Path, ...]


class Reader(Protocol):
    """An engine that reads files."""

    connection: Any
    """The Ibis backend that runs expressions over the tables."""

    def parquet(self, paths: Sequence[Path]) -> Any: ...

    def csv(self, paths: Sequence[Path]) -> Any:
        """A table with all columns as text: a dirty row must not decide a column's type."""
        ...

    def jsonl(self, paths: Sequence[Path]) -> Any:
        """A table with all columns as text; a line that is not JSON becomes a row of nulls."""
        ...

    def empty(self, columns: Sequence[str]) -> Any:
        """A table of text columns without rows."""
        ...

    def snapshot(self, expression: Any) -> AbstractContextManager[Any]:
        """The expression's rows, read once for several statements."""
        ...


class FolderTables:
    """The tables of a folder. Each object lists the files once; the engine reads the rows."""

    def __init__(self, folder: Path, reader: Reader, expected: Mapping[str, Sequence[str]]) -> None:
        """``expected``: the columns of each table, used if all its files are empty and none has a header.

        Raises SourceError if the folder does not exist or cannot be read.
        """
        try:
            if not folder.is_dir():
                raise SourceError(
                    f"source folder {folder} does not exist; set CACHEWARM_SOURCE_URL to an existing folder"
                )
            sorted(folder.iterdir())
        except OSError as error:
            raise SourceError(f"source folder {folder} cannot be read: {error.strerror or error}") from None
        self.folder = folder
        self.connection = reader.connection
        self.snapshot = reader.snapshot
        self.counts_are_cheap = True
        self._reader = reader
        self._expected = expected
        self._files: dict[str, TableFiles | None] = {}
        self._tables: dict[tuple[str, tuple[Path, ...]], Any] = {}

    def place(self, name: str) -> str:
        """The table as messages name it."""
        return f"table {name} in {self.folder}"

    def has(self, name: str) -> bool:
        """Whether the folder has a file for the table. Opens no file."""
        return self._list(name) is not None

    def table(self, name: str) -> Any | None:
        """The whole table; None if the folder has no file for it."""
        files = self._list(name)
        return None if files is None else self._read(name, files)

    def day(self, name: str, day: date, time_column: str) -> Any | None:
        """The table without the Parquet files that, by their own statistics, have no row of that UTC day.

        So a day costs the same however long the history is. Files without statistics are read. If no file is left, one
        is read for its columns.
        """
        files = self._of_day(name, day, time_column)
        return None if files is None else self._read(name, files)

    def version(self, name: str, day: date, time_column: str) -> str:
        """Names, sizes and modification times of the files that may have rows of the day: the text changes when a file
        is replaced."""
        files = self._of_day(name, day, time_column)
        stats = [(path.name, path.stat()) for path in files.paths] if files else []
        return repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])

    def _of_day(self, name: str, day: date, time_column: str) -> TableFiles | None:
        files = self._list(name)
        if files is None or files.format != "parquet":
            return files
        kept = tuple(path for path in files.paths if may_hold(path, day, time_column))
        return TableFiles("parquet", kept or files.paths[:1])

    def _list(self, name: str) -> TableFiles | None:
        if name not in self._files:
            self._files[name] = list_files(self.folder, name)
        return self._files[name]

    def _read(self, name: str, files: TableFiles) -> Any:
        key = (name, files.paths)
        if key not in self._tables:
            if files.format == "parquet":
                self._tables[key] = self._reader.parquet(files.paths)
            else:
                self._tables[key] = self._read_text(name, files)
        return self._tables[key]

    def _read_text(self, name: str, files: TableFiles) -> Any:
        filled = [path for path in files.paths if path.stat().st_size]
        if not filled:
            return self._reader.empty(self._expected[name])
        return self._reader.csv(filled) if files.format == "csv" else self._reader.jsonl(filled)


def list_files(folder: Path, name: str) -> TableFiles | None:
    """The files of a table in a folder; None if there are none.

    Raises SourceError if the table exists twice (as a file and as a folder, or in two formats): its rows would be
    counted twice.
    """
    # A name may include its ending already, and some engines write a folder called name.parquet.
    places = [folder / name, *(folder / f"{name}{ending}" for ending in FORMATS)]
    found = [place for place in places if place.exists()]
    if len(found) > 1:
        names = ", ".join(place.name for place in found)
        raise SourceError(f"table {name} in {folder} exists more than once ({names}); keep one")
    if not found:
        return None
    place = found[0]
    if place.is_dir():
        paths = [path for path in sorted(place.rglob("*")) if path.is_file() and _is_data(path.relative_to(place))]
    else:
        paths = [place] if _is_data(Path(place.name)) else []
    formats = {FORMATS[_ending(path)] for path in paths}
    if len(formats) > 1:
        raise SourceError(f"table {name} in {folder} mixes {' and '.join(sorted(formats))} files; keep one format")
    return TableFiles(formats.pop(), tuple(paths)) if paths else None


def _ending(path: Path) -> str:
    name = path.name.lower()
    return next((ending for ending in FORMATS if name.endswith(ending)), "")


def _is_data(path: Path) -> bool:
    return bool(_ending(path)) and not any(part.startswith(("_", ".")) for part in path.parts)


def may_hold(path: Path, day: date, time_column: str) -> bool:
    """Whether a Parquet file can have rows of that UTC day, by its footer alone; True if the footer does not tell."""
    stat = path.stat()
    span = _span(path, time_column, stat.st_mtime_ns, stat.st_size)
    if span is None:
        return True
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return span[0] < start + timedelta(days=1) and span[1] >= start


_UNITS = {"milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=100_000)
def _span(path: Path, time_column: str, _mtime_ns: int, _size: int) -> tuple[datetime, datetime] | None:
    """First and last time in a file by the statistics of its row groups; None if a row group has no statistics.

    The cache is keyed by modification time and size too, so a replaced file is read again.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path} is not a readable Parquet file: {_first_line(error)}") from None
    name = find_name(time_column, footer.schema.names)
    if name is None or not footer.num_row_groups:
        return None
    position = footer.schema.names.index(name)
    kind = json.loads(footer.schema.column(position).logical_type.to_json())
    unit = _UNITS.get(kind.get("timeUnit", "")) if kind.get("Type") == "Timestamp" else None
    spans = [footer.row_group(group).column(position).statistics for group in range(footer.num_row_groups)]
    if unit is None or any(span is None or not span.has_min_max for span in spans):
        return None
    try:
        low, high = (
            _EPOCH + timedelta(microseconds=value * 1_000_000 // unit)
            for value in (min(span.min_raw for span in spans), max(span.max_raw for span in spans))
        )
    except OverflowError:
        return None
    return low, high


def forget_footers() -> None:
    """Clears the cache of Parquet footers: for benchmarks that simulate a fresh process."""
    _span.cache_clear()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
