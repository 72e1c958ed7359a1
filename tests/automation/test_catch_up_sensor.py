"""Missed days and failed runs, and what the sensors do before anything is published. Real Redis, a test clock."""

import shutil
from datetime import timedelta

import dagster as dg
import pytest

from tests.support.pipeline import environment
from tests.support.sensor_watch import DAY, NOW, Watch, own_environment
from tests.support.small_app import AGENT, USUAL
from tests.support.source_data import golden_data, write_parquet

pytest_plugins = ["tests.support.sensor_watch"]


def test_before_the_first_publish_every_sensor_reports_that_and_starts_no_run_that_publishes(watch: Watch) -> None:
    assert watch.look("hit_rate_falls").skip_message == "nothing is published yet"
    assert watch.look("load_off_peak").skip_message.startswith("CACHEWARM_PROGRESSIVE is off")
    assert "0 answers reported" in watch.look("wrong_hits").skip_message
    (mining,) = watch.look("catch_up").run_requests
    assert mining.job_name == "mine_log"
    assert mining.tags["dagster/asset_partition_range_start"] == "2026-03-17"  # the log's first day
    assert mining.tags["dagster/asset_partition_range_end"] == "2026-03-21"  # yesterday is left to the daily run


def test_an_unreachable_redis_is_a_skip_reason_and_not_a_fault(watch: Watch) -> None:
    with environment(own_environment(CACHEWARM_REDIS_URL="redis://127.0.0.1:1/0")):
        for name in ("hit_rate_falls", "wrong_hits"):
            found = watch.look(name)
            assert found.skip_message.startswith("cannot reach the Redis at redis://127.0.0.1:1/0")
            assert not found.run_requests


def test_an_edited_cursor_is_replaced(watch: Watch) -> None:
    watch.warm()
    for name in ("hit_rate_falls", "wrong_hits", "catch_up"):
        for text in ("{", "[]", '{"asked": "soon", "episode": "{"}'):
            watch.cursors[name] = text
            assert watch.look(name).skip_message


def mining_fails_all_day(watch: Watch) -> None:
    """Every mining run is requested under its own key, and fails."""
    for n in range(4):
        (request,) = watch.look("catch_up").run_requests
        assert request.run_key.endswith(f":{n}")
        watch.instance.create_run_for_job(
            watch.defs.resolve_job_def("mine_log"), tags=request.tags, status=dg.DagsterRunStatus.FAILURE
        )


def test_mining_that_keeps_failing_stops_for_the_day(watch: Watch) -> None:
    mining_fails_all_day(watch)
    assert (
        "5 days of the log without counts, 0 changed after mining; today's runs are used up (4 for missing days, "
        "1 for changed ones)" in (watch.look("catch_up").skip_message)
    )


def failed(watch: Watch, job: str, **tags: str) -> None:
    """A run of a job for DAY that failed now."""
    with watch.frozen():
        run = watch.instance.create_run_for_job(
            watch.defs.resolve_job_def(job),
            tags={"dagster/partition": DAY.isoformat(), **tags},
            status=dg.DagsterRunStatus.STARTED,
        )
        watch.instance.report_run_failed(run)


def test_a_day_that_cannot_be_mined_does_not_delay_the_retry_of_a_failed_daily_run(watch: Watch) -> None:
    mining_fails_all_day(watch)
    failed(watch, "warm_cache")
    watch.clock.at += timedelta(minutes=31)
    (again,) = watch.look("catch_up").run_requests
    assert (again.job_name, again.partition_key) == ("warm_cache", "2026-03-22")


def test_a_failed_weekly_run_is_retried_as_a_weekly_run_although_the_daily_run_published(watch: Watch) -> None:
    watch.warm()
    failed(watch, "refresh_cache")
    assert "refresh_cache for 2026-03-22 failed" in watch.look("catch_up").skip_message
    watch.clock.at += timedelta(minutes=31)
    (again,) = watch.look("catch_up").run_requests
    assert (again.job_name, again.partition_key) == ("refresh_cache", "2026-03-22")


def test_a_failed_run_is_not_retried_when_its_day_is_live_already(watch: Watch) -> None:
    watch.clock.at -= timedelta(minutes=40)
    failed(watch, "warm_cache")
    watch.clock.at += timedelta(minutes=40)
    watch.warm()
    assert not watch.look("catch_up").run_requests


def test_a_missing_day_is_mined_and_a_changed_day_is_mined_again(watch: Watch) -> None:
    watch.warm()
    assert watch.look("catch_up").skip_message == "warm_cache for 2026-03-22 succeeded"
    watch.app.ask(NOW - timedelta(days=5), "a late row")
    watch.app.flush()
    (request,) = watch.look("catch_up").run_requests
    assert request.partition_key == "2026-03-18"
    assert watch.run(request, "mine_log").success
    assert not watch.look("catch_up").run_requests


def test_reader_counts_of_days_without_a_run_are_stored_before_they_expire(watch: Watch) -> None:
    watch.warm()
    with watch.reader() as cache:
        question = watch.workspace().datasets.read("warming_plan", DAY, ["prompt"])["prompt"][0].as_py()
        assert cache.check(question, agent_type=AGENT)
    watch.clock.at += timedelta(days=3)
    (mining,) = watch.look("catch_up").run_requests
    assert (mining.job_name, watch.run(mining, "mine_log").success) == ("mine_log", True)
    (counting,) = watch.look("catch_up").run_requests
    assert counting.job_name == "store_counts"
    assert [counting.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end")] == [
        *("2026-03-23", "2026-03-24")  # the 22nd is stored, the 25th is left to the daily run
    ]
    assert watch.run(counting, "store_counts").success
    datasets = watch.workspace().datasets
    assert sum(datasets.read("entry_hits", DAY + timedelta(days=1))["hits"].to_pylist()) == 1
    assert not watch.look("catch_up").run_requests


@pytest.fixture
def golden(watch: Watch) -> Watch:
    """An application without a log, which has golden answers."""
    shutil.rmtree(watch.app.folder / "llm_query_logs")
    write_parquet(
        watch.app.folder,
        golden_data(
            *({"analysis_id": n, "agent_type": AGENT} for n in range(len(USUAL))),
            analyses=[
                {"id": n, "content_preview": prompt, "created_at": NOW - timedelta(days=5)}
                for n, prompt in enumerate(USUAL)
            ],
        ),
    )
    return watch


def test_reader_counts_are_stored_before_they_expire_without_a_log_too(golden: Watch) -> None:
    golden.warm()
    assert golden.look("catch_up").skip_message == (
        "the log has no rows yet, so there is nothing to mine; warm_cache for 2026-03-22 succeeded"
    )
    prompt = golden.workspace().datasets.read("warming_plan", DAY, ["prompt"])["prompt"][0].as_py()
    golden.ask(prompt)
    golden.clock.at += timedelta(days=3)
    (counting,) = golden.look("catch_up").run_requests
    assert (counting.job_name, golden.run(counting, "store_counts").success) == ("store_counts", True)
    stored = golden.workspace().datasets.read("entry_hits", DAY + timedelta(days=1))
    assert sum(stored["hits"].to_pylist()) == 1


def test_a_failed_run_is_retried_without_a_log_too(golden: Watch) -> None:
    failed(golden, "warm_cache")
    assert golden.look("catch_up").skip_message.startswith(
        "the log has no rows yet, so there is nothing to mine; warm_"
    )
    golden.clock.at += timedelta(minutes=31)
    (again,) = golden.look("catch_up").run_requests
    assert (again.job_name, again.partition_key) == ("warm_cache", "2026-03-22")
