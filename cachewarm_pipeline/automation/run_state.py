"""What the sensors look at: the live cache, runs at work, how a run ended. Each look is one cheap question."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterEventType, DagsterInstance

from cachewarm_pipeline.automation.catch_up import Tried
from cachewarm_pipeline.automation.tags import PUBLISHES
from cachewarm_pipeline.errors import CacheError, CachewarmError
from cachewarm_pipeline.workspace.workspace import Workspace

if TYPE_CHECKING:
    from cachewarm_pipeline.publishing.redis.cache_store import CacheStore

AT_WORK = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

_OURS = "cachewarm_pipeline."

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)

_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_LOOKED_AT = 20
"""Runs of a day that are looked at, newest first."""


def cache_of(workspace: Workspace) -> "CacheStore":
    """The cache that is set, or the embedded one where it was ever filled.

    Raises CacheError where there is none: a sensor does not start a server for nothing.
    """
    settings = workspace.settings
    if settings.redis_url is None and not (settings.home / "redis").is_dir():
        raise CacheError(f"nothing was warmed under {settings.home} yet")
    return workspace.cache


def running(on: bool) -> dg.DefaultSensorStatus:
    """Whether a sensor runs by itself."""
    return dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED


def slot(now: datetime, length: timedelta) -> int:
    """Which stretch of time of this length it is: part of a run key that may be used again in the next one."""
    return int((now - _EPOCH) / length)


def at_work(instance: DagsterInstance, job: str | None = None) -> str | None:
    """Id of a run of this job that has not ended, newest first; without a job of one that publishes."""
    tags = {} if job else {PUBLISHES: "true"}
    runs = instance.get_runs(dg.RunsFilter(statuses=AT_WORK, tags=tags, job_name=job), limit=1)
    return runs[0].run_id if runs else None


def ended_runs(instance: DagsterInstance, job: str, tags: Mapping[str, str]) -> list[tuple[Tried, dg.DagsterRun]]:
    """How the runs of a job with these tags ended, in the order of their ends."""
    runs = instance.get_run_records(
        dg.RunsFilter(job_name=job, statuses=_ENDED, tags=dict(tags)), limit=_LOOKED_AT, order_by="update_timestamp"
    )
    found = []
    for record in runs:
        run = record.dagster_run
        failed = run.status == dg.DagsterRunStatus.FAILURE
        ended = datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
        found.append((Tried(ended, not failed, failed and failure_of(instance, run.run_id).gate), run))
    return sorted(found, key=lambda one: one[0].ended)


@dataclass(frozen=True)
class Failure:
    """Why a run failed: step and reason in words. ``gate``: a blocking check stopped it."""

    reason: str
    gate: bool


def failure_of(instance: DagsterInstance, run_id: str) -> Failure:
    """The first step of a run that failed, with the root cause in the words of the error that was raised."""
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
    return Failure("the run failed without saying why; its log is in Dagster's UI", False)


def root_cause(event: dg.DagsterEvent) -> tuple[str, str]:
    """Class and words of what made a step fail: the first error of ours in the chain, which says what to do, else the
    one at its bottom."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None and not error.message.startswith(_OURS):
        error = error.cause
    name = (error.cls_name if error else None) or "unknown error"
    text = error.message.strip() if error else "no message"
    return name, text.partition(": ")[2] if text.startswith(_OURS) else text


def cursor_of(context: dg.SensorEvaluationContext) -> dict[str, str]:
    """What a sensor wrote down at its last tick; nothing where that is no JSON object (somebody edited it)."""
    try:
        found = json.loads(context.cursor or "{}")
    except ValueError:
        return {}
    return {name: str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def why_not(error: CachewarmError) -> dg.SkipReason:
    """A fault of the world as a tick's reason: sensors look again, runs report."""
    return dg.SkipReason(str(error))
