"""The sample's folder: which files appear, when they change, and what happens when they cannot be written."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cachewarm_pipeline.embedded.sample import ensure_sample, generate_log, golden_tables
from cachewarm_pipeline.embedded.sample.query_log import CHUNK
from cachewarm_pipeline.embedded.sample.sample_folder import MARKER, log_file, truth_file
from cachewarm_pipeline.errors import EmbeddedError

LAST = date(2026, 11, 22)
SMALL: dict[str, Any] = {"seed": 7, "rows_per_day": 300}


def tables(folder: Path) -> dict[str, bytes]:
    """Every table of a folder by its relative name."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.parquet")}


def day_files(folder: Path) -> dict[str, bytes]:
    """The daily files of log and truth."""
    return {name: data for name, data in tables(folder).items() if Path(name).name[0].isdigit()}


def child(code: str, folder: Path) -> subprocess.Popen[str]:
    """Runs code in a separate process that has ``folder`` and the imports of this module."""
    head = (
        "from datetime import date\nfrom pathlib import Path\nimport sys\n"
        "from cachewarm_pipeline.errors import EmbeddedError\n"
        "from cachewarm_pipeline.embedded.sample import ensure_sample, generate_log\n"
        "from cachewarm_pipeline.embedded.sample.intent_catalogue import catalogue\n"
        f"folder, last = Path({str(folder)!r}), date({LAST.year}, {LAST.month}, {LAST.day})\n"
    )
    out = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", head + code], text=True, stdout=out, stderr=out)


def test_the_same_seed_and_day_give_the_same_bytes(tmp_path: Path) -> None:
    one = ensure_sample(tmp_path / "one", last_day=LAST, days=3, **SMALL)
    two = ensure_sample(tmp_path / "two", last_day=LAST, days=3, **SMALL)
    assert tables(one) == tables(two)
    assert len(day_files(one)) == 6


def test_another_seed_gives_other_questions(tmp_path: Path) -> None:
    one = ensure_sample(tmp_path / "one", seed=7, last_day=LAST, days=1, rows_per_day=300)
    two = ensure_sample(tmp_path / "two", seed=8, last_day=LAST, days=1, rows_per_day=300)
    ours, theirs = (set(pq.read_table(log_file(folder, LAST))["query"].to_pylist()) for folder in (one, two))
    assert len(ours & theirs) < len(ours) / 3


def test_tomorrow_adds_one_day_and_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    folder = ensure_sample(tmp_path / "s", last_day=LAST, days=3, **SMALL)
    before, stamps = day_files(folder), {file: file.stat().st_mtime_ns for file in folder.rglob("2026*.parquet")}
    steps: list[tuple[int, int]] = []
    ensure_sample(folder, last_day=LAST + timedelta(days=1), days=3, progress=lambda *step: steps.append(step), **SMALL)
    after = day_files(folder)
    assert before.items() <= after.items()
    assert set(after) - set(before) == {"llm_query_logs/2026-11-23.parquet", "_truth/2026-11-23.parquet"}
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in stamps.items())
    assert steps == [(0, 1), (1, 1)]


def test_a_day_does_not_depend_on_the_window_it_is_made_in(tmp_path: Path) -> None:
    one = ensure_sample(tmp_path / "one", last_day=LAST, days=1, **SMALL)
    two = ensure_sample(tmp_path / "two", last_day=LAST + timedelta(days=30), days=31, **SMALL)
    assert day_files(one).items() <= day_files(two).items()


def test_a_complete_folder_is_left_alone(tmp_path: Path) -> None:
    folder = ensure_sample(tmp_path / "s", last_day=LAST, days=2, **SMALL)
    stamps = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    steps: list[tuple[int, int]] = []
    ensure_sample(folder, last_day=LAST, days=2, progress=lambda *step: steps.append(step), **SMALL)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()} == stamps
    assert steps == []


def test_an_empty_or_missing_day_file_is_made_again(tmp_path: Path) -> None:
    folder = ensure_sample(tmp_path / "s", last_day=LAST, days=3, **SMALL)
    before = tables(folder)
    log_file(folder, LAST).write_bytes(b"")
    truth_file(folder, LAST - timedelta(days=1)).unlink()
    ensure_sample(folder, last_day=LAST, days=3, **SMALL)
    assert tables(folder) == before


@pytest.mark.parametrize("change", [{"seed": 8}, {"rows_per_day": 301}])
def test_a_folder_of_another_sample_is_written_again(tmp_path: Path, change: dict[str, int]) -> None:
    settings = {**SMALL, **change}
    folder = ensure_sample(tmp_path / "s", last_day=LAST, days=5, **SMALL)
    ensure_sample(folder, last_day=LAST, days=2, **settings)
    fresh = ensure_sample(tmp_path / "fresh", last_day=LAST, days=2, **settings)
    assert tables(folder) == tables(fresh)


def test_a_folder_of_an_older_generator_is_written_again(tmp_path: Path) -> None:
    folder = ensure_sample(tmp_path / "s", last_day=LAST, days=2, **SMALL)
    whole = tables(folder)
    log_file(folder, LAST).write_bytes(b"what version 0 wrote")
    marker = json.loads((folder / MARKER).read_text())
    (folder / MARKER).write_text(json.dumps({**marker, "generator": 0}))
    ensure_sample(folder, last_day=LAST, days=2, **SMALL)
    assert tables(folder) == whole


def test_the_folder_says_that_it_is_synthetic(tmp_path: Path) -> None:
    folder = ensure_sample(tmp_path / "s", last_day=LAST, days=1, **SMALL)
    marker = json.loads((folder / MARKER).read_text())
    assert marker["synthetic"] is True
    assert "no real users" in marker["about"]
    assert (marker["seed"], marker["rows_per_day"], marker["last_day"]) == (7, 300, "2026-11-22")


def test_somebody_elses_tables_are_never_overwritten(tmp_path: Path) -> None:
    log = tmp_path / "llm_query_logs" / "2026-11-22.parquet"
    log.parent.mkdir()
    log.write_bytes(b"precious")
    with pytest.raises(EmbeddedError, match=r"has tables that the sample did not write.*CACHEWARM_SOURCE_URL"):
        ensure_sample(tmp_path, last_day=LAST, days=1, **SMALL)
    with pytest.raises(EmbeddedError, match="the sample did not write"):
        generate_log(tmp_path, first_day=LAST, days=1, **SMALL)
    assert log.read_bytes() == b"precious"


def test_other_files_of_the_folder_survive_a_new_seed(tmp_path: Path) -> None:
    folder = ensure_sample(tmp_path / "s", last_day=LAST, days=1, **SMALL)
    note = folder / "llm_query_logs" / "note.parquet"
    note.write_bytes(b"mine")
    ensure_sample(folder, last_day=LAST, days=1, seed=8, rows_per_day=300)
    assert note.read_bytes() == b"mine"


def test_a_broken_marker_gives_a_one_line_error(tmp_path: Path) -> None:
    folder = ensure_sample(tmp_path / "s", last_day=LAST, days=1, **SMALL)
    (folder / MARKER).write_text("{")
    with pytest.raises(EmbeddedError, match=r"_sample\.json is broken: delete the folder"):
        ensure_sample(folder, last_day=LAST, days=1, **SMALL)


def test_a_path_that_is_no_folder_gives_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match=r"cannot be written to .*file/s") as raised:
        ensure_sample(tmp_path / "file" / "s", last_day=LAST, days=1, **SMALL)
    assert "\n" not in str(raised.value)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another account can open; pytest's own is private to the current one."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


# Root may write anywhere, so the child gives that right away first; the catalogue is read before it loses its eyes.
UNPRIVILEGED = "import os\ncatalogue(7)\nos.getuid() or os.setuid(65534)\n"
ATTEMPT = (
    "try:\n    ensure_sample(folder, seed=7, last_day=last, rows_per_day=300, days=2)\n"
    "except EmbeddedError as error:\n    print(error)\n    sys.exit(3)\n"
)


def test_a_read_only_folder_gives_a_one_line_error(open_folder: Path) -> None:
    folder = open_folder / "s"
    folder.mkdir(mode=0o555)
    process = child(UNPRIVILEGED + ATTEMPT, folder)
    out, err = process.communicate()
    assert process.returncode == 3, err
    assert "Permission denied" in out
    assert "CACHEWARM_HOME" in out
    assert out.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_a_complete_read_only_folder_is_accepted(open_folder: Path) -> None:
    folder = ensure_sample(open_folder / "s", last_day=LAST, days=2, **SMALL)
    for file in folder.rglob("*"):
        file.chmod(0o555 if file.is_dir() else 0o444)
    folder.chmod(0o555)
    process = child(UNPRIVILEGED + ATTEMPT, folder)
    _, err = process.communicate()
    assert process.returncode == 0, err


def test_a_full_disk_gives_a_one_line_error_and_leaves_no_partial_file(tmp_path: Path) -> None:
    # A limit on the size of files fails the same write calls as a full disk does.
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
    process = child(limit + ATTEMPT, tmp_path / "s")
    out, err = process.communicate()
    assert process.returncode == 3, err
    assert "free some space" in out
    assert out.count("\n") == 1
    left = [file.name for file in (tmp_path / "s").rglob("*") if file.is_file()]
    assert not [name for name in left if name.endswith(".tmp")]
    ensure_sample(tmp_path / "s", last_day=LAST, days=2, **SMALL)
    assert tables(tmp_path / "s") == tables(ensure_sample(tmp_path / "fresh", last_day=LAST, days=2, **SMALL))


def test_two_processes_at_the_same_time_write_one_complete_sample(tmp_path: Path) -> None:
    code = "ensure_sample(folder, seed=7, last_day=last, rows_per_day=300, days=6)\n"
    both = [child(code, tmp_path / "s") for _ in range(2)]
    for process in both:
        _, err = process.communicate()
        assert process.returncode == 0, err
    assert tables(tmp_path / "s") == tables(ensure_sample(tmp_path / "one", last_day=LAST, days=6, **SMALL))
    assert not list((tmp_path / "s").rglob(".*.tmp"))


def test_a_killed_run_leaves_complete_files_and_the_next_one_finishes(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    process = child("ensure_sample(folder, seed=7, last_day=last, rows_per_day=300, days=400)\n", folder)
    deadline = time.monotonic() + 60
    while not list(folder.glob("llm_query_logs/2025*.parquet")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    written = day_files(folder)
    assert all(pq.read_metadata(folder / name).num_rows == 300 for name in written)
    (folder / "llm_query_logs" / ".2026-11-22.parquet.1.tmp").write_bytes(b"what a killed run leaves")
    ensure_sample(folder, last_day=LAST, days=2, **SMALL)
    assert not list(folder.rglob(".*.tmp"))
    assert day_files(folder).items() >= written.items()
    assert pq.read_metadata(log_file(folder, LAST)).num_rows == 300


def peak_megabytes(folder: Path, rows_per_day: int) -> float:
    """Peak resident memory of a process that writes one day of ``rows`` rows."""
    code = (
        f"generate_log(folder, seed=7, first_day=last, days=1, rows_per_day={rows_per_day})\n"
        # Not ru_maxrss: it keeps what the parent had at the fork.
        "status = open('/proc/self/status').read()\nprint(int(status.split('VmHWM:')[1].split()[0]) / 1024)\n"
    )
    process = child(code, folder)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return float(out)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of a process' own peak")
def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    small = peak_megabytes(tmp_path / "small", 2 * CHUNK)
    large = peak_megabytes(tmp_path / "large", 6 * CHUNK)
    assert pq.read_metadata(log_file(tmp_path / "large", LAST)).num_rows == 6 * CHUNK
    assert large < small * 1.2
    assert large < 600


def test_a_large_day_is_ordered_by_time_across_its_chunks(tmp_path: Path) -> None:
    folder = generate_log(tmp_path, seed=7, first_day=LAST, days=1, rows_per_day=140_000)
    assert pq.read_metadata(log_file(folder, LAST)).num_row_groups == 3
    at = [t for t in pq.read_table(log_file(folder, LAST))["created_at"].to_pylist() if t and t.date() == LAST]
    assert at == sorted(at)
    truth = pq.read_table(truth_file(folder, LAST))
    assert truth["row"].to_pylist() == list(range(140_000))


@pytest.mark.parametrize("last_day", [date(2024, 2, 29), LAST, date(2031, 7, 1)])
def test_golden_dates_never_lie_after_the_last_day_and_some_are_recent(last_day: date) -> None:
    made = golden_tables.build_golden(7)
    days = [
        golden_tables.created_on(one.first_day, one.recent, last_day)
        for one in made.analyses
        if one.first_day is not None
    ]
    assert max(days) <= last_day
    assert sum(day > last_day - timedelta(days=364) for day in days) >= 15
    tomorrow = [
        golden_tables.created_on(one.first_day, one.recent, last_day + timedelta(days=1))
        for one in made.analyses
        if one.first_day is not None
    ]
    assert sum(a != b for a, b in zip(days, tomorrow, strict=True)) <= 4
