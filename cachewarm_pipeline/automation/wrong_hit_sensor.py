"""The sensor that watches reports of wrong hits: `report_wrong_hit()` in Redis each minute, negative feedback on served
rows of the log every quarter of an hour. It only looks; the run that it asks for decides again and acts."""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
from cachewarm_client.text import sha256_hex
from dagster import DagsterInstance

from cachewarm_pipeline.automation.jobs import withdraw_wrong_hits
from cachewarm_pipeline.automation.run_state import at_work, cache_of, cursor_of, running, slot, why_not
from cachewarm_pipeline.automation.tags import started_by
from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.publishing.withdrawal_service import rejected_answers
from cachewarm_pipeline.publishing.wrong_hit_confirmation import confirmed, expired
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.workspace.workspace import Workspace

_LOG_EVERY = timedelta(minutes=15)
_SLOT = timedelta(minutes=10)
_SLOT_AFTER_FAILURE = timedelta(hours=1)
"""A run key is used once, so it names a slot of time too: a run that failed is asked for again in the next one."""


def wrong_hit_sensor(settings: Settings) -> dg.SensorDefinition:
    """Looks every minute. The cursor holds when the log was last asked and what was handed over of it."""

    @dg.sensor(
        name="wrong_hits",
        job=withdraw_wrong_hits,
        minimum_interval_seconds=60,
        default_status=running(settings.wrong_hit_sensor),
        description="Takes entries out of service that enough different people report as wrong: by report_wrong_hit(), "
        "or by negative feedback on a served answer in the log.",
    )
    def wrong_hits(
        context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.SensorResult | dg.SkipReason:
        own, now = workspace.settings, workspace.now()
        cursor = cursor_of(context)
        try:
            reports = cache_of(workspace).wrong_hit_reports()
        except CachewarmError as error:
            return why_not(error)
        bad, old = confirmed(reports, own.wrong_hit_reports), expired(reports, now)
        handed, in_log = cursor.get("log", ""), "no new"
        if now - _moment(cursor.get("asked")) >= _LOG_EVERY:
            try:
                handed = _digest(workspace)
            except CachewarmError as error:  # what is reported in Redis does not wait for the log
                in_log = f"{error}; no new"
            cursor["asked"] = now.isoformat()
        again = _last_failed(context.instance)
        if handed and (again or handed != cursor.get("log", "")):
            in_log = "new"
        said = (
            f"{len(reports)} answers reported, {len(bad)} of them by {own.wrong_hit_reports} or more; "
            f"{in_log} negative feedback on served answers in the log"
        )
        if not bad and not old and in_log != "new":
            return dg.SensorResult(skip_reason=said, cursor=json.dumps(cursor))
        if run := at_work(context.instance, job=withdraw_wrong_hits.name):
            return dg.SkipReason(f"{said}; run {run[:8]} is at work")
        cursor["log"] = handed
        what = sha256_hex(handed, *(report.entry_id for report in bad))[:16]
        key = f"wrong:{own.name}:{what}:{slot(now, _SLOT_AFTER_FAILURE if again else _SLOT)}"
        if cursor.get("key") == key:
            more = (
                "some of them are over CACHEWARM_WRONG_HIT_MAX_SHARE and still served: see the alert" if again else ""
            )
            why = f"{said}; a run was asked for already. {more}".strip()
            return dg.SensorResult(skip_reason=why, cursor=json.dumps(cursor))
        cursor["key"] = key
        request = dg.RunRequest(run_key=key, tags=started_by("wrong hits", said))
        return dg.SensorResult(run_requests=[request], cursor=json.dumps(cursor))

    return wrong_hits


def _moment(text: str | None) -> datetime:
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _last_failed(instance: DagsterInstance) -> bool:
    last = instance.get_runs(dg.RunsFilter(job_name=withdraw_wrong_hits.name), limit=1)
    return bool(last) and last[0].status == dg.DagsterRunStatus.FAILURE


def _digest(workspace: Workspace) -> str:
    """Identifies the served rows that users rejected; empty without any. What they amount to is the run's to say."""
    found = sorted((row.agent_type, row.query, row.response, row.users) for row in rejected_answers(workspace))
    return sha256_hex(json.dumps(found))[:16] if found else ""
