"""Sensors as the daemon evaluates them, one tick at a time, over a small application with a real Redis and a clock.

Test modules load the fixture with ``pytest_plugins = ["tests.support.sensor_watch"]``.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from cachewarm_client.cache import WarmedSemanticCache
from dagster._core.test_utils import freeze_time

from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.connect import connect
from cachewarm_pipeline.settings import load_settings
from cachewarm_pipeline.workspace.workspace import Workspace
from tests.support.daemon import Clock, definitions_at, evaluate, execute
from tests.support.pipeline import QUIET, environment
from tests.support.small_app import AGENT, App, settings_of

DAY = date(2026, 3, 22)
NOW = datetime(2026, 3, 23, 9, tzinfo=UTC)


def own_environment(**changed: str) -> dict[str, str]:
    """The environment variables of the test, with changes."""
    ours = ("CACHEWARM_", "OPENAI_", "DAGSTER_")
    return {**{name: value for name, value in os.environ.items() if name.startswith(ours)}, **changed}


@dataclass
class Watch:
    """Evaluates single sensors as the daemon does."""

    instance: dg.DagsterInstance
    clock: Clock
    app: App
    redis_url: str
    name: str

    def __post_init__(self) -> None:
        self.defs = definitions_at(self.clock)
        self.cursors: dict[str, str | None] = {}

    def workspace(self) -> Workspace:
        return Workspace(load_settings(), self.clock)

    def store(self) -> CacheStore:
        return CacheStore(connect(self.redis_url), self.name)

    def frozen(self) -> Any:
        """Sets Dagster's clock to that of the test."""
        return freeze_time(self.clock.at)

    def act(self, name: str) -> None:
        """Evaluates a tick and executes the runs that it requests."""
        for request in self.look(name).run_requests or []:
            sensor = self.defs.get_repository_def().get_sensor_def(name)
            assert self.run(request, request.job_name or sensor.job.name).success

    def report(self, question: str, *reporters: str) -> None:
        with self.reader() as cache:
            (hit,) = cache.check(question, agent_type=AGENT)
            for reporter in reporters:
                assert cache.report_wrong_hit(hit, reporter=reporter)

    def warm(self, day: date = DAY, published: bool = True) -> None:
        """Does what the daily run does. ``published``: whether the plan must be live afterwards."""
        for job, tags in (("mine_log", self.span(day)), ("warm_cache", {})):
            result = self.defs.resolve_job_def(job).execute_in_process(
                run_config=QUIET,
                instance=self.instance,
                tags=tags,
                partition_key=None if tags else day.isoformat(),
            )
            assert result.success
        live = self.store().live()
        assert (live is not None and live.as_of == day) is published

    @staticmethod
    def span(day: date) -> dict[str, str]:
        return {
            "dagster/asset_partition_range_start": str(day - timedelta(days=5)),
            "dagster/asset_partition_range_end": str(day - timedelta(days=1)),
        }

    def look(self, name: str) -> Any:
        found = evaluate(self.defs, name, self.instance, self.cursors.get(name), self.clock)
        self.cursors[name] = found.cursor
        return found

    def run(self, request: dg.RunRequest, job: str) -> dg.ExecuteInProcessResult:
        return execute(self.defs, request, job, self.instance)

    def reader(self) -> WarmedSemanticCache:
        return WarmedSemanticCache(self.name, self.redis_url, clock=self.clock)

    def ask(self, *questions: str) -> None:
        with self.reader() as cache:
            for question in questions:
                cache.check(question, agent_type=AGENT)


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Path:
    """The datasets after DAY was warmed from the log with which a watch starts."""
    folder = tmp_path_factory.mktemp("planned")
    with watching(folder, redis_url, "t-planned") as watch:
        watch.warm()
    return folder / "home" / "data"


@pytest.fixture
def watch(tmp_path: Path, redis_url: str, cache_name: str) -> Iterator[Watch]:
    with watching(tmp_path, redis_url, cache_name) as watch:
        yield watch


@pytest.fixture
def served(watch: Watch, planned: Path) -> None:
    """The state after `watch.warm()`: a run publishes the plan that was made from the same log."""
    shutil.copytree(planned, Path(load_settings().home) / "data")
    load = watch.defs.resolve_job_def("load_cache")
    assert load.execute_in_process(run_config=QUIET, instance=watch.instance, partition_key=str(DAY)).success
    live = watch.store().live()
    assert live is not None
    assert live.as_of == DAY


@contextmanager
def watching(folder: Path, redis_url: str, name: str) -> Iterator[Watch]:
    """A watch over an application without a cache that has six days of log."""
    (folder / "home").mkdir()
    app = App(folder / "source")
    app.history(NOW.replace(hour=0), 6)
    settings = settings_of(
        folder / "home",
        app.folder,
        redis_url,
        name,
        CACHEWARM_HIT_RATE_MIN_LOOKUPS="10",
        CACHEWARM_HIT_RATE_LOW_MINUTES="0",
    )
    with environment(settings), dg.DagsterInstance.ephemeral() as instance:
        yield Watch(instance, Clock(NOW), app, redis_url, name)
