"""Progressive loading without a person: over several nights and restarts, never in peak hours, and live only when it is
whole. Real Redis, real Dagster, a test clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cachewarm_pipeline.automation import wrong_hit_sensor as wrong_hits
from cachewarm_pipeline.embedded.redis_server import ensure_redis, stop_redis
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.connect import connect
from tests.support.daemon import Daemon, daemon
from tests.support.pipeline import QUIET, environment
from tests.support.small_app import USUAL, App, settings_of

START = datetime(2026, 3, 23, 1, tzinfo=UTC)
NIGHT = "22:00-22:06"
"""So short that nine entries, at one a minute and in ticks of two minutes, take two nights."""


@dataclass
class Nights:
    daemon: Daemon
    home: Path
    redis_url: str
    environment: dict[str, str]

    def store(self) -> CacheStore:
        return CacheStore(connect(self.redis_url), "nights")

    def until(self, hour: int, minute: int, step: timedelta) -> None:
        """Tick until the next such time of day, without a tick at that time."""
        clock = self.daemon.clock
        to = clock.at.replace(hour=hour, minute=minute)
        to += timedelta(days=0 if to > clock.at else 1)
        while clock.at < to:
            self.daemon.tick()
            clock.at = min(clock.at + step, to)

    def dump(self) -> dict[bytes, Any]:
        """Everything that is in Redis."""
        client: Any = connect(self.redis_url)
        return {key: client.dump(key) for key in client.scan_iter()}

    def loaded(self) -> int:
        """Entries of the generation that is being filled."""
        filling = self.store().filling()
        return filling.loaded if filling else 0

    def loads(self) -> list[Any]:
        return [run for run in self.daemon.started if run.by == "off-peak loading"]


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nights]:
    monkeypatch.setattr(wrong_hits, "LOG_INTERVAL", timedelta(hours=4))  # no answer is rejected in this log
    home = tmp_path / "home"
    home.mkdir()
    url = ensure_redis(home)
    app = App(tmp_path / "source")
    app.history(START.replace(hour=0), 6)
    settings = settings_of(
        home,
        app.folder,
        url,
        "nights",
        CACHEWARM_PROGRESSIVE="true",
        CACHEWARM_OFF_PEAK=NIGHT,
        CACHEWARM_ENTRIES_PER_MINUTE="1",
        CACHEWARM_PROGRESSIVE_MINUTES="2",
        CACHEWARM_WEEKLY_SCHEDULE="false",
    )
    try:
        with environment(settings), daemon(START) as own:
            yield Nights(own, home, url, settings)
    finally:
        stop_redis(home)


def test_a_generation_is_filled_over_nights_and_restarts_and_goes_live_only_when_whole(nights: Nights) -> None:
    daemon = nights.daemon
    nights.until(22, 0, timedelta(hours=1))  # the daily run at 02:00 is in peak hours here
    (planned,) = [run for run in daemon.started if run.by == "daily schedule"]
    assert planned.success
    assert nights.dump() == {}  # nothing is written in peak hours
    assert "the window (22:00 to 22:06 UTC) opens at 2026-03-23 22:00 UTC" in daemon.skipped["load_off_peak"]

    nights.until(22, 3, timedelta(minutes=1))
    assert nights.loaded() == 4
    stop_redis(nights.home)
    assert ensure_redis(nights.home) == nights.redis_url  # a restart in the middle of the night
    nights.until(22, 6, timedelta(minutes=1))
    assert nights.loaded() == 6
    assert nights.store().live() is None
    assert [run.success for run in nights.loads()] == [True] * 3
    assert nights.loads()[1].tags["cachewarm/why"].startswith("2 of 9 entries of 20260322-")

    before = nights.dump()
    nights.until(22, 0, timedelta(hours=1))  # the next plan is made during the day
    assert nights.dump() == before

    nights.until(22, 3, timedelta(minutes=1))
    live = nights.store().live()
    assert live is not None
    assert live.as_of.isoformat() == "2026-03-22"
    assert len(nights.store().entry_ids(live.id)) == len(USUAL)
    assert [run.partition for run in nights.loads()] == ["2026-03-22"] * 5

    nights.until(22, 6, timedelta(minutes=1))  # the rest of the night is used for the plan that waited
    filling = nights.store().filling()
    assert filling is not None
    assert (filling.as_of.isoformat(), filling.loaded) == ("2026-03-23", 2)
    nights.until(22, 0, timedelta(hours=1))
    nights.until(22, 6, timedelta(minutes=1))
    assert nights.store().filling().loaded == 8  # type: ignore[union-attr]
    assert nights.store().live() == live


def test_a_day_that_is_planned_again_while_it_is_being_filled_starts_over(nights: Nights) -> None:
    nights.until(22, 0, timedelta(hours=1))
    nights.until(22, 3, timedelta(minutes=1))
    first = nights.store().filling()
    assert first is not None
    with environment({**nights.environment, "CACHEWARM_BUDGET": "5"}):  # another plan of the same day
        result = nights.daemon.defs.resolve_job_def("warm_cache").execute_in_process(
            run_config=QUIET, partition_key="2026-03-22", instance=nights.daemon.instance
        )
        assert result.success
        second = nights.store().filling()
        assert second is not None
        assert (second.entries, second.id != first.id) == (5, True)
        nights.until(22, 6, timedelta(minutes=1))
        nights.until(22, 0, timedelta(hours=2))
        nights.until(22, 6, timedelta(minutes=1))
    live = nights.store().live()
    assert live is not None
    assert live.entries == 5


def test_a_generation_whose_plan_may_not_be_published_any_more_makes_room(nights: Nights) -> None:
    nights.until(22, 0, timedelta(hours=1))
    nights.until(22, 3, timedelta(minutes=1))
    assert nights.loaded() == 4
    # Stricter than the limit of the gates, so their verdicts are not valid any more.
    with environment({**nights.environment, "CACHEWARM_MAX_WRONG_HIT_RATE": "0.01"}):
        nights.until(22, 6, timedelta(minutes=1))
    assert [run.success for run in nights.loads()] == [True, True, False]
    assert nights.store().filling() is None
    assert nights.dump() == {}


def test_loading_at_once_overrides_the_window(nights: Nights) -> None:
    nights.until(3, 0, timedelta(hours=1))
    assert nights.store().live() is None
    with environment({**nights.environment, "CACHEWARM_PROGRESSIVE": "false"}):
        result = nights.daemon.defs.resolve_job_def("load_cache").execute_in_process(
            run_config=QUIET, partition_key="2026-03-22", instance=nights.daemon.instance
        )
    assert result.success
    assert nights.store().live().as_of.isoformat() == "2026-03-22"  # type: ignore[union-attr]
    nights.until(22, 0, timedelta(hours=1))
    nights.until(22, 2, timedelta(minutes=1))
    assert nights.daemon.skipped["load_off_peak"] == "no plan is waiting to be loaded"
