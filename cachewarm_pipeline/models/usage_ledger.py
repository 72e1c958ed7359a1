"""The usage ledger: what models reported that they used, stored as rows with prices, beside the datasets.

Where a server reports no usage, or an answer was lost, the ledger has the most that it can have been. So reports may
show more than the bill, but not less.

There is one small Parquet file for each run, process and UTC day of writing: ``usage/{day}-{run}-{token}.parquet``. The
file is rewritten whole while its process runs, so a killed run loses only what was not yet written: at most a batch.
After that, nothing changes the file. A day that is run again adds rows: money that was spent twice is counted twice.
"""

import re
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.models.usage_prices import Price, UsageRow
from cachewarm_pipeline.storage.files import Folder, reason_of
from cachewarm_pipeline.storage.measurement_schemas import USAGE
from cachewarm_pipeline.storage.schemas import conform

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "usage"

_FILE = re.compile(r"(\d{4}-\d{2}-\d{2})-(.*)-[0-9a-f]{16}\.parquet")


def read_usage(uri: str, first: date, last: date) -> "pa.Table":
    """The usage that was written on the UTC days ``first`` to ``last`` in the folder ``uri``: USAGE, oldest first.

    The days are those of ``at``, when a row was written, not ``day``, which the row was paid for. Empty where nothing
    was paid. Raises DatasetError for a damaged file.
    """
    return _read(uri, lambda written, _: first <= written <= last)


def read_run(uri: str, run_id: str) -> "pa.Table":
    """The usage of a run so far, in all its processes: USAGE, oldest first. Raises DatasetError for a damaged file."""
    return _read(uri, lambda _, run: run == _safe(run_id))


@dataclass(frozen=True)
class _Key:
    """Usage with the same key is one row."""

    written: date
    run_id: str
    asset: str
    day: date
    price: Price
    share: float


@dataclass
class _Tokens:
    at: datetime
    prompt: int = 0
    completion: int = 0


class Ledger:
    """Collects usage and writes it to the ledger. Safe to call from several threads.

    Only tokens of a server make a row: the local embedder and recorded variants make none.
    """

    def __init__(self, uri: str, now: Callable[[], datetime], prices_as_of: date) -> None:
        """``uri``: the folder; ``now``: gives the present in UTC."""
        self._folder, self._now, self._prices_as_of = Folder(uri), now, prices_as_of
        self._token = secrets.token_hex(8)
        self._tokens: dict[_Key, _Tokens] = {}
        self._unwritten: set[tuple[date, str]] = set()
        """(UTC day, run) of the files with new rows."""
        self._lock = threading.Lock()
        self.run_id = self.asset = ""
        self.day = now().date()

    def begin(self, run_id: str, asset: str, day: date) -> None:
        """From now on, usage is paid for this run, asset and day. Before the first call, run and asset are empty and
        the day is the present one."""
        with self._lock:
            self.run_id, self.asset, self.day = run_id, asset, day

    def note(self, price: Price, prompt_tokens: int, completion_tokens: int = 0, share: float = 1.0) -> None:
        """Note the tokens of one answer. ``write`` stores them."""
        if not prompt_tokens and not completion_tokens:
            return
        now = self._now()
        with self._lock:
            key = _Key(now.date(), self.run_id, self.asset, self.day, price, share)
            tokens = self._tokens.setdefault(key, _Tokens(now))
            tokens.at = now
            tokens.prompt += prompt_tokens
            tokens.completion += completion_tokens
            self._unwritten.add((key.written, key.run_id))

    def write(self) -> None:
        """Store what was noted since the last call. Raises DatasetError; the next call then tries again."""
        with self._lock:
            for written, run_id in sorted(self._unwritten):
                rows = [
                    self._row(key, tokens)
                    for key, tokens in self._tokens.items()
                    if (key.written, key.run_id) == (written, run_id)
                ]
                self._store(f"{written}-{_safe(run_id)}-{self._token}.parquet", rows)
            self._unwritten.clear()

    def usd(self) -> float:
        """USD noted in this process for the run, asset and day of the last ``begin``."""
        with self._lock:
            return sum(
                key.price.usd(tokens.prompt, tokens.completion, key.share)
                for key, tokens in self._tokens.items()
                if (key.run_id, key.asset, key.day) == (self.run_id, self.asset, self.day)
            )

    def _row(self, key: _Key, tokens: _Tokens) -> UsageRow:
        return {
            "at": tokens.at,
            "run_id": key.run_id,
            "asset": key.asset,
            "day": key.day,
            "purpose": key.price.purpose,
            "model": key.price.model,
            "prompt_tokens": tokens.prompt,
            "completion_tokens": tokens.completion,
            "usd_per_million_prompt_tokens": key.price.prompt,
            "usd_per_million_completion_tokens": key.price.completion,
            "share": key.share,
            "usd": key.price.usd(tokens.prompt, tokens.completion, key.share),
            "prices_as_of": self._prices_as_of,
        }

    def _store(self, name: str, rows: Sequence[UsageRow]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        table = conform(FOLDER, pa.Table.from_pylist(list(rows), schema=USAGE))
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        try:
            self._folder.write(name, sink.getvalue())
        except OSError as error:
            raise DatasetError(f"cannot write usage to {self._folder.show(name)}: {reason_of(error)}") from None


def _safe(run_id: str) -> str:
    """The run's id as a part of a file name."""
    return re.sub(r"[^0-9A-Za-z-]", "_", run_id) or "no-run"


def _read(uri: str, wanted: Callable[[date, str], bool]) -> "pa.Table":
    import pyarrow as pa

    folder = Folder(uri)
    try:
        names = folder.names()
    except OSError as error:
        raise DatasetError(f"cannot list the usage in {folder.show()}: {reason_of(error)}") from None
    found = [match for name in names if (match := _FILE.fullmatch(name))]
    tables = []
    for match in found:
        if wanted(date.fromisoformat(match[1]), match[2]):
            with _open_table(folder, match[0]) as table:
                tables.append(conform(FOLDER, table))
    whole = pa.concat_tables(tables) if tables else USAGE.empty_table()
    order = ("at", "run_id", "day", "asset", "purpose", "model", "share")
    return whole.sort_by([(name, "ascending") for name in order])


@contextmanager
def _open_table(folder: Folder, name: str) -> Iterator["pa.Table"]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with folder.open(name) as source:
            yield pq.read_table(source, page_checksum_verification=True)
    except (OSError, pa.ArrowException, DatasetError) as error:
        # A damaged file is not skipped: a report would then show less than was paid.
        raise DatasetError(
            f"usage file {folder.show(name)} is damaged or unreadable ({reason_of(error)}); delete it: its "
            "payments are then missing from reports"
        ) from None
