"""The store of the datasets between assets: one Parquet file for each asset and day, checked against its schema when it
is written and when it is read."""

import re
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.storage.files import Folder, reason_of
from cachewarm_pipeline.storage.schemas import conform, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_FINGERPRINT = b"cachewarm.fingerprint"
_FILE = re.compile(r"(\d{4}-\d{2}-\d{2})\.parquet")
_ROW_GROUP = 16_384  # fixed, so that the bytes of a file depend on its rows only


class DatasetStore:
    """Datasets under a base URI (local folder, s3://, gs://, ...): ``{base}/{asset}/{YYYY-MM-DD}.parquet``.

    A file is written whole or not at all, and equal tables give equal bytes. Memory: one table and its encoded file.
    Raises DatasetError, in one line, where a file is missing, unreadable, not writable or of another schema, or where
    the disk is full.
    """

    def __init__(self, uri: str) -> None:
        self._folder = Folder(uri)

    def write(self, asset: str, day: date, table: "pa.Table", *, fingerprint: str = "") -> bool:
        """Store the day's table. Returns False where exactly this is stored already; the file is then not touched.

        ``fingerprint`` identifies what the table was made from; ``fingerprint()`` reads it back.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        # One chunk, because page boundaries follow chunk boundaries and equal tables must give equal bytes.
        whole = conform(asset, table).combine_chunks()
        schema = whole.schema.with_metadata({_FINGERPRINT: fingerprint.encode()} if fingerprint else None)
        sink = pa.BufferOutputStream()
        pq.write_table(
            whole.cast(schema),
            sink,
            compression="zstd",
            row_group_size=_ROW_GROUP,
            write_page_checksum=True,
        )
        data = sink.getvalue()
        name = _name(asset, day)
        try:
            if self._is_stored(name, data):
                return False
            self._folder.write(name, data)
        except OSError as error:
            raise DatasetError(
                f"cannot write dataset {asset} for {day} to {self._folder.show(name)}: {reason_of(error)}"
            ) from None
        return True

    def read(self, asset: str, day: date, columns: Sequence[str] | None = None) -> "pa.Table":
        """The day's table with its exact schema, or only these ``columns`` of it; the others are not read."""
        schema_of(asset, columns)
        with self._parquet(asset, day) as file:
            table = file.read(columns=None if columns is None else list(columns))
        try:
            return conform(asset, table, columns)
        except DatasetError as error:
            raise DatasetError(
                f"{error}, in {self._folder.show(_name(asset, day))}: {_materialise(asset, day)}"
            ) from None

    def newest(self, asset: str, day: date) -> date | None:
        """The newest stored day that is not after ``day``; None without one."""
        return max((stored for stored in self.days(asset) if stored <= day), default=None)

    def exists(self, asset: str, day: date) -> bool:
        """Whether the day is stored."""
        name = _name(asset, day)
        try:
            return self._folder.exists(name)
        except OSError as error:
            raise DatasetError(f"cannot look for {self._folder.show(name)}: {reason_of(error)}") from None

    def fingerprint(self, asset: str, day: date) -> str | None:
        """The fingerprint that the day was written with, "" for none; None where the day is not stored. Reads no
        rows."""
        if not self.exists(asset, day):
            return None
        with self._parquet(asset, day) as file:
            return ((file.schema_arrow.metadata or {}).get(_FINGERPRINT) or b"").decode()

    def days(self, asset: str) -> list[date]:
        """The stored days, oldest first."""
        schema_of(asset)
        try:
            names = self._folder.names(asset)
        except OSError as error:
            raise DatasetError(f"cannot list {self._folder.show(asset)}: {reason_of(error)}") from None
        found = (_FILE.fullmatch(name) for name in names)
        return [date.fromisoformat(match[1]) for match in found if match]

    def _is_stored(self, name: str, data: "pa.Buffer") -> bool:
        try:
            with self._folder.open(name) as file:
                return bool(file.size() == data.size and file.read_buffer().equals(data))
        except FileNotFoundError:
            return False

    @contextmanager
    def _parquet(self, asset: str, day: date) -> "Iterator[Any]":
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = _name(asset, day)
        try:
            with (
                self._folder.open(name) as source,
                pq.ParquetFile(source, page_checksum_verification=True) as file,
            ):
                yield file
        except FileNotFoundError:
            raise DatasetError(
                f"dataset {asset} has no {day} ({self._folder.show(name)}): {_materialise(asset, day)} first"
            ) from None
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(
                f"cannot read {self._folder.show(name)}: {reason_of(error)}; delete it and {_materialise(asset, day)}"
            ) from None


def _name(asset: str, day: date) -> str:
    schema_of(asset)
    return f"{asset}/{day.isoformat()}.parquet"


def _materialise(asset: str, day: date) -> str:
    return f"materialise {asset} for {day}"
