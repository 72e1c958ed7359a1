"""Verdicts that were paid for, as immutable Parquet segments, one folder for each model and wording of the question.

A segment is named ``{hash of its content}.parquet``, is written whole or not at all, and never changes. When there are
many they are merged into one, which is there before the others go, so readers and writers need no lock.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property

from cachewarm_pipeline.core.errors import DatasetError
from cachewarm_pipeline.core.responses import canonical_response
from cachewarm_pipeline.core.text import sha256_hex
from cachewarm_pipeline.resources.files import Folder, reason_of
from cachewarm_pipeline.resources.vectors import folder_name

MAX_SEGMENTS = 128
"""More are merged: each finished batch of answers makes one, and every run opens each once."""

_LISTINGS = 20  # a reader loses the race against a merge once or twice, not twenty times


class VerdictStore:
    """What one model said about pairs of responses: yes or no by ``key``.

    All verdicts are read on first use: about 200 bytes each, and a dollar buys some thousands. Safe for several
    processes at once; two that ask about one pair at the same time both pay, and where their answers differ it is no.
    Raises DatasetError in one line: damaged segment, a folder that cannot be read or written.
    """

    def __init__(self, uri: str, model_id: str) -> None:
        self._folder = Folder(f"{uri.rstrip('/')}/{folder_name(model_id)}")
        self._model_id = model_id
        self._segments: set[str] = set()

    def key(self, left: str, right: str) -> str:
        """Content hash of the model and the unordered pair of canonical responses."""
        return sha256_hex(self._model_id, *sorted((canonical_response(left), canonical_response(right))))[:32]

    def get(self, key: str) -> bool | None:
        """The stored verdict; None where there is none."""
        return self._verdicts.get(key)

    def put(self, verdicts: Mapping[str, bool]) -> None:
        """Store one batch as one segment: it is there, whole, when this returns."""
        if not verdicts:
            return
        before = self._verdicts
        self._segments.add(self._write(verdicts))
        before.update(verdicts)
        if len(self._segments) > MAX_SEGMENTS:
            self._merge()

    @cached_property
    def _verdicts(self) -> dict[str, bool]:
        verdicts = self._read()
        if len(self._segments) > MAX_SEGMENTS:
            self._merge()
        return verdicts

    def _read(self) -> dict[str, bool]:
        """What is there now; notes the segments that it is from."""
        for _ in range(_LISTINGS):
            try:
                names = [name for name in self._folder.names() if name.endswith(".parquet") and name[0] != "."]
                verdicts: dict[str, bool] = {}
                for name in names:
                    for key, equivalent in self._segment(name).items():
                        verdicts[key] = verdicts.get(key, True) and equivalent
            except FileNotFoundError:
                continue  # merged away meanwhile
            except OSError as error:
                raise DatasetError(f"cannot list the verdicts in {self._folder.show()}: {reason_of(error)}") from None
            self._segments = set(names)
            return verdicts
        raise DatasetError(f"the segments in {self._folder.show()} vanish faster than they can be read; try again")

    def _segment(self, name: str) -> dict[str, bool]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with self._folder.open(name) as source:
                table = pq.read_table(source, page_checksum_verification=True)
            return dict(zip(table["key"].to_pylist(), table["equivalent"].to_pylist(), strict=True))
        except FileNotFoundError:
            raise
        except (OSError, KeyError, pa.ArrowException) as error:
            # Not skipped in silence: that would pay for its pairs again.
            raise DatasetError(
                f"verdict segment {self._folder.show(name)} is damaged or unreadable ({reason_of(error)}); delete it: "
                "its pairs are asked again by the next run"
            ) from None

    def _merge(self) -> None:
        verdicts = self._read()
        merged = self._write(verdicts)
        # Only now: whatever is removed is in a segment that is already there.
        for name in self._segments - {merged}:
            self._folder.delete(name)
        self._segments = {merged}

    def _write(self, verdicts: Mapping[str, bool]) -> str:
        import pyarrow as pa
        import pyarrow.parquet as pq

        keys = sorted(verdicts)
        table = pa.table(
            {"key": pa.array(keys, pa.string()), "equivalent": pa.array([verdicts[key] for key in keys], pa.bool_())},
            metadata={"cachewarm.model_id": self._model_id},
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="none", use_dictionary=["equivalent"], write_page_checksum=True)
        data = sink.getvalue()
        name = f"{hashlib.sha256(data).hexdigest()[:32]}.parquet"
        try:
            if not self._folder.exists(name):
                self._folder.write(name, data)
        except OSError as error:
            raise DatasetError(f"cannot write verdicts to {self._folder.show(name)}: {reason_of(error)}") from None
        return name
