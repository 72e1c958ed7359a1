"""Writes the sample to a folder that the pipeline reads as its source, with the ground truth beside it. All file
handling of the sample is here.

- `_sample.json` marks the folder as synthetic and records the random seed
- `analyses.parquet`, `findings.parquet` and `llm_query_logs/YYYY-MM-DD.parquet` are the application's tables
- `_truth/` has the ground truth, which the pipeline never reads
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cachewarm_pipeline.embedded.sample import golden_tables, query_log
from cachewarm_pipeline.embedded.sample.intent_catalogue import Catalogue, catalogue
from cachewarm_pipeline.errors import EmbeddedError

VERSION = 2
"""Version of the generator. Raise it with every change of the output, so that older folders are written again."""

MARKER, LOCK, LOG, TRUTH = "_sample.json", "_sample.lock", "llm_query_logs", "_truth"

FileProgress = Callable[[int, int], None]
"""Called with the number of files done and the total."""


def ensure_sample(
    folder: Path,
    *,
    seed: int,
    last_day: date,
    rows_per_day: int = 2200,
    days: int = 45,
    progress: FileProgress | None = None,
) -> Path:
    """Makes sure that the folder has the sample with ``days`` days of log up to ``last_day``, and returns the folder.

    Writes only what is missing: on the next day, one more file. A day's file is a pure function of (seed, day,
    rows_per_day); earlier days stay. Each file appears complete or not at all, and a second process waits for the
    first. A folder of another seed, size or generator version is written again. ``progress(done, total)`` counts files.

    Raises EmbeddedError if the folder cannot be written, or has tables that are not a sample.
    """
    all_days = [last_day - timedelta(days=back) for back in reversed(range(days))]
    return _fill(Path(folder), _wanted(seed, rows_per_day), all_days, progress, again=False)


def sample_ready(folder: Path, *, seed: int, last_day: date, rows_per_day: int = 2200, days: int = 45) -> bool:
    """Whether ``ensure_sample`` would write nothing. Raises EmbeddedError for a broken marker."""
    all_days = [last_day - timedelta(days=back) for back in range(days)]
    return _ready(Path(folder), _wanted(seed, rows_per_day), all_days)


def generate_log(
    folder: Path,
    *,
    seed: int,
    first_day: date,
    days: int,
    rows_per_day: int,
    progress: FileProgress | None = None,
) -> Path:
    """Writes a sample of any size: ``days`` days of log from ``first_day`` on, even if they exist already.

    Memory is bounded by one chunk of ``query_log.CHUNK`` rows (about 400 MB for the whole process), whatever the number
    of rows. Otherwise like ``ensure_sample``.
    """
    all_days = [first_day + timedelta(days=forth) for forth in range(days)]
    return _fill(Path(folder), _wanted(seed, rows_per_day), all_days, progress, again=True)


def _wanted(seed: int, rows_per_day: int) -> dict[str, Any]:
    return {
        "synthetic": True,
        "about": "Made-up data: no real users, questions, answers or costs.",
        "generator": VERSION,
        "seed": seed,
        "rows_per_day": rows_per_day,
    }


def _fill(
    folder: Path, wanted: dict[str, Any], days: list[date], progress: FileProgress | None, *, again: bool
) -> Path:
    try:
        if not again and _ready(folder, wanted, days):
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            _own(folder, wanted)
            missing = [day for day in days if again or not _written(folder, day)]
            _write_tables(folder, catalogue(wanted["seed"]), max(days))
            for done, day in enumerate(missing):
                if progress:
                    progress(done, len(missing))
                _write_day(folder, wanted["seed"], day, wanted["rows_per_day"])
            if progress:
                progress(len(missing), len(missing))
            _put_text(folder / MARKER, json.dumps(_done(wanted, days), indent=1))
    except OSError as error:
        raise EmbeddedError(
            f"the sample data cannot be written to {folder} ({error.strerror or error}): free some space, make the "
            "folder writable or set CACHEWARM_HOME to another one"
        ) from None
    return folder


def _done(wanted: dict[str, Any], days: list[date]) -> dict[str, Any]:
    return {**wanted, "last_day": max(days).isoformat()}


def _ready(folder: Path, wanted: dict[str, Any], days: list[date]) -> bool:
    return _marker(folder) == _done(wanted, days) and all(_written(folder, day) for day in days)


def _own(folder: Path, wanted: dict[str, Any]) -> None:
    """Claims the folder for this seed, size and version. Deletes the files of another sample, and no other files."""
    marker = _marker(folder)
    if marker is None and any(_ours(folder)):
        raise EmbeddedError(
            f"{folder} has tables that the sample did not write, so nothing was changed; set CACHEWARM_HOME to another "
            "folder, or CACHEWARM_SOURCE_URL to read these tables"
        )
    if marker is None or any(marker.get(key) != value for key, value in wanted.items()):
        for file in list(_ours(folder)):
            file.unlink(missing_ok=True)
        _put_text(folder / MARKER, json.dumps(wanted, indent=1))
    for leftover in folder.rglob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def log_file(folder: Path, day: date) -> Path:
    """The file of a day's log."""
    return folder / LOG / f"{day.isoformat()}.parquet"


def truth_file(folder: Path, name: date | str) -> Path:
    """The file with the truth of a day, or of ``intents``, ``answers`` or ``findings``."""
    return folder / TRUTH / f"{name if isinstance(name, str) else name.isoformat()}.parquet"


def _marker(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("synthetic") is not True:
        raise EmbeddedError(f"{folder / MARKER} is broken: delete the folder {folder}, and it will be written again")
    return found


def _written(folder: Path, day: date) -> bool:
    # A power cut can leave an empty file behind.
    return all(file.exists() and file.stat().st_size > 0 for file in (log_file(folder, day), truth_file(folder, day)))


def _ours(folder: Path) -> Iterator[Path]:
    """The files that a sample writes, as far as they exist."""
    yield from (folder / name for name in ("analyses.parquet", "findings.parquet") if (folder / name).exists())
    yield from (folder / LOG).glob("????-??-??.parquet")
    yield from (folder / TRUTH).glob("*.parquet")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Allows one writer at a time. The lock ends with its process, so a killed process does not block others."""
    try:
        import fcntl
    except ImportError:  # Windows: files still appear complete; two writers only do the same work twice
        yield
        return
    with (folder / LOCK).open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A temporary file beside the target. It replaces the target when the block succeeds, and is deleted when not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _put_text(target: Path, text: str) -> None:
    with _whole(target) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _put_table(target: Path, table: pa.Table) -> None:
    with _whole(target) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _write_day(folder: Path, seed: int, day: date, rows_per_day: int) -> None:
    """Writes a day's log and truth. The truth appears first: the log is what others look for."""
    with (
        _whole(log_file(folder, day)) as log_temporary,
        _whole(truth_file(folder, day)) as truth_temporary,
        pq.ParquetWriter(log_temporary, query_log.LOG_SCHEMA, compression="zstd") as log_out,
        pq.ParquetWriter(truth_temporary, query_log.TRUTH_SCHEMA, compression="zstd") as truth_out,
    ):
        for rows, truth in query_log.day_chunks(seed, day, rows_per_day):
            log_out.write_table(rows)
            truth_out.write_table(truth)


def _write_tables(folder: Path, cat: Catalogue, last_day: date) -> None:
    _put_table(folder / "analyses.parquet", golden_tables.analyses_table(cat.golden, last_day))
    _put_table(folder / "findings.parquet", golden_tables.findings_table(cat.golden))
    intents = [
        {
            "intent_id": intent.id,
            "agent_type": intent.agent_type,
            "kind": intent.kind,
            "wordings": intent.wordings,
            "surfaces": [text for text, _ in intent.surfaces],
            "answer_ids": [answer.id for answer in intent.answers],
            "near": list(intent.near),
            "near_miss_ids": [answer.id for answer in intent.near_misses],
        }
        for intent in cat.intents
    ]
    asked = [
        (intent.agent_type, answer)
        for intent in cat.intents
        if intent.kind != "content"
        for answer in (*intent.answers, *intent.near_misses)
    ]
    answers = [
        {"answer_id": answer.id, "agent_type": agent_type, "responses": list(answer.responses)}
        for agent_type, answer in (*asked, *cat.golden.answers)
    ]
    findings = [
        {"row": row, "analysis_id": f.analysis_id, "agent_type": f.agent_type, "answer_id": f.answer_id, "flaw": f.flaw}
        for row, f in enumerate(cat.golden.findings)
    ]
    for name, rows in (("intents", intents), ("answers", answers), ("findings", findings)):
        _put_table(truth_file(folder, name), pa.Table.from_pylist(rows))
