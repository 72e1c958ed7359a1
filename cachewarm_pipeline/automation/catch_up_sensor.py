"""The sensor that does what was missed: days of the log that are not mined, days whose counters were not read, and a
daily run that failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
from cachewarm_client.counters import SERVED_SECONDS
from dagster import DagsterInstance

from cachewarm_pipeline.automation.catch_up import TRIES, stretches, try_again
from cachewarm_pipeline.automation.jobs import mine_log, refresh_cache, store_counts, warm_cache
from cachewarm_pipeline.automation.run_state import at_work, cache_of, ended_runs, running, why_not
from cachewarm_pipeline.automation.tags import started_by
from cachewarm_pipeline.days import window
from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.measurement.serving_counts_service import HITS, HOURS
from cachewarm_pipeline.query_log.mined_days import DAILY
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.workspace.workspace import Workspace

_DAYS = "cachewarm/days"


@dataclass(frozen=True)
class MissingDays:
    """Days of the window that are to be mined: ``missing`` have no counts, ``changed`` have some of another state of
    the log's files."""

    missing: list[date]
    changed: list[date]


def missing_days(workspace: Workspace, first: date) -> MissingDays:
    """Complete days of the look-back window and the replay's, from the log's ``first`` one on, without counts of this
    source as it is now. Yesterday is the daily run's own, where there is one."""
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
    return MissingDays([day for day in days if day >= first and day not in known], changed)


def uncounted_days(workspace: Workspace) -> list[date]:
    """Whole days since the first one whose counters were stored that are not stored, as long as Redis has the hits of
    their entries. Yesterday is the daily run's own, where there is one."""
    settings = workspace.settings
    yesterday = workspace.today - timedelta(days=1)
    stored = workspace.datasets.days(HOURS)
    there = set(stored).intersection(workspace.datasets.days(HITS))
    return [
        day
        for day in window(yesterday, SERVED_SECONDS // 86_400 - 1)
        if stored and stored[0] <= day and day not in there and not (settings.daily_schedule and day == yesterday)
    ]


def catch_up_sensor(settings: Settings) -> dg.SensorDefinition:
    """Looks every ten minutes at most. The cursor holds the log's first day: the one question that may read all of the
    log is asked once."""

    @dg.sensor(
        name="catch_up",
        jobs=[mine_log, store_counts, warm_cache, refresh_cache],
        minimum_interval_seconds=600,
        default_status=running(settings.catch_up),
        description="Mines days of the look-back window that are missing or changed, stores counters of days that were "
        f"missed, and tries a failed run for yesterday again up to {TRIES} times, when Redis answers. What a gate "
        "stopped is not tried again.",
    )
    def catch_up(
        context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
    ) -> Sequence[dg.RunRequest] | dg.SkipReason:
        try:
            first = _day(context.cursor) or workspace.source.describe(workspace.today).first_log_day
            if first is not None:
                context.update_cursor(first.isoformat())
            mining = _mining(context.instance, workspace, first)
            if isinstance(mining, list):
                return mining
            counting = _counting(context.instance, uncounted_days(workspace), workspace.today)
            if isinstance(counting, list):
                return counting
            decided = _again(context.instance, workspace)
            requests = [one for one in decided if isinstance(one, dg.RunRequest)]
            said = [one for one in (mining, counting, *decided) if isinstance(one, str) and one]
            # One at a time: what the first does may be what the second is for.
            return requests[:1] or dg.SkipReason("; ".join(said))
        except CachewarmError as error:
            return why_not(error)

    return catch_up


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _mining(instance: DagsterInstance, workspace: Workspace, first: date | None) -> list[dg.RunRequest] | str:
    """Runs that mine what is to be mined, or why none starts; empty where nothing is to be mined. ``first``: the log's
    first day; None: it has no rows, as where golden answers alone are warmed.

    A missing day is tried TRIES times more a day. A changed one is mined once a day: a log that is appended to changes
    all the time, and its older counts are used meanwhile.
    """
    if first is None:
        return "the log has no rows yet, so there is nothing to mine"
    days, today = missing_days(workspace, first), workspace.today
    if not days.missing and not days.changed:
        return ""
    said = f"{len(days.missing)} days of the log are not mined, {len(days.changed)} changed since"
    if run := at_work(instance, job="mine_log") or at_work(instance):
        return f"{said}; run {run[:8]} is at work"
    requests = [
        request
        for part, most in ((days.missing, TRIES + 1), (days.changed, 1))
        for request in _requests(instance, "mine_log", part, most, said, today)
    ]
    return requests or f"{said}, and were tried often enough today"


def _counting(instance: DagsterInstance, days: Sequence[date], today: date) -> list[dg.RunRequest] | str:
    """Runs that store what readers counted on days that no run was for, or why none starts; empty without such days."""
    if not days:
        return ""
    said = f"what readers counted on {len(days)} days is not stored"
    if run := at_work(instance):
        return f"{said}; run {run[:8]} is at work"
    return _requests(instance, "store_counts", days, TRIES + 1, said, today) or (
        f"{said}, and was tried often enough today"
    )


def _requests(
    instance: DagsterInstance, job: str, days: Sequence[date], most: int, said: str, today: date
) -> list[dg.RunRequest]:
    """A run for each unbroken range of days that was not tried ``most`` times today."""
    requests = []
    for first, last in stretches(days):
        span = f"{first}...{last}"
        tags = {_DAYS: span, "cachewarm/on": today.isoformat()}
        before = instance.get_runs_count(dg.RunsFilter(job_name=job, tags=tags))
        if before >= most:
            continue
        ends = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
        requests.append(
            dg.RunRequest(
                run_key=f"{job}:{span}:{today}:{before}",
                job_name=job,
                tags={**started_by("catch up", said), **tags, **({} if first == last else ends)},
                partition_key=first.isoformat() if first == last else None,
            )
        )
    return requests


def _again(instance: DagsterInstance, workspace: Workspace) -> list[dg.RunRequest | str]:
    """What becomes of each of yesterday's jobs: a run that failed is asked for as it was then, else why it is not."""
    day = workspace.today - timedelta(days=1)
    found = [_one_again(instance, workspace, job, day) for job in ("warm_cache", "refresh_cache")]
    return [one for one in found if one is not None]


def _one_again(instance: DagsterInstance, workspace: Workspace, job: str, day: date) -> dg.RunRequest | str | None:
    ended = ended_runs(instance, job, {"dagster/partition": day.isoformat()})
    if not ended and job == "refresh_cache":
        return None  # not every day has one
    again = try_again(f"{job} for {day}", [one for one, _ in ended], workspace.now())
    if not again.start:
        return again.sentence
    if run := at_work(instance):
        return f"{again.sentence}, but run {run[:8]} is at work"
    live = cache_of(workspace).live()  # also: no try while Redis does not answer
    if job == "warm_cache" and live and live.as_of >= day and not live.partial:
        return f"{live.id} is live, of {day} or later"
    return dg.RunRequest(
        run_key=f"again:{job}:{day}:{again.number}",
        job_name=job,
        partition_key=day.isoformat(),
        run_config=dict(ended[-1][1].run_config),
        tags=started_by("catch up", again.sentence),
    )
