"""Dagster's daemon on a clock of the test.

It evaluates schedules and sensors as the real daemon does. The runs that they request are executed in this process, one
after the other, each run_key once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.test_utils import freeze_time
from dagster._utils.schedules import schedule_execution_time_iterator

from cachewarm_pipeline.definitions import definitions
from cachewarm_pipeline.settings import load_settings
from cachewarm_pipeline.workspace.workspace import Workspace
from tests.support.pipeline import QUIET, report_failure


@dataclass
class Clock:
    """A clock that the test sets."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at


def definitions_at(clock: Clock) -> dg.Definitions:
    """The definitions of the project, with the settings of the environment, on a clock."""

    @dg.resource
    def workspace(_: Any) -> Workspace:
        return Workspace(load_settings(), clock)

    return definitions(load_settings(), workspace)


def evaluate(defs: dg.Definitions, sensor: str, instance: dg.DagsterInstance, cursor: str | None, clock: Clock) -> Any:
    """Evaluates one tick of a sensor."""
    repository = defs.get_repository_def()
    with dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        repository_def=repository,
        resources={"workspace": Workspace(load_settings(), clock)},
    ) as context:
        return repository.get_sensor_def(sensor).evaluate_tick(context)


def execute(
    defs: dg.Definitions, request: dg.RunRequest, job: str, instance: dg.DagsterInstance
) -> dg.ExecuteInProcessResult:
    """Executes, in this process, a run that a sensor or schedule requested."""
    return defs.resolve_job_def(job).execute_in_process(
        run_config={**QUIET, **(request.run_config or {})},
        partition_key=request.partition_key,
        tags=request.tags,
        instance=instance,
        raise_on_error=False,
    )


@dataclass
class Started:
    """A run that a sensor or schedule started."""

    at: datetime
    job: str
    by: str
    partition: str
    success: bool
    run_id: str
    tags: dict[str, str]


@dataclass
class Daemon:
    """Each ``tick`` evaluates everything that is due at the time of the clock."""

    clock: Clock
    instance: dg.DagsterInstance
    step: timedelta = timedelta(minutes=30)
    started: list[Started] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """By sensor: the skip message of its last tick without a run."""

    def __post_init__(self) -> None:
        self.defs = definitions_at(self.clock)
        self._repository = self.defs.get_repository_def()
        self._cursors: dict[str, str | None] = {}
        self._last: dict[str, datetime] = {}
        self._keys: set[str] = set()
        self._due: dict[str, Iterator[datetime]] = {}
        self._next: dict[str, datetime] = {}
        for schedule in self._repository.schedule_defs:
            if schedule.default_status == dg.DefaultScheduleStatus.RUNNING:
                zone, cron = schedule.execution_timezone or "UTC", str(schedule.cron_schedule)
                due = schedule_execution_time_iterator(self.clock.at.timestamp(), cron, zone, ascending=True)
                self._due[schedule.name], self._next[schedule.name] = due, next(due)

    def tick(self) -> None:
        """Evaluates all schedules and sensors that are due now, and executes the runs that they request."""
        with freeze_time(self.clock.at):
            for name, due in self._due.items():
                while self._next[name] <= self.clock.at:
                    at, self._next[name] = self._next[name], next(due)
                    schedule = self._repository.get_schedule_def(name)
                    context = dg.build_schedule_context(
                        instance=self.instance, scheduled_execution_time=at, repository_def=self._repository
                    )
                    for request in schedule.evaluate_tick(context).run_requests or []:
                        self._run(request, schedule.job.name)
            for sensor in self._repository.sensor_defs:
                if sensor.default_status == dg.DefaultSensorStatus.RUNNING and sensor.name != "failed_runs":
                    self._evaluate_if_due(sensor)

    def _evaluate_if_due(self, sensor: dg.SensorDefinition) -> None:
        least = timedelta(seconds=sensor.minimum_interval_seconds or 30)
        if self.clock.at - self._last.get(sensor.name, self.clock.at - least) < least:
            return
        self._last[sensor.name] = self.clock.at
        found = evaluate(self.defs, sensor.name, self.instance, self._cursors.get(sensor.name), self.clock)
        self._cursors[sensor.name] = found.cursor
        for event in found.asset_events:
            self.instance.report_runless_asset_event(event)
        if found.skip_message:
            self.skipped[sensor.name] = found.skip_message
        for request in found.run_requests or []:
            self._run(request, request.job_name or sensor.job.name)

    def _run(self, request: dg.RunRequest, job: str) -> None:
        if request.run_key in self._keys:
            return
        if request.run_key:
            self._keys.add(request.run_key)
        result = execute(self.defs, request, job, self.instance)
        if not result.success:
            report_failure(result, self.instance, load_settings())
        by = request.tags.get("cachewarm/started_by", "")
        self.started.append(
            Started(
                self.clock.at,
                job,
                by,
                str(request.partition_key),
                result.success,
                result.run_id,
                dict(request.tags),
            )
        )


@contextmanager
def daemon(start: datetime, step: timedelta = timedelta(minutes=30)) -> Iterator[Daemon]:
    """A daemon on an instance of its own, with the settings of the environment."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Daemon(Clock(start), instance, step)
