"""Runs a Dagster job in this process: prints progress, returns the outcome for the report."""

import fcntl
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterEvent, DagsterInstance, DagsterRunStatus, EventLogEntry
from rich.text import Text

from cachewarm_pipeline.automation.run_state import root_cause
from cachewarm_pipeline.cli.console import err
from cachewarm_pipeline.errors import CachewarmError, ConfigurationError, EmbeddedError
from cachewarm_pipeline.settings import Settings

FINISHED_STATUSES = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_CONFIGURATION_ERRORS = {"ConfigurationError"}
"""By class name: Dagster stores a step's failure as strings (automation.run_state.root_cause)."""


@dataclass
class RunOutcome:
    """What one run did."""

    success: bool
    run_id: str = ""
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Asset to its metadata as plain values; of the last day in a range run."""
    timings: dict[str, float] = field(default_factory=dict)
    """Asset to seconds."""
    failed_checks: dict[str, str] = field(default_factory=dict)
    """Blocking check that failed to its sentence."""
    failed_after: dict[str, str] = field(default_factory=dict)
    """Check that failed after publishing, to its sentence."""
    excluded: Counter[str] = field(default_factory=Counter)
    """Excluded rows by reason, over all days of the run."""
    error: CachewarmError | None = None
    """The fault that stopped a step."""


def instance_file() -> Path:
    """The project's dagster.yaml: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent.parent
    beside = package.parent / "dagster.yaml"
    return beside if beside.exists() else package / "dagster.yaml"


def prepare_dagster_home(settings: Settings) -> Path:
    """DAGSTER_HOME under the state folder, with the project's dagster.yaml in it."""
    home = settings.home.absolute() / "dagster"
    try:
        home.mkdir(parents=True, exist_ok=True)
        target = home / "dagster.yaml"
        temporary = home / f".dagster.yaml.{os.getpid()}"
        shutil.copyfile(instance_file(), temporary)
        temporary.replace(target)
    except OSError as error:
        raise EmbeddedError(
            f"cannot write the state folder {settings.home}: {error.strerror}; set CACHEWARM_HOME to a folder that is "
            "writable and has free space"
        ) from None
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["CACHEWARM_HOME"] = str(settings.home.absolute())
    return home


def _plain(value: Any) -> Any:
    value = getattr(value, "value", value)
    return dict(value) if isinstance(value, Mapping) else value


def _fault(event: DagsterEvent) -> CachewarmError:
    """The root cause of a failed step, in the words of the raised error."""
    name, text = root_cause(event)
    kind = ConfigurationError if name in _CONFIGURATION_ERRORS else CachewarmError
    return kind(f"{event.step_key}: {text}")


class _Listener:
    """Turns Dagster's events into progress lines and a RunOutcome."""

    def __init__(self, status: Any, quiet: bool) -> None:
        self.outcome = RunOutcome(success=False)
        self._status = status
        self._quiet = quiet
        self._check_steps: set[str | None] = set()

    def __call__(self, entry: EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None:
            if self._status is not None:
                self._status.update(Text(f"{entry.step_key or ''}: {entry.user_message}"))
            return
        if event.is_step_start and self._status is not None:
            self._status.update(f"{event.step_key} ...")
        elif event.is_step_materialization:
            found = event.step_materialization_data.materialization
            metadata = {key: _plain(value) for key, value in found.metadata.items()}
            self.outcome.metadata[found.asset_key.to_user_string()] = metadata
            self.outcome.excluded.update(metadata.get("left_out", {}))
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.asset_check_evaluation_data
            self._check_steps.add(event.step_key)
            if not self._quiet:
                warns = check.severity == dg.AssetCheckSeverity.WARN
                verdict = "passed" if check.passed else "warning" if warns else "FAILED"
                err.print(f"  check {check.check_name:<32} {verdict}: {check.description}")
            if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
                failed = self.outcome.failed_checks if check.blocking else self.outcome.failed_after
                failed[check.check_name] = check.description or ""
        elif event.is_step_success and event.step_key not in self._check_steps:
            seconds = event.step_success_data.duration_ms / 1000
            self.outcome.timings[event.step_key or ""] = seconds
            self._line(event.step_key or "", seconds)
        elif event.is_step_failure and self.outcome.error is None and not self.outcome.failed_checks:
            self.outcome.error = _fault(event)

    def _line(self, step: str, seconds: float) -> None:
        if self._quiet:
            return
        rows = self.outcome.metadata.get(step, {}).get("dagster/row_count")
        found = f"{rows:,} rows" if rows is not None else ""
        err.print(f"  {step:<38} {found:>14} {seconds:>8.2f} s")


@contextmanager
def warm_lock(home: Path) -> Iterator[None]:
    """Allow one `warm` at a time in a state folder: two would overwrite each other's datasets of a day.

    Raises CachewarmError if another one is running. The lock ends with its process, however that ends.
    """
    with (home / "warm.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CachewarmError(
                f"another `cachewarm warm` is running in {home}: wait for it, or set another CACHEWARM_HOME"
            ) from None
        yield


def end_dead_runs(instance: DagsterInstance, tags: Mapping[str, str]) -> None:
    """Mark runs of a killed `warm` as failed and free their pools. Call it under ``warm_lock``: then none of them is
    alive."""
    unfinished = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished, tags=dict(tags))):
        instance.report_run_failed(run, "its `cachewarm warm` ended before the run did")
    # Without a daemon, the step of a killed run would keep its pool for ever, and the next run would wait for it.
    pools = instance.event_log_storage
    if holding := list(pools.get_concurrency_run_ids()):
        for run in instance.get_runs(dg.RunsFilter(run_ids=holding, statuses=FINISHED_STATUSES)):
            pools.free_concurrency_slots_for_run(run.run_id)


def run_job(
    job: str, instance: DagsterInstance, first: date, last: date, *, tags: Mapping[str, str], quiet: bool
) -> RunOutcome:
    """Run a job for a day, or for a range of days as one run. Never raises for a failed step: see RunOutcome."""
    from cachewarm_pipeline.definitions import defs

    return execute(defs.resolve_job_def(job), instance, first, last, tags=tags, quiet=quiet)


def execute(
    job: dg.JobDefinition,
    instance: DagsterInstance,
    first: date,
    last: date,
    *,
    tags: Mapping[str, str],
    quiet: bool,
    assets: Sequence[str] | None = None,
) -> RunOutcome:
    """As ``run_job``, for a job of any definitions; ``assets`` restricts it to some assets."""
    run_id = str(uuid.uuid4())
    spinner = err.status(f"{job.name} ...") if err.is_terminal and not quiet else nullcontext()
    with spinner as status:
        listener = _Listener(status, quiet)
        instance.add_event_listener(run_id, listener)
        if first == last:
            partition: dict[str, Any] = {"partition_key": first.isoformat(), "tags": dict(tags)}
        else:
            span = {
                "dagster/asset_partition_range_start": first.isoformat(),
                "dagster/asset_partition_range_end": last.isoformat(),
            }
            partition = {"tags": {**tags, **span}}
        if assets is not None:
            partition["asset_selection"] = [dg.AssetKey(asset) for asset in assets]
        result = job.execute_in_process(
            run_config=_QUIET, instance=instance, run_id=run_id, raise_on_error=False, **partition
        )
    listener.outcome.success, listener.outcome.run_id = result.success, run_id
    return listener.outcome
