"""The sensor that does what was missed: days without counts, and a daily run that failed."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster import DagsterInstance

from cachewarm_pipeline.automation.jobs import mine_log, warm_cache
from cachewarm_pipeline.automation.looking import at_work, cache_of, failure_of, why_not
from cachewarm_pipeline.automation.tags import started_by
from cachewarm_pipeline.core.catch_up import TRIES, Tried, stretches, try_again
from cachewarm_pipeline.core.errors import CachewarmError
from cachewarm_pipeline.partitions import window
from cachewarm_pipeline.resources.workspace import Workspace
from cachewarm_pipeline.settings import Settings

DAILY = "daily_query_counts"

_MINES = "cachewarm/mines"
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_LOOKED_AT = 20
"""Runs of a day that are looked at, newest first."""


def missing_days(workspace: Workspace, first: date) -> list[date]:
    """Complete days of the look-back window and the replay's, from the log's ``first`` one on, without counts of this
    source. Yesterday is the daily run's own, where there is one."""
    settings = workspace.settings
    last = workspace.today - timedelta(days=2 if settings.daily_schedule else 1)
    days = [day for day in window(last, settings.lookback_days + settings.replay_days) if day >= settings.first_day]
    known = set(workspace.datasets.days(DAILY))
    fingerprint = workspace.counts_fingerprint
    return [
        day
        for day in days
        if day >= first and (day not in known or workspace.datasets.fingerprint(DAILY, day) != fingerprint(day))
    ]


def tried(instance: DagsterInstance, day: date) -> list[Tried]:
    """How the runs ended that warmed for a day."""
    found = []
    tags = {"dagster/partition": day.isoformat()}
    for job in ("warm_cache", "refresh_cache"):
        runs = instance.get_run_records(
            dg.RunsFilter(job_name=job, statuses=_ENDED, tags=tags), limit=_LOOKED_AT, order_by="update_timestamp"
        )
        for record in runs:
            run = record.dagster_run
            failed = run.status == dg.DagsterRunStatus.FAILURE
            ended = datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
            found.append(Tried(ended, not failed, failed and failure_of(instance, run.run_id).gate))
    return found


def catch_up_sensor(settings: Settings) -> dg.SensorDefinition:
    """Looks every ten minutes at most. The cursor holds the log's first day: the one question that may read all of the
    log is asked once."""

    @dg.sensor(
        name="catch_up",
        jobs=[mine_log, warm_cache],
        minimum_interval_seconds=600,
        default_status=dg.DefaultSensorStatus.RUNNING if settings.catch_up else dg.DefaultSensorStatus.STOPPED,
        description="Mines days of the look-back window that are missing or changed, and tries a failed daily run "
        f"again up to {TRIES} times, when Redis answers. What a gate stopped is not tried again.",
    )
    def catch_up(
        context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
    ) -> Sequence[dg.RunRequest] | dg.SkipReason:
        try:
            first = _day(context.cursor)
            if first is None:
                found = workspace.source.describe(workspace.today).first_log_day
                if found is None:
                    return dg.SkipReason("the log has no rows yet, so there is nothing to mine")
                first = found
                context.update_cursor(first.isoformat())
            if missing := missing_days(workspace, first):
                return _mining(context.instance, missing, workspace.today)
            return _again(context.instance, workspace)
        except CachewarmError as error:
            return why_not(error)

    return catch_up


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _mining(instance: DagsterInstance, missing: list[date], today: date) -> Sequence[dg.RunRequest] | dg.SkipReason:
    said = f"{len(missing)} days of the log are not mined"
    if run := at_work(instance, job="mine_log") or at_work(instance):
        return dg.SkipReason(f"{said}; run {run[:8]} is at work")
    requests, given_up = [], []
    for first, last in stretches(missing):
        span = f"{first}...{last}"
        tags = {_MINES: span, "cachewarm/on": today.isoformat()}
        before = instance.get_runs_count(dg.RunsFilter(job_name="mine_log", tags=tags))
        if before > TRIES:
            given_up.append(span)
            continue
        ends = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
        requests.append(
            dg.RunRequest(
                run_key=f"mine:{span}:{today}:{before}",
                job_name="mine_log",
                tags={**started_by("catch up", said), **tags, **({} if first == last else ends)},
                partition_key=first.isoformat() if first == last else None,
            )
        )
    return requests or dg.SkipReason(f"{said}, and mining {', '.join(given_up)} failed {TRIES + 1} times today")


def _again(instance: DagsterInstance, workspace: Workspace) -> Sequence[dg.RunRequest] | dg.SkipReason:
    day = workspace.today - timedelta(days=1)
    found = try_again(day, tried(instance, day), workspace.now())
    if not found.start:
        return dg.SkipReason(found.sentence)
    if run := at_work(instance):
        return dg.SkipReason(f"{found.sentence}, but run {run[:8]} is at work")
    live = cache_of(workspace).live()  # also: no try while Redis does not answer
    # One of that day which was made before the day was over is only a part of it.
    if live and live.as_of >= day and live.created_at.astimezone(UTC).date() > day:
        return dg.SkipReason(f"{live.id} is live, of {day} or later")
    return [
        dg.RunRequest(
            run_key=f"again:{day}:{found.number}",
            job_name="warm_cache",
            partition_key=day.isoformat(),
            tags=started_by("catch up", found.sentence),
        )
    ]
