"""The record of each submitted batch: a small JSON file with the keys of its bases, and no text, address or secret."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.storage.files import Folder, reason_of


@dataclass(frozen=True)
class BatchRecord:
    """One batch."""

    name: str
    """Random. The batch carries it in its metadata, so that record and batch can be found from each other."""
    batch_id: str | None
    """None until the server has assigned one."""
    most: dict[str, tuple[int, int]]
    """Upper bound of the (prompt, completion) tokens of each base, by its key in the written texts. Empty once the
    batch is collected: the record then only keeps what was reserved for it."""
    run_id: str = ""
    """The run that submitted the batch, and pays for it; empty where it is not known."""
    usd: float = 0.0
    """USD reserved for it."""
    tokens: int = 0
    """Prompt and completion tokens reserved for it, together."""


class BatchRecords:
    """The records in one folder. Raises DatasetError in one line for a damaged record or an unusable folder."""

    def __init__(self, uri: str) -> None:
        self._folder = Folder(uri)

    def __iter__(self) -> Iterator[BatchRecord]:
        try:
            names = [name for name in self._folder.names() if name.endswith(".json") and name[0] != "."]
        except OSError as error:
            raise DatasetError(f"cannot list the batches in {self._folder.show()}: {reason_of(error)}") from None
        for name in names:
            record = self._load(name)
            if record is not None:
                yield record

    def save(self, record: BatchRecord) -> None:
        """Write the record, replacing the one of the same name."""
        name = f"{record.name}.json"
        try:
            self._folder.write(name, json.dumps(_as_json(record)).encode())
        except OSError as error:
            raise DatasetError(f"cannot write batch record {self._folder.show(name)}: {reason_of(error)}") from None

    def end(self, record: BatchRecord, run_id: str) -> None:
        """Note that a run has collected the batch.

        Where the same run submitted it, the record stays, without bases: later steps of the run must not spend again
        what the batch took. Otherwise the record is deleted.
        """
        if record.run_id and record.run_id == run_id:
            self.save(replace(record, most={}))
        else:
            self.delete(record)

    def delete(self, record: BatchRecord) -> None:
        """Delete the record, if it still exists."""
        name = f"{record.name}.json"
        try:
            self._folder.delete(name)
        except OSError as error:
            raise DatasetError(f"cannot delete batch record {self._folder.show(name)}: {reason_of(error)}") from None

    def _load(self, name: str) -> BatchRecord | None:
        """None where another run has just collected the batch."""
        try:
            with self._folder.open(name) as file:
                data = json.loads(file.read())
            most = {key: (int(prompt), int(completion)) for key, (prompt, completion) in data["most"].items()}
            paid = str(data.get("run_id", "")), float(data.get("usd", 0.0)), int(data.get("tokens", 0))
            return BatchRecord(name.removesuffix(".json"), data["batch_id"], most, *paid)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"batch record {self._folder.show(name)} is damaged or unreadable ({reason_of(error)}); delete it: its "
                "bases are submitted again"
            ) from None


def _as_json(record: BatchRecord) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if name != "name"}
