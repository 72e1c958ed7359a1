"""Schedules: one run a day for the last complete UTC day, also over clock changes; each can be switched off."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from cachewarm_pipeline.automation.schedules import last_complete_day, schedules
from cachewarm_pipeline.definitions import defs
from cachewarm_pipeline.settings import Settings


def ticks(schedule: dg.ScheduleDefinition, start: datetime, days: int) -> list[datetime]:
    """The moments at which Dagster's scheduler would evaluate the schedule."""
    found = []
    crons: Any = schedule.cron_schedule
    zone = schedule.execution_timezone or "UTC"
    for at in schedule_execution_time_iterator(start.timestamp(), crons, zone, ascending=True):
        if at >= start + timedelta(days=days):
            return found
        found.append(at)
    return found


def requests(schedule: dg.ScheduleDefinition, start: datetime, days: int) -> list[dg.RunRequest]:
    found: list[dg.RunRequest] = []
    with dg.DagsterInstance.ephemeral() as instance:
        for at in ticks(schedule, start, days):
            context = dg.build_schedule_context(
                instance=instance, scheduled_execution_time=at, repository_def=defs.get_repository_def()
            )
            found += schedule.evaluate_tick(context).run_requests or []
    return found


def of(name: str, **settings: Any) -> dg.ScheduleDefinition:
    return next(s for s in schedules(Settings(**settings)) if s.name == f"{name}_warming")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Vienna", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Auckland"])
def test_every_day_is_requested_once_in_a_year_with_both_clock_changes(zone: str) -> None:
    found = requests(of("daily", time_zone=zone), datetime(2026, 1, 1, tzinfo=UTC), 365)
    days = [date.fromisoformat(str(request.partition_key)) for request in found]
    assert all(later - early == timedelta(days=1) for early, later in pairwise(days))
    assert max(Counter(request.run_key for request in found).values()) == 1
    assert len(days) in (364, 365)


def test_the_daily_run_is_for_yesterday_at_two_in_the_named_zone() -> None:
    (request,) = requests(of("daily", time_zone="Europe/Vienna"), datetime(2026, 7, 1, tzinfo=UTC), 1)
    assert ticks(of("daily", time_zone="Europe/Vienna"), datetime(2026, 7, 1, tzinfo=UTC), 1)[0] == datetime(
        2026, 7, 1, 2, tzinfo=ZoneInfo("Europe/Vienna")
    )
    assert request.partition_key == "2026-06-30"
    assert request.tags["cachewarm/started_by"] == "daily schedule"


def test_a_cron_that_crosses_utc_midnight_may_miss_a_day_and_a_later_cron_misses_none() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    early = requests(of("daily", time_zone="Europe/Athens"), start, 365)
    assert max(Counter(request.run_key for request in early).values()) == 2  # the scheduler drops the second one
    later = requests(of("daily", time_zone="Europe/Athens", daily_cron="0 4 * * *"), start, 365)
    days = [date.fromisoformat(str(request.partition_key)) for request in later]
    assert all(later - early == timedelta(days=1) for early, later in pairwise(days))


def test_the_last_complete_day_is_a_utc_day_in_every_time_zone() -> None:
    assert last_complete_day(datetime(2026, 7, 1, 1, 30, tzinfo=ZoneInfo("Europe/Vienna"))) == date(2026, 6, 29)
    assert last_complete_day(datetime(2026, 7, 1, 2, tzinfo=ZoneInfo("Europe/Vienna"))) == date(2026, 6, 30)


def test_the_weekly_run_checks_a_sample_of_answers_and_the_monthly_one_all() -> None:
    weekly = requests(of("weekly"), datetime(2026, 7, 1, tzinfo=UTC), 14)
    assert [request.partition_key for request in weekly] == ["2026-07-04", "2026-07-11"]
    assert of("weekly").job.name == "refresh_cache"
    (monthly,) = requests(of("monthly"), datetime(2026, 7, 1, tzinfo=UTC), 31)
    assert monthly.run_config == {"ops": {"answer_checks": {"config": {"whole": True}}}}
    assert weekly[0].run_key != monthly.run_key


@pytest.mark.parametrize(("name", "running"), [("daily", True), ("weekly", True), ("monthly", False)])
def test_each_schedule_can_be_switched_off_and_the_monthly_one_is_off_by_default(name: str, running: bool) -> None:
    for on in (True, False):
        found = of(name, **{f"{name}_schedule": on}).default_status
        assert (found == dg.DefaultScheduleStatus.RUNNING) is on
    assert (of(name).default_status == dg.DefaultScheduleStatus.RUNNING) is running


def test_a_day_before_the_first_partition_is_not_requested() -> None:
    schedule = of("daily", first_day=date(2026, 7, 1))
    found = requests(schedule, datetime(2026, 7, 1, tzinfo=UTC), 2)
    assert [request.partition_key for request in found] == ["2026-07-01"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("daily_cron", "at two"), ("weekly_cron", "0 2 * *"), ("time_zone", "Vienna"), ("off_peak", "22-6")],
)
def test_an_invalid_time_is_refused_with_the_expected_form(setting: str, value: str) -> None:
    with pytest.raises(ValueError, match="write"):
        Settings(**{setting: value})  # type: ignore[arg-type]
