"""What the sensors look at: the live cache, runs at work, how a run ended. Each look is one cheap question."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterEventType, DagsterInstance

from cachewarm_pipeline.automation.tags import PUBLISHES
from cachewarm_pipeline.core.errors import CacheError, CachewarmError
from cachewarm_pipeline.resources.workspace import Workspace

if TYPE_CHECKING:
    from cachewarm_pipeline.resources.cache_store import CacheStore

AT_WORK = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

_OURS = "cachewarm_pipeline."

_GATE_ERRORS = ("DagsterAssetCheckFailedError",)


def cache_of(workspace: Workspace) -> "CacheStore":
    """The cache that is set, or the embedded one where it was ever filled.

    Raises CacheError where there is none: a sensor does not start a server for nothing.
    """
    settings = workspace.settings
    if settings.redis_url is None and not (settings.home / "redis").is_dir():
        raise CacheError(f"nothing was warmed under {settings.home} yet")
    return workspace.cache


def at_work(instance: DagsterInstance, tags: Mapping[str, str] | None = None, job: str | None = None) -> str | None:
    """Id of a run that has not ended, newest first: of those with these tags, else of those that publish."""
    if tags is None and job is None:
        tags = {PUBLISHES: "true"}
    runs = instance.get_runs(dg.RunsFilter(statuses=AT_WORK, tags=dict(tags or {}), job_name=job), limit=1)
    return runs[0].run_id if runs else None


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
            error = root_cause(event)
            return Failure(f"{event.step_key}: {error[1]}", error[0] in _GATE_ERRORS)
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
