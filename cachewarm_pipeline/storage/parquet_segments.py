"""Values that were paid for, in immutable Parquet segments: a dictionary that only grows, in one folder.

A segment is named ``{hash of its content}.parquet``, is written whole or not at all, and never changes. Many segments
are merged into one, which is written before the others are deleted, so readers and writers need no lock.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Generic, TypeVar

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.storage.files import Folder, reason_of

MAX_SEGMENTS = 128
"""More segments than this are merged: each finished batch of answers makes one, and every run opens all of them
once."""

_LISTINGS = 20  # a reader loses the race against a merge once or twice, not twenty times

_V = TypeVar("_V")


class Segments(ABC, Generic[_V]):
    """Values by key. All of them are read on first use. Subclasses set ``what``, ``lost`` and ``column``.

    Safe for several processes at once. Two that ask a model for the same key at the same time both pay, and ``combine``
    chooses between their answers. Raises DatasetError, in one line, for a damaged segment and for a folder that cannot
    be read or written.
    """

    what: str
    """What a value is, for messages: ``verdict``."""
    lost: str
    """What happens if a segment is deleted, for messages: ``its pairs are asked again``."""
    column: str
    """Name of the column of values."""

    def __init__(self, uri: str, model_id: str) -> None:
        """``uri``: the folder; ``model_id``: written into the segments, for people who inspect them."""
        self.folder = Folder(uri)
        self._model_id = model_id
        self._segments: set[str] = set()

    @abstractmethod
    def combine(self, one: _V, other: _V) -> _V:
        """The value to keep of two values of one key. The order of the two must not matter."""

    @abstractmethod
    def type(self) -> Any:
        """The pyarrow type of a value."""

    def get(self, key: str) -> _V | None:
        """The stored value; None without one."""
        return self._values.get(key)

    def put(self, values: Mapping[str, _V]) -> None:
        """Store one batch as one segment. It is stored completely when this returns."""
        if not values:
            return
        before = self._values
        self._segments.add(self._write(values))
        before.update(values)
        if len(self._segments) > MAX_SEGMENTS:
            self._merge()

    @cached_property
    def _values(self) -> dict[str, _V]:
        values = self._read()
        if len(self._segments) > MAX_SEGMENTS:
            self._merge()
        return values

    def _read(self) -> dict[str, _V]:
        """The values of all segments now. Also updates the names of the segments."""
        for _ in range(_LISTINGS):
            try:
                names = [name for name in self.folder.names() if name.endswith(".parquet") and name[0] != "."]
                values: dict[str, _V] = {}
                for name in names:
                    for key, value in self._segment(name).items():
                        values[key] = self.combine(values[key], value) if key in values else value
            except FileNotFoundError:
                continue  # another process has merged the segment meanwhile
            except OSError as error:
                where = self.folder.show()
                raise DatasetError(f"cannot list the {self.what}s in {where}: {reason_of(error)}") from None
            self._segments = set(names)
            return values
        raise DatasetError(f"the segments in {self.folder.show()} are merged faster than they can be read; run again")

    def _segment(self, name: str) -> dict[str, _V]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with self.folder.open(name) as source:
                table = pq.read_table(source, page_checksum_verification=True)
            return dict(zip(table["key"].to_pylist(), table[self.column].to_pylist(), strict=True))
        except FileNotFoundError:
            raise
        except (OSError, KeyError, pa.ArrowException) as error:
            # A damaged segment is not skipped: its answers would be paid for again.
            raise DatasetError(
                f"{self.what} segment {self.folder.show(name)} is damaged or unreadable ({reason_of(error)}); delete "
                f"it: {self.lost} by the next run"
            ) from None

    def _merge(self) -> None:
        values = self._read()
        merged = self._write(values)
        # Only now, because what is deleted here must already be in the merged segment.
        for name in self._segments - {merged}:
            self.folder.delete(name)
        self._segments = {merged}

    def _write(self, values: Mapping[str, _V]) -> str:
        import pyarrow as pa
        import pyarrow.parquet as pq

        keys = sorted(values)
        table = pa.table(
            {"key": pa.array(keys, pa.string()), self.column: pa.array([values[key] for key in keys], self.type())},
            metadata={"cachewarm.model_id": self._model_id},
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="none", use_dictionary=False, write_page_checksum=True)
        data = sink.getvalue()
        name = f"{hashlib.sha256(data).hexdigest()[:32]}.parquet"
        try:
            if not self.folder.exists(name):
                self.folder.write(name, data)
        except OSError as error:
            where = self.folder.show(name)
            raise DatasetError(f"cannot write {self.what}s to {where}: {reason_of(error)}") from None
        return name
