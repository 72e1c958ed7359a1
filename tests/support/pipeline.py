"""Runs `cachewarm` in this process as a user would, with a home and an environment of its own."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import date
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.dagster_storage import keep_connections

if TYPE_CHECKING:
    import dagster as dg

    from cachewarm_pipeline.settings import Settings

QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Run configuration that silences the log of a run."""


def report_failure(result: "dg.ExecuteInProcessResult", instance: "dg.DagsterInstance", settings: "Settings") -> None:
    """Runs the sensor `failed_runs`, as Dagster's daemon does after a failed run."""
    import dagster as dg

    from cachewarm_pipeline.automation.alerts import alert

    event = next(e for e in result.all_events if e.is_failure and not e.is_step_event)
    with dg.build_run_status_sensor_context(
        sensor_name="failed_runs", dagster_event=event, dagster_instance=instance, dagster_run=result.dagster_run
    ) as context:
        alert(context.for_run_failure(), settings)


LAST_DAY = date(2026, 3, 20)
"""Last day of the sample in tests. It is far enough in the past to be a partition whenever the tests run."""


@dataclass
class Ran:
    """The result of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Cachewarm:
    """The command line with an environment: `cachewarm("warm", "--budget", "10")`."""

    capture: "pytest.CaptureFixture[str] | Buffers"
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, **more: str) -> Ran:
        from cachewarm_pipeline.cli import main

        self.capture.readouterr()
        code: int | str | None = 0
        with environment(self.environment | more):
            before = sys.argv
            sys.argv = ["cachewarm", *arguments]
            try:
                main()
            except SystemExit as stop:
                code = stop.code
            finally:
                sys.argv = before
        out, err = self.capture.readouterr()
        assert isinstance(code, int) or code is None
        return Ran(code or 0, out, err)


class Buffers:
    """A substitute for `capsys` in fixtures that live longer than a test: while it is open, Cachewarm can use it."""

    def __enter__(self) -> "Buffers":
        self._texts = StringIO(), StringIO()
        self._streams = redirect_stdout(self._texts[0]), redirect_stderr(self._texts[1])
        for stream in self._streams:
            stream.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for stream in reversed(self._streams):
            stream.__exit__(None, None, None)

    def readouterr(self) -> tuple[str, str]:
        out, err = (text.getvalue() for text in self._texts)
        for text in self._texts:
            text.seek(0)
            text.truncate()
        return out, err


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Sets exactly these CACHEWARM_, OPENAI_ and DAGSTER_ variables, and restores the old ones afterwards."""
    keep_connections()
    before = dict(os.environ)
    for name in before:
        if name.startswith(("CACHEWARM_", "OPENAI_", "DAGSTER_")):
            del os.environ[name]
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def home_with_shared_vectors(factory: "pytest.TempPathFactory") -> Path:
    """A home whose vectors are shared by all test processes, so that the texts of the sample are embedded once."""
    common = factory.getbasetemp().parent / "vectors"
    common.mkdir(exist_ok=True)
    home = factory.mktemp("home")
    (home / "data").mkdir()
    (home / "data" / "vectors").symlink_to(common)
    return home


def merge_vectors(values: dict[str, str]) -> None:
    """Merges the segments of the vector store, one for each embedded batch, because every read opens all of them."""
    from cachewarm_pipeline.storage.vectors import ParquetVectorStore
    from cachewarm_pipeline.workspace.workspace import Workspace

    with environment(values):
        vectors = Workspace().vectors
        assert isinstance(vectors, ParquetVectorStore)
        vectors.compact()


def small_sample(folder: Path) -> Path:
    """Twelve days of the synthetic sample, 500 rows a day, ending on LAST_DAY."""
    from cachewarm_pipeline.embedded.sample import ensure_sample

    return ensure_sample(folder, seed=7, last_day=LAST_DAY, rows_per_day=500, days=12)
