"""The hit-rate sensor: what it compares, what it starts, and the numbers in its reasons. Real Redis, a test clock."""

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from cachewarm_pipeline.automation.hit_rate_sensor import floor_of
from cachewarm_pipeline.automation.tags import PUBLISHES
from cachewarm_pipeline.settings import load_settings
from tests.support.sensor_watch import DAY, NOW, Watch
from tests.support.small_app import USUAL

pytest_plugins = ["tests.support.sensor_watch"]


def test_the_floor_is_a_share_of_the_live_generations_forecast(watch: Watch) -> None:
    watch.warm()
    live = watch.store().live()
    assert live is not None
    assert live.forecast_hit_rate == 1.0  # this log has every question on every day
    watch.ask(*USUAL, *[f"Something new {n}" for n in range(9)])
    found = watch.look("hit_rate_falls")
    (request,) = found.run_requests
    assert request.partition_key == "2026-03-23"
    assert request.tags["cachewarm/why"] == ("hit rate 50.0% of 18 lookups, floor 70.0%, low for 0 min (last 3 h)")
    assert watch.look("hit_rate_falls").run_requests == []  # one run in an episode


def test_the_measured_rate_is_shown_once_an_hour_beside_the_forecast(watch: Watch) -> None:
    watch.warm()
    watch.ask(*USUAL, *USUAL)
    (event,) = watch.look("hit_rate_falls").asset_events
    shown = {name: value.value for name, value in event.metadata.items()}
    assert event.asset_key == dg.AssetKey("live_cache")
    assert shown["hit_rate"] == 1.0
    assert shown["lookups"] == 18
    assert shown["forecast_hit_rate"] == 1.0
    assert watch.look("hit_rate_falls").asset_events == []
    watch.clock.at += timedelta(hours=1)
    assert len(watch.look("hit_rate_falls").asset_events) == 1


def test_nothing_is_started_while_a_run_publishes_or_a_generation_is_pinned(watch: Watch) -> None:
    watch.warm()
    watch.app.ask(NOW, "one more")
    watch.ask(*[f"Something new {n}" for n in range(20)])
    run = watch.instance.create_run_for_job(
        watch.defs.resolve_job_def("warm_cache"), tags={PUBLISHES: "true"}, status=dg.DagsterRunStatus.STARTED
    )
    reason = watch.look("hit_rate_falls").skip_message
    assert f"low, but run {run.run_id[:8]} is in progress" in reason
    assert "hit rate 0.0% of 20 lookups, floor 70.0%" in reason
    watch.instance.report_run_failed(run)
    watch.warm(DAY + timedelta(days=1))
    watch.store().rollback(watch.clock(), "a test")
    assert "is pinned since" in watch.look("hit_rate_falls").skip_message


def test_when_no_reader_counts_the_rate_comes_from_the_logs_cache_hits(watch: Watch) -> None:
    watch.clock.at = NOW - timedelta(days=1)
    watch.warm(DAY - timedelta(days=1))
    assert "the log has no cache_hit" in watch.look("hit_rate_falls").skip_message
    for n in range(30):  # the application serves from the cache without counting
        watch.app.rows[DAY][n]["cache_hit"] = n < 6
    watch.app.flush(again=True)
    watch.clock.at = NOW
    watch.warm(DAY)  # the daily run mines the day and publishes
    (request,) = watch.look("hit_rate_falls").run_requests
    assert "hit rate 10.0% of 60 lookups" in request.tags["cachewarm/why"]
    assert "log of 2026-03-22" in request.tags["cachewarm/why"]


def test_a_log_from_before_the_first_publish_is_not_used_for_the_rate(watch: Watch) -> None:
    watch.app.rows[DAY][0]["cache_hit"] = True
    watch.app.flush(again=True)
    watch.warm()
    assert "2026-03-22, is before the first publish" in watch.look("hit_rate_falls").skip_message


def test_yesterday_is_warmed_until_it_is_fully_mined(watch: Watch) -> None:
    watch.clock.at = NOW.replace(hour=0, minute=30) - timedelta(days=1)
    watch.warm(DAY - timedelta(days=1))
    watch.clock.at += timedelta(days=1)  # before the daily run of the 23rd
    watch.ask(*[f"Something new {n}" for n in range(20)])
    (request,) = watch.look("hit_rate_falls").run_requests
    assert request.partition_key == "2026-03-22"


def test_warming_today_does_not_block_the_daily_run_for_yesterday(watch: Watch) -> None:
    watch.warm(NOW.date())
    live = watch.store().live()
    assert live is not None
    assert live.partial
    watch.warm(DAY)
    live = watch.store().live()
    assert live is not None
    assert (live.as_of, live.partial) == (DAY, False)
    watch.warm(DAY - timedelta(days=1), published=False)  # a whole day is not replaced by an older one


def test_a_failed_warming_is_retried_but_not_at_once(watch: Watch) -> None:
    watch.warm()
    watch.ask(*[f"Something new {n}" for n in range(20)])
    (first,) = watch.look("hit_rate_falls").run_requests
    with watch.frozen():
        run = watch.instance.create_run_for_job(
            watch.defs.resolve_job_def("warm_cache"), tags=first.tags, status=dg.DagsterRunStatus.STARTED
        )
        watch.instance.report_run_failed(run)
    assert "retry 1 is due at 09:30 UTC" in watch.look("hit_rate_falls").skip_message
    watch.clock.at += timedelta(minutes=31)
    (second,) = watch.look("hit_rate_falls").run_requests
    assert second.run_key != first.run_key


def test_with_a_low_forecast_an_episode_ends_below_the_forecast(watch: Watch) -> None:
    from cachewarm_pipeline.automation.hit_rate_sensor import policy_of

    policy = policy_of(load_settings(), 0.7 * 0.12, 0.12)
    assert policy.floor < policy.recovery_rate < 0.12


@pytest.mark.parametrize(("floor", "forecast", "found"), [(0.3, 0.9, 0.3), (None, 0.8, 0.56), (None, None, None)])
def test_a_floor_that_is_set_wins_over_the_forecast(floor: Any, forecast: Any, found: Any) -> None:
    assert floor_of(load_settings().model_copy(update={"hit_rate_floor": floor}), forecast) == pytest.approx(found)
