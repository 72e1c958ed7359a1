"""Backfills: a range of past days is one run, however it is started, with the same result as runs of single days."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.support.pipeline import LAST_DAY, environment, home_with_shared_vectors, merge_vectors
from tests.support.source_data import DAY, at, log_row, write_parquet

DAYS = [LAST_DAY - timedelta(days=back) for back in (2, 1, 0)]
MINED = [LAST_DAY - timedelta(days=back) for back in range(7, -1, -1)]
ROWS = 80
"""Rows of the log per day."""

ONE_DAY = {"CACHEWARM_LOOKBACK_DAYS": "1", "CACHEWARM_JUDGE": "exact"}
CHANGES = {"seconds", "unchanged", "written", "ttls_renewed", "generations_removed"}
"""Metadata that depends on the clock or on the earlier content of Redis; everything else depends on the day alone."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from cachewarm_pipeline.embedded.sample import ensure_sample

    folder = tmp_path_factory.mktemp("sample")
    return ensure_sample(folder, seed=7, last_day=LAST_DAY, rows_per_day=ROWS, days=len(MINED))


def values_of(home: Path, source: Path, redis_url: str, name: str) -> dict[str, str]:
    return {
        "CACHEWARM_HOME": str(home),
        "CACHEWARM_SOURCE_URL": str(source),
        "CACHEWARM_REDIS_URL": redis_url,
        "CACHEWARM_NAME": name,
        "CACHEWARM_LOOKBACK_DAYS": "5",
        "CACHEWARM_REPLAY_DAYS": "2",
    }


def run(
    job: str, first: date, last: date, instance: dg.DagsterInstance, only: Sequence[str] | None = None
) -> dg.ExecuteInProcessResult:
    """Runs the job for a day, or for a range of days as one run. ``only``: runs only these of its assets."""
    from cachewarm_pipeline.definitions import defs

    span = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
    which: dict[str, Any] = {"partition_key": str(first)} if first == last else {"tags": span}
    assets = [dg.AssetKey(name) for name in only] if only else None
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance, raise_on_error=False, asset_selection=assets, **which
    )


def metadata_by_day(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dict[str, Any]]:
    """Metadata by (asset, day), without what changes from run to run."""
    return {
        (m.asset_key.to_user_string(), m.partition or ""): {
            name: value.value for name, value in m.metadata.items() if name not in CHANGES
        }
        for m in (e.materialization for e in result.get_asset_materialization_events())
    }


def files_of(home: Path) -> dict[str, tuple[int, bytes]]:
    """Every dataset file with its modification time. Not the stores of what was computed once for each text: how they
    are cut into files depends on the order of the work."""
    return {
        str(file.relative_to(home)): (file.stat().st_mtime_ns, file.read_bytes())
        for folder in (home / "data").iterdir()
        if not folder.is_symlink() and folder.name != "answer_words"
        for file in folder.rglob("*.parquet")
    }


@dataclass
class Home:
    """One home after its runs."""

    values: dict[str, str]
    path: Path
    metadata: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    files: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    rerun: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    generations: list[str] = field(default_factory=list)
    checks: list[Any] = field(default_factory=list)
    """Records of the results of `quality_threshold`."""


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory, source: Path, redis_url: str) -> Home:
    """Three days, one run each, then the last day again. Earlier runs have embedded all texts."""
    home = home_with_shared_vectors(tmp_path_factory)
    done = Home(values_of(home, source, redis_url, "t-backfill-single"), home)
    with environment(done.values), dg.instance_for_test() as instance:
        from cachewarm_pipeline.workspace.workspace import Workspace

        assert run("mine_log", MINED[0], MINED[-1], instance).success
        for day in DAYS:
            result = run("warm_cache", day, day, instance)
            assert result.success
            done.metadata |= metadata_by_day(result)
            merge_vectors(done.values)
        live = Workspace().cache.live()
        assert live
        done.generations, done.files = [live.id], files_of(home)
        assert run("warm_cache", DAYS[-1], DAYS[-1], instance).success
        live = Workspace().cache.live()
        assert live
        done.generations.append(live.id)
        done.rerun = files_of(home)
    return done


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, source: Path, redis_url: str, single: Home) -> Home:
    """The same three days as one run, in a separate home."""
    home = home_with_shared_vectors(tmp_path_factory)
    done = Home(values_of(home, source, redis_url, "t-backfill-range"), home)
    with environment(done.values), dg.instance_for_test() as instance:
        assert run("mine_log", MINED[0], MINED[-1], instance).success
        result = run("warm_cache", DAYS[0], DAYS[-1], instance)
        assert result.success
        done.metadata, done.files = metadata_by_day(result), files_of(home)
        key = dg.AssetCheckKey(dg.AssetKey("warming_plan"), "quality_threshold")
        done.checks = list(instance.event_log_storage.get_asset_check_execution_history(key, limit=20))
    return done


def test_a_range_shows_for_each_day_what_a_run_of_that_day_shows(single: Home, whole: Home) -> None:
    embedded = {"embedded", "reused", "tokens", "usd"}  # the first home paid for the texts of both
    assert set(single.metadata) == set(whole.metadata)
    for (asset, day), alone in single.metadata.items():
        in_range = whole.metadata[asset, day]
        if asset == "cache_entries":
            continue
        assert {k: v for k, v in in_range.items() if k not in embedded} == {
            k: v for k, v in alone.items() if k not in embedded
        }, (asset, day)
    assert len({whole.metadata["replay", str(day)]["hits_and_wrong_hits_by_day"] for day in DAYS}) == 3


def test_a_range_writes_the_bytes_that_single_runs_write(single: Home, whole: Home) -> None:
    assert {name: data for name, (_, data) in whole.files.items()} == {
        name: data for name, (_, data) in single.files.items()
    }


def test_running_a_day_again_rewrites_nothing_and_keeps_the_generation(single: Home) -> None:
    assert single.rerun == single.files
    assert single.generations[0] == single.generations[1]


def test_a_range_publishes_its_last_day_and_the_other_days_say_why_they_are_not(whole: Home) -> None:
    shown = [whole.metadata["cache_entries", str(day)] for day in DAYS]
    assert [page["published"] for page in shown] == [False, False, True]
    assert "last day" in shown[0]["why_not"]


def test_a_past_day_replaces_a_newer_generation_only_when_forced(single: Home) -> None:
    with environment(single.values), dg.instance_for_test() as instance:
        from cachewarm_pipeline.workspace.workspace import Workspace

        cache = Workspace().cache
        before = cache.live()
        result = run("warm_cache", DAYS[0], DAYS[0], instance, ["cache_entries"])
        assert result.success
        page = metadata_by_day(result)["cache_entries", str(DAYS[0])]
        assert page["published"] is False
        assert "newer" in page["why_not"]
        after = cache.live()
        assert before
        assert after
        assert (after.id, after.as_of) == (before.id, DAYS[-1])
    with environment({**single.values, "CACHEWARM_ALLOW_ROLLBACK": "true"}), dg.instance_for_test() as instance:
        assert run("warm_cache", DAYS[0], DAYS[0], instance, ["cache_entries"]).success
        after = Workspace().cache.live()
        assert after
        assert after.as_of == DAYS[0]


def test_every_day_of_a_range_has_its_own_check_result_and_none_stays_planned(whole: Home) -> None:
    by_day = {record.partition: record for record in whole.checks}
    assert set(by_day) == {None, *(str(day) for day in DAYS)}  # None: of the run, which decides whether it goes on
    assert {record.status.value for record in whole.checks} == {"SUCCEEDED"}
    sentences = [evaluation_of(by_day[str(day)]).description or "" for day in DAYS]
    assert all("checked: all reach the quality floor" in sentence for sentence in sentences)


def evaluation_of(record: Any) -> dg.AssetCheckEvaluation:
    found: dg.AssetCheckEvaluation = record.event.dagster_event.event_specific_data
    return found


@pytest.fixture
def thin_and_full(tmp_path: Path, redis_url: str, cache_name: str) -> Iterator[tuple[Path, date, date]]:
    """A log of two days: the first has a single query, the second has one that is asked often enough."""
    thin, full = DAY, DAY + timedelta(days=1)
    rows = [log_row("Asked once?", created_at=at(12))]
    rows += [log_row("Asked often?", created_at=at(24 + hour), user_id=f"u{hour}") for hour in range(1, 8)]
    folder = Path(write_parquet(tmp_path / "log", {"llm_query_logs": rows}))
    values = {**values_of(tmp_path / "home", folder, redis_url, cache_name), **ONE_DAY}
    with environment(values):
        yield folder, thin, full


def quality(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    """The verdict on the whole run; verdicts on single days are events in the log."""
    return next(
        e for e in result.get_asset_check_evaluations() if e.check_name == "quality_threshold" and e.partition is None
    )


def test_a_bad_day_in_the_past_is_named_and_does_not_stop_the_rest(thin_and_full: tuple[Path, date, date]) -> None:
    from cachewarm_pipeline.workspace.workspace import Workspace

    _, thin, full = thin_and_full
    with dg.instance_for_test() as instance:
        assert run("mine_log", thin, full, instance).success
        result = run("warm_cache", thin, full, instance)
    assert result.success
    found = quality(result)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (found.description or "").startswith(f"1 of 2 days failed: {thin}: The plan is empty")
    assert "what_to_do" in found.metadata
    live = Workspace().cache.live()
    assert live
    assert live.as_of == full


def test_a_range_whose_last_day_fails_publishes_nothing_and_names_the_day(
    tmp_path: Path, redis_url: str, cache_name: str
) -> None:
    from cachewarm_pipeline.workspace.workspace import Workspace

    full, thin = DAY, DAY + timedelta(days=1)
    rows = [log_row("Asked often?", created_at=at(hour), user_id=f"u{hour}") for hour in range(1, 8)]
    rows.append(log_row("Asked once?", created_at=at(36)))
    folder = Path(write_parquet(tmp_path / "log", {"llm_query_logs": rows}))
    values = {**values_of(tmp_path / "home", folder, redis_url, cache_name), **ONE_DAY}
    with environment(values), dg.instance_for_test() as instance:
        assert run("mine_log", full, thin, instance).success
        result = run("warm_cache", full, thin, instance)
        assert not result.success
        assert Workspace().cache.live() is None
    found = quality(result)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert f"{thin}: The plan is empty" in (found.description or "")


def test_the_dagster_command_mines_a_range_as_one_run(source: Path, tmp_path: Path) -> None:
    from cachewarm_pipeline.cli.dagster_runs import prepare_dagster_home
    from cachewarm_pipeline.workspace.workspace import Workspace

    values = {"CACHEWARM_HOME": str(tmp_path / "home"), "CACHEWARM_SOURCE_URL": str(source)}
    with environment(values):
        import os

        prepare_dagster_home(Workspace().settings)
        command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "cachewarm_pipeline.definitions"]
        span = f"{MINED[0]}...{MINED[-1]}"
        done = subprocess.run(
            [*command, "--select", "daily_query_counts", "--partition-range", span],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        with dg.DagsterInstance.get() as instance:
            assert_one_run_mined(instance, MINED)


def test_the_daemon_mines_a_range_as_one_run(source: Path, tmp_path: Path) -> None:
    from dagster._core.execution.backfill import PartitionBackfill

    values = {"CACHEWARM_HOME": str(tmp_path / "home"), "CACHEWARM_SOURCE_URL": str(source)}
    with environment(values), in_daemon() as (instance, daemon):
        graph = daemon.create_request_context().asset_graph
        # As the UI asks for it: these days of that asset.
        instance.add_backfill(
            PartitionBackfill.from_asset_partitions(
                backfill_id="past",
                asset_graph=graph,
                partition_names=[str(day) for day in MINED],
                asset_selection=[dg.AssetKey("daily_query_counts")],
                backfill_timestamp=time.time(),
                tags={},
                dynamic_partitions_store=instance,
                all_partitions=False,
                title=None,
                description=None,
                run_config=None,
            )
        )
        carry_out(daemon, instance)
        assert_one_run_mined(instance, MINED)


def test_the_daemon_runs_the_whole_job_over_exactly_these_days_as_one_run(
    thin_and_full: tuple[Path, date, date],
) -> None:
    """As from the job's page: a backfill of selected assets would also take later days that read these days."""
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

    from cachewarm_pipeline.workspace.workspace import Workspace

    _, thin, full = thin_and_full
    with in_daemon() as (instance, daemon):
        location = daemon.create_request_context().get_code_location("cachewarm")
        job = location.get_repository("__repository__").get_partition_set("warm_cache_partition_set")
        instance.add_backfill(
            PartitionBackfill(
                backfill_id="past",
                partition_set_origin=job.get_remote_origin(),
                status=BulkActionStatus.REQUESTED,
                partition_names=[str(thin), str(full)],
                from_failure=False,
                reexecution_steps=None,
                tags={},
                backfill_timestamp=time.time(),
            )
        )
        carry_out(daemon, instance)
        assert instance.get_runs_count() == 1
        plans = instance.fetch_materializations(dg.AssetKey("warming_plan"), limit=9).records
        assert {record.partition_key for record in plans} == {str(thin), str(full)}
    live = Workspace().cache.live()
    assert live
    assert live.as_of == full


@contextmanager
def in_daemon() -> Iterator[tuple[dg.DagsterInstance, Any]]:
    """A new instance, and the context of its daemon: the definitions run in a separate code server."""
    from dagster._core.test_utils import create_test_daemon_workspace_context
    from dagster._core.workspace.load_target import ModuleTarget

    target = ModuleTarget("cachewarm_pipeline.definitions", None, working_directory=None, location_name="cachewarm")
    with dg.instance_for_test() as instance, create_test_daemon_workspace_context(target, instance) as daemon:
        yield instance, daemon


def carry_out(daemon: Any, instance: dg.DagsterInstance) -> None:
    """Ticks the daemon until the backfill "past" is done. Fails if the backfill fails."""
    from dagster._core.execution.backfill import BulkActionStatus
    from dagster._daemon.backfill import execute_backfill_iteration
    from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

    queue, logger = QueuedRunCoordinatorDaemon(interval_seconds=1), logging.getLogger("backfill")
    going_on = {BulkActionStatus.REQUESTED, BulkActionStatus.COMPLETED}
    deadline = time.monotonic() + 120
    while (backfill := instance.get_backfill("past")) and backfill.status in going_on:
        assert time.monotonic() < deadline
        assert not [error for error in execute_backfill_iteration(daemon, logger) if error]
        assert not [error for error in queue.run_iteration(daemon) if error]
        time.sleep(0.2)  # the run is a process of its own: nothing here tells when it ends
    assert backfill
    assert backfill.status == BulkActionStatus.COMPLETED_SUCCESS


def assert_one_run_mined(instance: dg.DagsterInstance, days: list[date]) -> None:
    """There is one run, and each day has its dataset and its own metadata."""
    from cachewarm_pipeline.workspace.workspace import Workspace

    assert instance.get_runs_count() == 1
    records = instance.fetch_materializations(dg.AssetKey("daily_query_counts"), limit=100).records
    rows = {r.partition_key: r.asset_materialization.metadata["dagster/row_count"].value for r in records}  # type: ignore[union-attr]
    datasets = Workspace().datasets
    assert rows == {str(day): datasets.read("daily_query_counts", day).num_rows for day in days}
    (seen,) = instance.fetch_observations(dg.AssetKey("llm_query_logs"), limit=9).records
    observation = seen.event_log_entry.asset_observation
    assert observation
    assert observation.metadata["read_for"].value == f"{days[0]} to {days[-1]}"
    # 200 rows a day; the sample puts no date, or an absurd one, on a few of them.
    assert 0.95 * ROWS * len(days) < observation.metadata["dagster/row_count"].value <= ROWS * len(days)
