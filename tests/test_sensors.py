"""What sensors do about what they see, and the numbers in what they say. Real Redis, a clock of the test."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cachewarm_pipeline.automation.hit_rate import floor_of
from cachewarm_pipeline.automation.tags import PUBLISHES
from cachewarm_pipeline.core.wrong_hits import response_sha
from cachewarm_pipeline.definitions import definitions
from cachewarm_pipeline.resources.cache_store import CacheStore
from cachewarm_pipeline.resources.redis_client import connect
from cachewarm_pipeline.resources.workspace import Workspace
from cachewarm_pipeline.serving import WarmedSemanticCache
from cachewarm_pipeline.settings import load_settings
from tests.daemon import Clock
from tests.pipeline import QUIET, environment
from tests.small_app import AGENT, USUAL, App, settings_of, truth

DAY = date(2026, 3, 22)
NOW = datetime(2026, 3, 23, 9, tzinfo=UTC)


@dataclass
class Watch:
    """One sensor after the other, as the daemon evaluates them."""

    instance: dg.DagsterInstance
    clock: Clock
    app: App
    redis_url: str
    name: str

    def __post_init__(self) -> None:
        clock = self.clock

        @dg.resource
        def workspace(_: Any) -> Workspace:
            return Workspace(load_settings(), clock)

        self.defs = definitions(load_settings(), workspace)
        self.cursors: dict[str, str | None] = {}

    def store(self) -> CacheStore:
        return CacheStore(connect(self.redis_url), self.name)

    def warm(self, day: date = DAY) -> None:
        for job, tags in (("mine_log", self.span(day)), ("warm_cache", {})):
            result = self.defs.resolve_job_def(job).execute_in_process(
                run_config=QUIET,
                instance=self.instance,
                tags=tags,
                partition_key=None if tags else day.isoformat(),
            )
            assert result.success

    @staticmethod
    def span(day: date) -> dict[str, str]:
        return {
            "dagster/asset_partition_range_start": str(day - timedelta(days=11)),
            "dagster/asset_partition_range_end": str(day - timedelta(days=1)),
        }

    def look(self, name: str) -> Any:
        sensor = self.defs.get_repository_def().get_sensor_def(name)
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            repository_def=self.defs.get_repository_def(),
            resources={"workspace": Workspace(load_settings(), self.clock)},
        ) as context:
            found = sensor.evaluate_tick(context)
        self.cursors[name] = found.cursor
        return found

    def run(self, request: dg.RunRequest, job: str) -> dg.ExecuteInProcessResult:
        return self.defs.resolve_job_def(job).execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            tags=request.tags,
            partition_key=request.partition_key,
            raise_on_error=False,
        )

    def reader(self) -> WarmedSemanticCache:
        return WarmedSemanticCache(self.name, self.redis_url, clock=self.clock)

    def ask(self, *questions: str) -> None:
        with self.reader() as cache:
            for question in questions:
                cache.check(question, agent_type=AGENT)


@pytest.fixture
def watch(tmp_path: Path, redis_url: str, cache_name: str) -> Iterator[Watch]:
    (tmp_path / "home").mkdir()
    app = App(tmp_path / "source")
    app.history(NOW.replace(hour=0), 12)
    settings = settings_of(
        tmp_path / "home",
        app.folder,
        redis_url,
        cache_name,
        CACHEWARM_HIT_RATE_MIN_LOOKUPS="10",
        CACHEWARM_HIT_RATE_LOW_MINUTES="0",
    )
    with environment(settings), dg.DagsterInstance.ephemeral() as instance:
        yield Watch(instance, Clock(NOW), app, redis_url, cache_name)


def test_before_anything_is_published_every_sensor_says_so_and_starts_no_run_that_publishes(watch: Watch) -> None:
    assert watch.look("hit_rate_falls").skip_message == "nothing is published yet"
    assert watch.look("load_off_peak").skip_message.startswith("CACHEWARM_PROGRESSIVE is off")
    assert "0 entries reported" in watch.look("wrong_hits").skip_message
    (mining,) = watch.look("catch_up").run_requests
    assert mining.job_name == "mine_log"
    assert mining.tags["dagster/asset_partition_range_start"] == "2026-03-11"  # the log's first day
    assert mining.tags["dagster/asset_partition_range_end"] == "2026-03-21"  # yesterday is the daily run's own


def test_a_redis_that_is_away_is_a_reason_and_no_fault(watch: Watch) -> None:
    with environment({**dict(_environment()), "CACHEWARM_REDIS_URL": "redis://127.0.0.1:1/0"}):
        for name in ("hit_rate_falls", "wrong_hits"):
            found = watch.look(name)
            assert found.skip_message.startswith("cannot reach the Redis at redis://127.0.0.1:1/0")
            assert not found.run_requests


def test_the_floor_is_a_part_of_the_live_generations_forecast(watch: Watch) -> None:
    watch.warm()
    live = watch.store().live()
    assert live is not None
    assert live.forecast_hit_rate == 1.0  # every question of this log is asked every day
    watch.ask(*USUAL, *[f"Something new {n}" for n in range(9)])
    found = watch.look("hit_rate_falls")
    (request,) = found.run_requests
    assert request.partition_key == "2026-03-23"
    assert request.tags["cachewarm/why"] == ("hit rate 50.0% of 18 look-ups, floor 70.0%, low for 0 min (last 3 h)")
    assert watch.look("hit_rate_falls").run_requests == []  # one run a low


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
    said = watch.look("hit_rate_falls").skip_message
    assert f"low, but run {run.run_id[:8]} is at work" in said
    assert "hit rate 0.0% of 20 look-ups, floor 70.0%" in said
    watch.instance.report_run_failed(run)
    watch.warm(DAY + timedelta(days=1))
    watch.store().rollback(watch.clock(), "a test")
    assert "is pinned since" in watch.look("hit_rate_falls").skip_message


def test_where_no_reader_counts_the_logs_own_cache_hits_are_the_rate(watch: Watch) -> None:
    watch.clock.at = NOW - timedelta(days=1)
    watch.warm(DAY - timedelta(days=1))
    assert "the log knows no cache_hit" in watch.look("hit_rate_falls").skip_message
    for n in range(30):  # the application serves from the cache without counting
        watch.app.rows[DAY][n]["cache_hit"] = n < 6
    watch.app.flush(again=True)
    watch.clock.at = NOW
    result = watch.defs.resolve_job_def("mine_log").execute_in_process(
        run_config=QUIET, instance=watch.instance, partition_key=DAY.isoformat()
    )
    assert result.success
    (request,) = watch.look("hit_rate_falls").run_requests
    assert "hit rate 10.0% of 60 look-ups" in request.tags["cachewarm/why"]
    assert "log of 2026-03-22" in request.tags["cachewarm/why"]


def test_a_log_that_is_older_than_the_live_generation_says_nothing_of_it(watch: Watch) -> None:
    watch.app.rows[DAY][0]["cache_hit"] = True
    watch.app.flush(again=True)
    watch.warm()
    assert "2026-03-22, is older than the live generation" in watch.look("hit_rate_falls").skip_message


@pytest.mark.parametrize(("floor", "forecast", "found"), [(0.3, 0.9, 0.3), (None, 0.8, 0.56), (None, None, None)])
def test_a_floor_that_is_set_wins_over_the_forecast(floor: Any, forecast: Any, found: Any) -> None:
    assert floor_of(load_settings().model_copy(update={"hit_rate_floor": floor}), forecast) == pytest.approx(found)


def test_negative_feedback_of_two_users_on_a_served_answer_withdraws_the_entry(watch: Watch) -> None:
    watch.warm()
    with watch.reader() as cache:
        for n in range(3):
            assert watch.app.ask(NOW + timedelta(minutes=n), USUAL[0], cache, feedback=-1 if n < 2 else None)
    watch.app.flush()
    found = watch.look("wrong_hits")
    (request,) = found.run_requests
    assert "new negative feedback" in request.tags["cachewarm/why"]
    assert watch.run(request, "withdraw_wrong_hits").success
    with watch.reader() as cache:
        assert cache.check(USUAL[0], agent_type=AGENT) == []
        assert cache.check(USUAL[1], agent_type=AGENT)
    watch.clock.at += timedelta(minutes=20)
    again = watch.look("wrong_hits")
    assert not again.run_requests, again
    assert "no new negative feedback" in again.skip_message
    watch.warm()  # the same day again: the answer stays out
    live = watch.store().live()
    assert live is not None
    assert live.entries == len(USUAL) - 1


def test_one_users_feedback_withdraws_nothing(watch: Watch) -> None:
    watch.warm()
    with watch.reader() as cache:
        for n in range(0, 15, 5):  # every fifth question is the same user's
            watch.app.asked = n
            watch.app.ask(NOW + timedelta(minutes=n), USUAL[0], cache, feedback=-1)
    watch.app.flush()
    assert not watch.look("wrong_hits").run_requests


def test_a_log_feedback_run_that_failed_is_asked_for_again_and_not_at_once(watch: Watch) -> None:
    watch.warm()
    with watch.reader() as cache:
        for n in range(2):
            watch.app.ask(NOW + timedelta(minutes=n), USUAL[0], cache, feedback=-1)
    watch.app.flush()
    (request,) = watch.look("wrong_hits").run_requests
    with environment({**dict(_environment()), "CACHEWARM_REDIS_URL": "redis://127.0.0.1:1/0"}):
        assert not watch.run(request, "withdraw_wrong_hits").success
    (soon,) = watch.look("wrong_hits").run_requests
    watch.clock.at += timedelta(minutes=59)
    (later,) = watch.look("wrong_hits").run_requests
    assert request.run_key != later.run_key
    assert soon.run_key != request.run_key


def test_more_wrong_entries_than_may_go_one_by_one_stop_the_run_and_say_so(watch: Watch) -> None:
    watch.warm()
    with watch.reader() as cache:
        for question in USUAL[:5]:
            (hit,) = cache.check(question, agent_type=AGENT)
            for reporter in ("anna", "ben"):
                assert cache.report_wrong_hit(hit, reporter=reporter)
    (request,) = watch.look("wrong_hits").run_requests
    result = watch.run(request, "withdraw_wrong_hits")
    assert not result.success
    with watch.reader() as cache:
        gone = [question for question in USUAL if not cache.check(question, agent_type=AGENT)]
    assert len(gone) == 3
    assert len(watch.store().wrong_hit_reports()) == 2  # what is left to be looked at


def test_a_report_of_an_answer_that_is_no_more_served_withdraws_nothing(watch: Watch) -> None:
    watch.warm()
    with watch.reader() as cache:
        (hit,) = cache.check(USUAL[0], agent_type=AGENT)
        client: Any = connect(watch.redis_url)
        client.hset(hit["key"], "response", "an older answer")
        (old,) = cache.check(USUAL[0], agent_type=AGENT)
        for reporter in ("anna", "ben"):
            cache.report_wrong_hit(old, reporter=reporter)
        client.hset(hit["key"], "response", truth(USUAL[0]))
    (report,) = watch.store().wrong_hit_reports()
    assert report.response_sha == response_sha("an older answer")
    (request,) = watch.look("wrong_hits").run_requests
    assert watch.run(request, "withdraw_wrong_hits").success
    assert watch.store().wrong_hit_reports() == []
    with watch.reader() as cache:
        assert cache.check(USUAL[0], agent_type=AGENT)


def test_mining_that_keeps_failing_is_given_up_for_the_day(watch: Watch) -> None:
    for n in range(4):
        (request,) = watch.look("catch_up").run_requests
        assert request.run_key.endswith(f":{n}")
        watch.instance.create_run_for_job(
            watch.defs.resolve_job_def("mine_log"), tags=request.tags, status=dg.DagsterRunStatus.FAILURE
        )
    assert "failed 4 times today" in watch.look("catch_up").skip_message


def test_a_hole_in_the_mined_days_is_mined_and_a_changed_day_again(watch: Watch) -> None:
    watch.warm()
    assert watch.look("catch_up").skip_message == "the last run for 2026-03-22 succeeded"
    watch.app.ask(NOW - timedelta(days=5), "a late row")
    watch.app.flush()
    (request,) = watch.look("catch_up").run_requests
    assert request.partition_key == "2026-03-18"
    assert watch.run(request, "mine_log").success
    assert not watch.look("catch_up").run_requests


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("CACHEWARM_", "OPENAI_", "DAGSTER_"))}


def test_a_cursor_somebody_edited_is_begun_anew(watch: Watch) -> None:
    watch.warm()
    for name in ("hit_rate_falls", "wrong_hits", "catch_up"):
        for text in ("{", "[]", '{"asked": "soon", "episode": "{"}'):
            watch.cursors[name] = text
            assert watch.look(name).skip_message
