"""What sensors read before they decide: the live cache, unfinished and finished runs, and why a run failed.

Each function sends one cheap query.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterEventType, DagsterInstance

from cachewarm_pipeline.automation.catch_up import FinishedRun
from cachewarm_pipeline.automation.tags import PUBLISHES
from cachewarm_pipeline.errors import CacheError, CachewarmError
from cachewarm_pipeline.workspace.workspace import Workspace

if TYPE_CHECKING:
    from cachewarm_pipeline.publishing.redis.cache_store import CacheStore

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""Statuses of a run that is queued or in progress."""

_OUR_ERRORS = ("cachewarm_client.", "cachewarm_pipeline.")
"""How the message of an error of ours begins: Dagster stores ``module.Class: message``."""

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)

_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]

_FINISHED_RUNS = 20
"""Finished runs of a day that are read, newest first."""


def existing_cache(workspace: Workspace) -> "CacheStore":
    """The cache of the configured Redis, or of the embedded one if it was ever filled.

    Raises CacheError when there is neither: a sensor must not start a server that nothing was warmed in.
    """
    settings = workspace.settings
    if settings.redis_url is None and not (settings.home / "redis").is_dir():
        raise CacheError(f"nothing was warmed under {settings.home} yet")
    return workspace.cache


def default_status(on: bool) -> dg.DefaultSensorStatus:
    """Whether a sensor runs without being turned on in the UI."""
    return dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED


def time_slot(now: datetime, length: timedelta) -> int:
    """Number of the time slot of this length that ``now`` is in.

    Dagster uses a run key only once. With the slot in it, the same run can be requested again in the next slot.
    """
    return int((now - _EPOCH) / length)


def unfinished_run(instance: DagsterInstance, job: str | None = None) -> str | None:
    """Id of the newest unfinished run of this job; without ``job``, of any job that publishes. None without one."""
    tags = {} if job else {PUBLISHES: "true"}
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED, tags=tags, job_name=job), limit=1)
    return runs[0].run_id if runs else None


def finished_runs(
    instance: DagsterInstance, job: str, tags: Mapping[str, str]
) -> list[tuple[FinishedRun, dg.DagsterRun]]:
    """The newest finished runs of a job with these tags, and how they ended, in the order of their ends."""
    runs = instance.get_run_records(
        dg.RunsFilter(job_name=job, statuses=_FINISHED, tags=dict(tags)),
        limit=_FINISHED_RUNS,
        order_by="update_timestamp",
    )
    found = []
    for record in runs:
        run = record.dagster_run
        failed = run.status == dg.DagsterRunStatus.FAILURE
        ended = datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
        by_gate = failed and failure_of(instance, run.run_id).stopped_by_gate
        found.append((FinishedRun(ended, not failed, by_gate), run))
    return sorted(found, key=lambda one: one[0].ended)


@dataclass(frozen=True)
class Failure:
    """Why a run failed."""

    reason: str
    """The step (or check) and its message."""
    stopped_by_gate: bool
    """Whether a blocking check stopped the run."""


def failure_of(instance: DagsterInstance, run_id: str) -> Failure:
    """Why a run failed: its blocking checks that failed, else the root cause of the first failed step."""
    checks = instance.get_records_for_run(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION).records
    failed = []
    for record in checks:
        event = record.event_log_entry.dagster_event
        found = event.asset_check_evaluation_data if event else None
        if found and found.blocking and not found.passed and found.severity == dg.AssetCheckSeverity.ERROR:
            failed.append(f"{found.check_name}: {found.description or 'failed'}")
    if failed:
        return Failure("; ".join(failed), True)
    for record in instance.get_records_for_run(run_id, of_type=DagsterEventType.STEP_FAILURE).records:
        if event := record.event_log_entry.dagster_event:
            return Failure(f"{event.step_key}: {root_cause(event)[1]}", False)
    for record in instance.get_records_for_run(run_id, of_type=DagsterEventType.RUN_FAILURE).records:
        if event := record.event_log_entry.dagster_event:
            return Failure(event.message or "the run failed", False)
    return Failure("the run failed without a reason; see its log in Dagster's UI", False)


def root_cause(event: dg.DagsterEvent) -> tuple[str, str]:
    """Class name and message of the error that made a step fail.

    This is the first error of ours in the chain of causes, because its message says what to do; else the last cause.

    Errors are recognised by name: a step may run in another process, so Dagster 1.13 stores its failure as strings
    (class name, message, stack, cause) and has no public way to the exception itself.
    """
    error = event.step_failure_data.error
    while error is not None and error.cause is not None and not error.message.startswith(_OUR_ERRORS):
        error = error.cause
    name = (error.cls_name if error else None) or "unknown error"
    text = error.message.strip() if error else "no message"
    return name, text.partition(": ")[2] if text.startswith(_OUR_ERRORS) else text


def read_cursor(context: dg.SensorEvaluationContext) -> dict[str, str]:
    """What a sensor stored at its last tick; empty when the cursor is not a JSON object (a person edited it)."""
    try:
        found = json.loads(context.cursor or "{}")
    except ValueError:
        return {}
    return {name: str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def skip_for(error: CachewarmError) -> dg.SkipReason:
    """A fault (such as an unreachable Redis) as a skip reason: the sensor looks again, and runs report faults."""
    return dg.SkipReason(str(error))
