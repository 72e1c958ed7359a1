"""The sensor that catches up: it mines missing days of the log, stores reader counts of missed days, and retries
failed daily runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
from cachewarm_client.counters import SERVED_SECONDS
from dagster import DagsterInstance

from cachewarm_pipeline.automation.catch_up import RETRIES, day_ranges, decide_retry
from cachewarm_pipeline.automation.jobs import mine_log, refresh_cache, store_counts, warm_cache
from cachewarm_pipeline.automation.run_state import (
    default_status,
    existing_cache,
    finished_runs,
    skip_for,
    unfinished_run,
)
from cachewarm_pipeline.automation.tags import DAYS, REQUESTED_ON, started_by
from cachewarm_pipeline.days import window
from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.measurement.serving_counts_service import HITS, HOURS
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.query_log.mined_days import DAILY
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.workspace.workspace import Workspace

RUNS_A_DAY = RETRIES + 1
"""Runs a day for a range of missing days: the first one and its retries."""


@dataclass(frozen=True)
class UnminedDays:
    """Days of the log that have to be mined."""

    missing: list[date]
    """Days without counts."""
    changed: list[date]
    """Days whose log files have changed since they were mined."""


def unmined_days(workspace: Workspace, first: date) -> UnminedDays:
    """Complete days of the lookback window and the replay window, from the log's ``first`` day on, without counts of
    the log as it is now. Yesterday is left to the daily run, if that is on."""
    settings = workspace.settings
    yesterday = workspace.today - timedelta(days=1)
    whole = window(yesterday, settings.lookback_days + settings.replay_days)
    days = [day for day in whole if day >= settings.first_day and not (settings.daily_schedule and day == yesterday)]
    known, fingerprint = set(workspace.datasets.days(DAILY)), workspace.counts_fingerprint
    changed = [
        day
        for day in days
        if day >= first and day in known and workspace.datasets.fingerprint(DAILY, day) != fingerprint(day)
    ]
    return UnminedDays([day for day in days if day >= first and day not in known], changed)


def uncounted_days(workspace: Workspace) -> list[date]:
    """Complete days without stored reader counts, as long as Redis keeps the hits of their entries; only days after the
    first one with stored counts. Yesterday is left to the daily run, if that is on."""
    settings = workspace.settings
    yesterday = workspace.today - timedelta(days=1)
    stored = workspace.datasets.days(HOURS)
    complete = set(stored).intersection(workspace.datasets.days(HITS))
    return [
        day
        for day in window(yesterday, SERVED_SECONDS // 86_400 - 1)
        if stored and stored[0] <= day and day not in complete and not (settings.daily_schedule and day == yesterday)
    ]


def catch_up_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor ``catch_up``, which looks every ten minutes.

    Its cursor has the log's first day, because the query for that may read the whole log; it is sent once.
    """

    @dg.sensor(
        name="catch_up",
        jobs=[mine_log, store_counts, warm_cache, refresh_cache],
        minimum_interval_seconds=600,
        default_status=default_status(settings.catch_up),
        description="Mines days of the lookback window that are missing or have changed, stores reader counts of "
        f"missed days, and retries a failed run for yesterday up to {RETRIES} times, once Redis answers. A run that a "
        "gate stopped is not retried.",
    )
    def catch_up(
        context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
    ) -> Sequence[dg.RunRequest] | dg.SkipReason:
        try:
            first = _day(context.cursor) or workspace.source.describe(workspace.today).first_log_day
            if first is not None:
                context.update_cursor(first.isoformat())
            mining = _mining_runs(context.instance, workspace, first)
            if isinstance(mining, list):
                return mining
            counting = _counting_runs(context.instance, uncounted_days(workspace), workspace.today)
            if isinstance(counting, list):
                return counting
            retries = _retries(context.instance, workspace)
            requests = [one for one in retries if isinstance(one, dg.RunRequest)]
            reasons = [one for one in (mining, counting, *retries) if isinstance(one, str) and one]
            # One run at a time: the first may already do what the second is for.
            return requests[:1] or dg.SkipReason("; ".join(reasons))
        except CachewarmError as error:
            return skip_for(error)

    return catch_up


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _mining_runs(instance: DagsterInstance, workspace: Workspace, first: date | None) -> list[dg.RunRequest] | str:
    """Runs that mine the log, or why none starts; an empty reason when nothing has to be mined.

    ``first``: the log's first day; None when it has no rows, as when only golden answers are warmed. A range of missing
    days is mined at most RUNS_A_DAY times a day. A changed day is mined once a day: a log that is appended to changes
    all the time, and the older counts are used meanwhile.
    """
    if first is None:
        return "the log has no rows yet, so there is nothing to mine"
    days, today = unmined_days(workspace, first), workspace.today
    if not days.missing and not days.changed:
        return ""
    found = f"{plural(len(days.missing), 'day')} of the log without counts, {len(days.changed)} changed after mining"
    if run := unfinished_run(instance, job="mine_log") or unfinished_run(instance):
        return f"{found}; run {run[:8]} is in progress"
    requests = [
        request
        for part, most in ((days.missing, RUNS_A_DAY), (days.changed, 1))
        for request in _requests(instance, "mine_log", part, most, found, today)
    ]
    return requests or f"{found}; today's runs are used up ({RUNS_A_DAY} for missing days, 1 for changed ones)"


def _counting_runs(instance: DagsterInstance, days: Sequence[date], today: date) -> list[dg.RunRequest] | str:
    """Runs that store reader counts of missed days, or why none starts; an empty reason when there are no such days."""
    if not days:
        return ""
    found = f"{plural(len(days), 'day')} without stored reader counts"
    if run := unfinished_run(instance):
        return f"{found}; run {run[:8]} is in progress"
    return _requests(instance, "store_counts", days, RUNS_A_DAY, found, today) or (
        f"{found}; today's {RUNS_A_DAY} runs are used up"
    )


def _requests(
    instance: DagsterInstance, job: str, days: Sequence[date], most: int, why: str, today: date
) -> list[dg.RunRequest]:
    """A run for each range of days that had fewer than ``most`` runs today."""
    requests = []
    for first, last in day_ranges(days):
        span = f"{first}...{last}"
        tags = {DAYS: span, REQUESTED_ON: today.isoformat()}
        before = instance.get_runs_count(dg.RunsFilter(job_name=job, tags=tags))
        if before >= most:
            continue
        ends = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
        requests.append(
            dg.RunRequest(
                run_key=f"{job}:{span}:{today}:{before}",
                job_name=job,
                tags={**started_by("catch up", why), **tags, **({} if first == last else ends)},
                partition_key=first.isoformat() if first == last else None,
            )
        )
    return requests


def _retries(instance: DagsterInstance, workspace: Workspace) -> list[dg.RunRequest | str]:
    """For each job of yesterday: a request that repeats its failed run, or why it is not repeated."""
    day = workspace.today - timedelta(days=1)
    found = [_retry(instance, workspace, job, day) for job in ("warm_cache", "refresh_cache")]
    return [one for one in found if one is not None]


def _retry(instance: DagsterInstance, workspace: Workspace, job: str, day: date) -> dg.RunRequest | str | None:
    finished = finished_runs(instance, job, {"dagster/partition": day.isoformat()})
    if not finished and job == "refresh_cache":
        return None  # it does not run every day
    retry = decide_retry(f"{job} for {day}", [one for one, _ in finished], workspace.now())
    if not retry.start:
        return retry.sentence
    if run := unfinished_run(instance):
        return f"{retry.sentence}, but run {run[:8]} is in progress"
    live = existing_cache(workspace).live()  # raises while Redis does not answer, so no retry is wasted
    if job == "warm_cache" and live and live.as_of >= day and not live.partial:
        return f"{live.id} is live, of {live.as_of}: {day} needs no retry"
    return dg.RunRequest(
        run_key=f"again:{job}:{day}:{retry.number}",
        job_name=job,
        partition_key=day.isoformat(),
        run_config=dict(finished[-1][1].run_config),
        tags=started_by("catch up", retry.sentence),
    )
