"""The sensor that watches reports of wrong hits: `report_wrong_hit()` in Redis every minute, and negative feedback on
served rows of the log every 15 minutes. It only requests a run; the run decides again and withdraws."""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
from cachewarm_client.text import sha256_hex
from dagster import DagsterInstance

from cachewarm_pipeline.automation.jobs import withdraw_wrong_hits
from cachewarm_pipeline.automation.run_state import (
    default_status,
    existing_cache,
    read_cursor,
    skip_for,
    time_slot,
    unfinished_run,
)
from cachewarm_pipeline.automation.tags import started_by
from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.publishing.withdrawal_service import rejected_answers
from cachewarm_pipeline.publishing.wrong_hit_confirmation import confirmed, expired
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.workspace.workspace import Workspace

LOG_INTERVAL = timedelta(minutes=15)
"""Between two reads of the log, which is a query of the application's database."""

_SLOT = timedelta(minutes=10)
_SLOT_AFTER_FAILURE = timedelta(hours=1)
"""Dagster uses a run key only once, so keys contain a time slot: a failed run is requested again in the next slot."""


def wrong_hit_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor ``wrong_hits``, which looks every minute.

    Its cursor has the time of the last read of the log (``asked``), a digest of the feedback that a run was requested
    for (``log``), and the last run key (``key``).
    """

    @dg.sensor(
        name="wrong_hits",
        job=withdraw_wrong_hits,
        minimum_interval_seconds=60,
        default_status=default_status(settings.wrong_hit_sensor),
        description="Withdraws answers that enough different people report as wrong, by report_wrong_hit() or by "
        "negative feedback on a served answer in the log.",
    )
    def wrong_hits(
        context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.SensorResult | dg.SkipReason:
        own, now = workspace.settings, workspace.now()
        cursor = read_cursor(context)
        try:
            reports = existing_cache(workspace).wrong_hit_reports()
        except CachewarmError as error:
            return skip_for(error)
        bad, old = confirmed(reports, own.wrong_hit_reports), expired(reports, now)
        digest, in_log = cursor.get("log", ""), "no new"
        if now - _time(cursor.get("asked")) >= LOG_INTERVAL:
            try:
                digest = _feedback_digest(workspace)
            except CachewarmError as error:  # reports in Redis do not wait for the log
                in_log = f"{error}; no new"
            cursor["asked"] = now.isoformat()
        retry = _last_run_failed(context.instance)
        if digest and (retry or digest != cursor.get("log", "")):
            in_log = "new"
        numbers = (
            f"{plural(len(reports), 'answer')} reported, {len(bad)} of them by {own.wrong_hit_reports} or more people; "
            f"{in_log} negative feedback on served answers in the log"
        )
        if not bad and not old and in_log != "new":
            return dg.SensorResult(skip_reason=numbers, cursor=json.dumps(cursor))
        if run := unfinished_run(context.instance, job=withdraw_wrong_hits.name):
            return dg.SkipReason(f"{numbers}; run {run[:8]} is in progress")
        cursor["log"] = digest
        what = sha256_hex(digest, *(report.entry_id for report in bad))[:16]
        key = f"wrong:{own.name}:{what}:{time_slot(now, _SLOT_AFTER_FAILURE if retry else _SLOT)}"
        if cursor.get("key") == key:
            over_limit = (
                " Some of them are over CACHEWARM_WRONG_HIT_MAX_SHARE and are still served: see the alert."
                if retry
                else ""
            )
            why = f"{numbers}; a run was requested already.{over_limit}"
            return dg.SensorResult(skip_reason=why, cursor=json.dumps(cursor))
        cursor["key"] = key
        request = dg.RunRequest(run_key=key, tags=started_by("wrong hits", numbers))
        return dg.SensorResult(run_requests=[request], cursor=json.dumps(cursor))

    return wrong_hits


def _time(text: str | None) -> datetime:
    """The time of the cursor; long ago when there is none."""
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _last_run_failed(instance: DagsterInstance) -> bool:
    last = instance.get_runs(dg.RunsFilter(job_name=withdraw_wrong_hits.name), limit=1)
    return bool(last) and last[0].status == dg.DagsterRunStatus.FAILURE


def _feedback_digest(workspace: Workspace) -> str:
    """Identifies the served answers that users rejected in the log; empty without any. The run decides what follows."""
    found = sorted((row.agent_type, row.query, row.response, row.users) for row in rejected_answers(workspace))
    return sha256_hex(json.dumps(found))[:16] if found else ""
