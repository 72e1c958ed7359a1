"""The usage ledger: what models reported that they used, kept as rows with prices, beside the datasets. What a server
does not report (usage that is not in an answer, an answer that was lost) is in it as the most that it can be: reports
may show more than the bill, and not less.

One small Parquet file for each run, process and UTC day of writing: ``usage/{day}-{run}-{token}.parquet``. A file grows
(is written whole again) while its process runs, so a killed run loses what it did not write yet, a batch at most;
afterwards nothing touches it. A day that is run again adds rows: money that was spent twice is spent twice.
"""

import re
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.models.usage_prices import Price
from cachewarm_pipeline.storage.files import Folder, reason_of
from cachewarm_pipeline.storage.measurement_schemas import USAGE
from cachewarm_pipeline.storage.schemas import conform

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "usage"

_FILE = re.compile(r"(\d{4}-\d{2}-\d{2})-(.*)-[0-9a-f]{16}\.parquet")


def read_usage(uri: str, first: date, last: date) -> "pa.Table":
    """What was paid by the ledger in the folder ``uri`` on the UTC days ``first`` to ``last``, by when it was written
    down (``at``) and not by the day that it was paid for: USAGE, oldest first, empty where nothing was. Raises
    DatasetError for a damaged file."""
    return _read(uri, lambda day, _: first <= day <= last)


def read_run(uri: str, run_id: str) -> "pa.Table":
    """What a run has paid so far, in all its processes: USAGE, oldest first. Raises DatasetError."""
    return _read(uri, lambda _, run: run == _safe(run_id))


@dataclass
class _Row:
    at: datetime
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class _Key:
    written: date
    run_id: str
    asset: str
    day: date
    price: Price
    share: float


class Ledger:
    """Notes what is used, and writes it down. Safe to call from several threads.

    What takes no tokens of a server is no row: the local embedder, recorded variants.
    """

    def __init__(self, uri: str, now: Callable[[], datetime], prices_as_of: date) -> None:
        """``uri``: the folder; ``now``: the present in UTC."""
        self._folder, self._now, self._prices_as_of = Folder(uri), now, prices_as_of
        self._token = secrets.token_hex(8)
        self._rows: dict[_Key, _Row] = {}
        self._new: set[tuple[date, str]] = set()
        self._lock = threading.Lock()
        self.run_id = self.asset = ""
        self.day = now().date()

    def begin(self, run_id: str, asset: str, day: date) -> None:
        """What is noted from here on is paid for this. Before: run and asset are empty, the day is the present one."""
        with self._lock:
            self.run_id, self.asset, self.day = run_id, asset, day

    def note(self, price: Price, prompt_tokens: int, completion_tokens: int = 0, share: float = 1.0) -> None:
        """Remember the tokens of one answer; `write` stores them."""
        if not prompt_tokens and not completion_tokens:
            return
        now = self._now()
        with self._lock:
            key = _Key(now.date(), self.run_id, self.asset, self.day, price, share)
            row = self._rows.setdefault(key, _Row(now))
            row.at = now
            row.prompt_tokens += prompt_tokens
            row.completion_tokens += completion_tokens
            self._new.add((key.written, key.run_id))

    def write(self) -> None:
        """Store what was noted since the last time. Raises DatasetError; what was noted is then tried again."""
        with self._lock:
            for written, run_id in sorted(self._new):
                rows = [
                    self._row(key, row)
                    for key, row in self._rows.items()
                    if (key.written, key.run_id) == (written, run_id)
                ]
                self._store(f"{written}-{_safe(run_id)}-{self._token}.parquet", rows)
            self._new.clear()

    def usd(self) -> float:
        """What was noted in this process for the run, asset and day that began last."""
        with self._lock:
            return sum(
                key.price.usd(row.prompt_tokens, row.completion_tokens, key.share)
                for key, row in self._rows.items()
                if (key.run_id, key.asset, key.day) == (self.run_id, self.asset, self.day)
            )

    def _row(self, key: _Key, row: _Row) -> dict[str, Any]:
        return {
            "at": row.at,
            "run_id": key.run_id,
            "asset": key.asset,
            "day": key.day,
            "purpose": key.price.purpose,
            "model": key.price.model,
            "prompt_tokens": row.prompt_tokens,
            "completion_tokens": row.completion_tokens,
            "usd_per_million_prompt_tokens": key.price.prompt,
            "usd_per_million_completion_tokens": key.price.completion,
            "share": key.share,
            "usd": key.price.usd(row.prompt_tokens, row.completion_tokens, key.share),
            "prices_as_of": self._prices_as_of,
        }

    def _store(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        table = conform(FOLDER, pa.Table.from_pylist(list(rows), schema=USAGE))
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        try:
            self._folder.write(name, sink.getvalue())
        except OSError as error:
            raise DatasetError(f"cannot write what was paid to {self._folder.show(name)}: {reason_of(error)}") from None


def _safe(run_id: str) -> str:
    """The run's id as part of a file's name."""
    return re.sub(r"[^0-9A-Za-z-]", "_", run_id) or "no-run"


def _read(uri: str, wanted: Callable[[date, str], bool]) -> "pa.Table":
    import pyarrow as pa

    folder = Folder(uri)
    try:
        names = folder.names()
    except OSError as error:
        raise DatasetError(f"cannot list what was paid in {folder.show()}: {reason_of(error)}") from None
    found = [match for name in names if (match := _FILE.fullmatch(name))]
    tables = []
    for match in found:
        if wanted(date.fromisoformat(match[1]), match[2]):
            with _readable(folder, match[0]) as table:
                tables.append(conform(FOLDER, table))
    whole = pa.concat_tables(tables) if tables else USAGE.empty_table()
    order = ("at", "run_id", "day", "asset", "purpose", "model", "share")
    return whole.sort_by([(name, "ascending") for name in order])


@contextmanager
def _readable(folder: Folder, name: str) -> Iterator["pa.Table"]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with folder.open(name) as source:
            yield pq.read_table(source, page_checksum_verification=True)
    except (OSError, pa.ArrowException, DatasetError) as error:
        # Not skipped in silence: a report would show less than was paid.
        raise DatasetError(
            f"usage file {folder.show(name)} is damaged or unreadable ({reason_of(error)}); delete it: what it says "
            "was paid is then in no report"
        ) from None
