"""Content-addressed vectors as immutable Parquet segments, one folder for each embedding model.

A segment is named ``{hash of its content}-{rows}x{dimensions}.parquet``. It is written whole or not at all, and never
changes. Small segments are merged into larger ones. The merged segment is written before the small ones are deleted, so
readers and writers need no lock; a reader whose segment is gone lists the segments again.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.storage.files import Folder, below, reason_of

if TYPE_CHECKING:
    import pyarrow as pa

SEGMENT_ROWS = 8_192
"""Segments with at least this many rows are not merged: 13 MB at 384 dimensions, 50 MB at 1,536."""

MAX_SMALL_SEGMENTS = 64
"""More small segments than this are merged: each batch of an embedder makes one, and every read opens all of them."""

_BLOCK_ROWS = 2_048
_LISTINGS = 20  # a reader loses the race against a merge once or twice, not twenty times
_SEGMENT = re.compile(r"[0-9a-f]{32}-(\d+)x(\d+)\.parquet")
_T = TypeVar("_T")


@dataclass(frozen=True)
class _Segment:
    name: str
    rows: int
    dimensions: int


class ParquetVectorStore:
    """The ``VectorStore`` port over a base URI (a local folder or any file system that pyarrow or fsspec supports).

    Memory: the result, the keys of one segment (under 2 x SEGMENT_ROWS) and one block of 2,048 vectors; a merge needs
    one segment twice. Safe for several processes at once. Raises DatasetError, in one line, for a damaged segment, an
    unknown key, a changed number of dimensions, and a folder that cannot be written.
    """

    def __init__(self, uri: str, model_id: str) -> None:
        self._folder = Folder(below(uri, folder_name(model_id)))
        self._model_id = model_id
        self._small = 0  # small segments: at the last listing, plus those written since

    @property
    def dimensions(self) -> int | None:
        """Numbers in each stored vector; None while there are no vectors."""
        segments = self._segments()
        return segments[0].dimensions if segments else None

    def missing(self, keys: Iterable[str]) -> set[str]:
        """The keys that have no vector."""
        import pyarrow as pa

        wanted = set(keys)

        def search() -> set[str]:
            left = set(wanted)
            for segment in self._segments():
                if not left:
                    break
                stored = self._keys(segment)
                left.difference_update(stored.filter(_is_in(stored, pa.array(left, pa.string()))).to_pylist())
            return left

        return self._retrying(search)

    def put(self, keys: Sequence[str], vectors: np.ndarray) -> None:
        """Store one batch as one segment. It is stored completely when this returns. A key may be stored again."""
        if len(keys) != len(vectors) or vectors.ndim != 2:
            raise ValueError(f"{len(keys)} keys for vectors of shape {vectors.shape}")
        if not len(keys):
            return
        vectors = np.ascontiguousarray(vectors, dtype="<f4")
        if not np.isfinite(vectors).all():
            raise DatasetError(f"vectors of {self._model_id} with NaN or infinite numbers are not stored")
        dimensions = vectors.shape[1]
        stored = self.dimensions
        if stored is not None and stored != dimensions:
            raise self._changed(stored, dimensions)
        self._write(keys, vectors)
        self._small += 1
        if self._small > MAX_SMALL_SEGMENTS:
            self.compact()

    def get(self, keys: Sequence[str]) -> np.ndarray:
        """float32 (len(keys), dimensions), in the order given. Raises DatasetError for an unknown key."""
        import pyarrow as pa

        encoded = pa.array(keys, pa.string()).dictionary_encode()
        unique, positions = encoded.dictionary, encoded.indices.to_numpy()

        def collect() -> np.ndarray:
            segments = self._segments()
            result = np.empty((len(unique), segments[0].dimensions if segments else 0), dtype=np.float32)
            found = np.zeros(len(unique), dtype=bool)
            for segment in segments:
                if found.all():
                    break
                self._collect(segment, unique, result, found)
            if not found.all():
                raise DatasetError(
                    f"{int((~found).sum())} of {len(unique)} vectors are not in {self._folder.show()}; "
                    "materialise embeddings first"
                )
            return result

        result = self._retrying(collect)
        return result if len(unique) == len(keys) else result[positions]

    def compact(self) -> int:
        """Merge small segments and return how many were deleted. Safe beside readers, writers and other merges."""
        gone = 0
        small = [segment for segment in self._segments() if segment.rows < SEGMENT_ROWS]
        group: list[_Segment] = []
        for segment in [*small, None]:
            if segment is not None:
                group.append(segment)
            if group and (segment is None or sum(part.rows for part in group) >= SEGMENT_ROWS):
                gone += self._merge(group)
                group = []
        self._segments()
        return gone

    def _merge(self, group: list[_Segment]) -> int:
        if len(group) < 2:
            return 0
        rows: dict[str, np.ndarray] = {}
        try:
            for segment in group:
                with self._parquet(segment) as file:
                    table = file.read()
                rows.update(zip(table["key"].to_pylist(), _matrix(table["vector"], segment.dimensions), strict=True))
        except FileNotFoundError:
            return 0  # another process has merged them first
        keys = sorted(rows)
        merged = self._write(keys, np.stack([rows[key] for key in keys]))
        # Only now, because what is deleted here must already be in the merged segment.
        gone = [segment.name for segment in group if segment.name != merged]
        for name in gone:
            self._folder.delete(name)
        return len(gone)

    def _write(self, keys: Sequence[str], vectors: np.ndarray) -> str:
        import pyarrow as pa
        import pyarrow.parquet as pq

        dimensions = vectors.shape[1]
        width = pa.binary(4 * dimensions)  # little-endian float32, read back without a copy of each number
        blob = pa.FixedSizeBinaryArray.from_buffers(width, len(keys), [None, pa.py_buffer(vectors)])
        table = pa.table(
            {"key": pa.array(keys, pa.string()), "vector": blob},
            metadata={
                "cachewarm.model_id": self._model_id,
                "cachewarm.vector": f"{dimensions} x float32 little-endian",
            },
        )
        sink = pa.BufferOutputStream()
        pq.write_table(
            table,
            sink,
            compression="none",  # neither hashes nor floats compress
            use_dictionary=False,
            write_statistics=False,  # useless for hashes and vectors
            row_group_size=_BLOCK_ROWS,
            write_page_checksum=True,
        )
        data = sink.getvalue()
        name = f"{hashlib.sha256(data).hexdigest()[:32]}-{len(keys)}x{dimensions}.parquet"
        try:
            if not self._folder.exists(name):
                self._folder.write(name, data)
        except OSError as error:
            raise DatasetError(f"cannot write vectors to {self._folder.show(name)}: {reason_of(error)}") from None
        return name

    def _segments(self) -> list[_Segment]:
        """The stored segments. Raises DatasetError where they differ in dimensions."""
        try:
            names = self._folder.names()
        except OSError as error:
            raise DatasetError(f"cannot list the vectors in {self._folder.show()}: {reason_of(error)}") from None
        matches = (_SEGMENT.fullmatch(name) for name in names)
        segments = [_Segment(match[0], int(match[1]), int(match[2])) for match in matches if match]
        for segment in segments:
            if segment.dimensions != segments[0].dimensions:
                raise self._changed(segments[0].dimensions, segment.dimensions)
        self._small = sum(segment.rows < SEGMENT_ROWS for segment in segments)
        return segments

    def _changed(self, before: int, now: int) -> DatasetError:
        return DatasetError(
            f"the dimensions of {self._model_id} changed between runs: vectors in {self._folder.show()} have {before}, "
            f"new ones have {now}; the server's model was changed: change it back, or delete that folder to embed again"
        )

    def _keys(self, segment: _Segment) -> "pa.ChunkedArray":
        with self._parquet(segment) as file:
            return file.read(columns=["key"])["key"]

    def _collect(self, segment: _Segment, unique: "pa.Array", result: np.ndarray, found: np.ndarray) -> None:
        """Copy the wanted vectors of the segment into ``result``. Only blocks with a wanted vector are read."""
        import pyarrow.compute as pc

        with self._parquet(segment) as file:
            keys = file.read(columns=["key"])["key"]
            targets = pc.index_in(keys, value_set=unique).fill_null(-1).to_numpy()
            start = 0
            for block in range(file.metadata.num_row_groups):
                stop = start + file.metadata.row_group(block).num_rows
                rows = np.flatnonzero(targets[start:stop] >= 0)
                if len(rows):
                    column = file.read_row_group(block, columns=["vector"])["vector"]
                    wanted = targets[start:stop][rows]
                    result[wanted] = _matrix(column, segment.dimensions)[rows]
                    found[wanted] = True
                start = stop

    @contextmanager
    def _parquet(self, segment: _Segment) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with (
                self._folder.open(segment.name) as source,
                pq.ParquetFile(source, page_checksum_verification=True) as file,
            ):
                yield file
        except FileNotFoundError:
            raise  # merged by another process meanwhile: the caller lists again
        except (OSError, pa.ArrowException) as error:
            # A damaged segment is not skipped: after a passing read error, everything would be embedded and paid for
            # again.
            raise DatasetError(
                f"vector segment {self._folder.show(segment.name)} is damaged or unreadable ({reason_of(error)}); "
                "delete it: its texts are embedded again by the next run"
            ) from None

    def _retrying(self, work: Callable[[], _T]) -> _T:
        for _ in range(_LISTINGS):
            try:
                return work()
            except FileNotFoundError:
                continue
        raise DatasetError(f"the segments in {self._folder.show()} are merged faster than they can be read; run again")


def folder_name(model_id: str) -> str:
    """Name of a model's folder: its id in safe characters, with a hash so that no two ids share a folder."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", model_id).strip("-.")[:80]
    return f"{slug}-{hashlib.sha256(model_id.encode()).hexdigest()[:8]}"


def _is_in(values: "pa.ChunkedArray", wanted: "pa.Array") -> "pa.ChunkedArray":
    import pyarrow.compute as pc

    return pc.is_in(values, value_set=wanted)


def _matrix(column: "pa.ChunkedArray", dimensions: int) -> np.ndarray:
    """The fixed-size binary column as float32 (rows, dimensions)."""
    parts = []
    for chunk in column.chunks:
        width = 4 * dimensions
        data = chunk.buffers()[1].slice(chunk.offset * width, len(chunk) * width)
        parts.append(np.frombuffer(data, dtype="<f4").reshape(len(chunk), dimensions))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
