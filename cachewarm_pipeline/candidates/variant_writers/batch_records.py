"""Batches under way, each a small JSON file: which bases it holds, by key, and never a text, an address or a secret."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.storage.files import Folder, reason_of


@dataclass(frozen=True)
class BatchRecord:
    """One batch. ``batch_id`` is None until the server has named it."""

    name: str
    """Random; the batch carries it too, so that each can be found by the other."""
    batch_id: str | None
    most: dict[str, tuple[int, int]]
    """Upper bound of the (prompt, completion) tokens of each base, by its key in the memo. Empty where the batch is
    collected: the record then only says what was set aside for it."""
    run_id: str = ""
    """The run that submitted it, and pays; empty where that is not known."""
    usd: float = 0.0
    tokens: int = 0
    """What was set aside for it, prompt and completion tokens together."""


class BatchRecords:
    """The records in one folder. Raises DatasetError in one line: a damaged record, a folder that cannot be used."""

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
        name = f"{record.name}.json"
        try:
            self._folder.write(name, json.dumps(_said(record)).encode())
        except OSError as error:
            raise DatasetError(f"cannot write batch record {self._folder.show(name)}: {reason_of(error)}") from None

    def end(self, record: BatchRecord, run_id: str) -> None:
        """The batch is collected by a run. Of a batch of its own the record stays, without bases: steps to come may
        not spend what the batch took once more."""
        if record.run_id and record.run_id == run_id:
            self.save(replace(record, most={}))
        else:
            self.delete(record)

    def delete(self, record: BatchRecord) -> None:
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


def _said(record: BatchRecord) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if name != "name"}
