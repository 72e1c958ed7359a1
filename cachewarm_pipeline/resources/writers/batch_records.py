"""Batches under way, each a small JSON file: which bases it holds, by key, and never a text, an address or a secret."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from cachewarm_pipeline.core.errors import DatasetError
from cachewarm_pipeline.resources.files import Folder, reason_of


@dataclass(frozen=True)
class Record:
    """One batch. ``batch_id`` is None until the server has named it."""

    name: str
    """Random; the batch carries it too, so that each can be found by the other."""
    batch_id: str | None
    most: dict[str, tuple[int, int]]
    """Upper bound of the (prompt, completion) tokens of each base, by its key in the memo."""


class Records:
    """The records in one folder. Raises DatasetError in one line: a damaged record, a folder that cannot be used."""

    def __init__(self, uri: str) -> None:
        self._folder = Folder(uri)

    def __iter__(self) -> Iterator[Record]:
        try:
            names = [name for name in self._folder.names() if name.endswith(".json") and name[0] != "."]
        except OSError as error:
            raise DatasetError(f"cannot list the batches in {self._folder.show()}: {reason_of(error)}") from None
        for name in names:
            record = self._load(name)
            if record is not None:
                yield record

    def save(self, record: Record) -> None:
        name = f"{record.name}.json"
        try:
            self._folder.write(name, json.dumps({"batch_id": record.batch_id, "most": record.most}).encode())
        except OSError as error:
            raise DatasetError(f"cannot write batch record {self._folder.show(name)}: {reason_of(error)}") from None

    def delete(self, record: Record) -> None:
        name = f"{record.name}.json"
        try:
            self._folder.delete(name)
        except OSError as error:
            raise DatasetError(f"cannot delete batch record {self._folder.show(name)}: {reason_of(error)}") from None

    def _load(self, name: str) -> Record | None:
        """None where another run has just collected the batch."""
        try:
            with self._folder.open(name) as file:
                data = json.loads(file.read())
            most = {key: (int(prompt), int(completion)) for key, (prompt, completion) in data["most"].items()}
            return Record(name.removesuffix(".json"), data["batch_id"], most)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"batch record {self._folder.show(name)} is damaged or unreadable ({reason_of(error)}); delete it: its "
                "bases are submitted again"
            ) from None
