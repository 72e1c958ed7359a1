"""An unattended week on a test clock: daily runs, a hit rate that falls on day 4, a Redis outage on day 5, a bad entry
on day 6, the change to summer time on day 7. Real Redis, real Dagster, real embedder."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.generation_record import State
from pytest_httpserver import HTTPServer

from cachewarm_pipeline.automation import wrong_hit_sensor as wrong_hits
from cachewarm_pipeline.embedded.redis_server import ensure_redis, stop_redis
from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.connect import connect
from tests.support.daemon import Daemon, Started, daemon
from tests.support.pipeline import environment
from tests.support.small_app import AGENT, USUAL, App, settings_of

VIENNA = ZoneInfo("Europe/Vienna")
MONDAY = datetime(2026, 3, 23, tzinfo=UTC)
STEP = timedelta(hours=1)
NEW = [f"Why does the {thing} fail after the update?" for thing in ("build", "login", "search", "backup", "upload")]
BAD = USUAL[0]


class Watcher:
    """Checks repeatedly, while the daemon works, that the live generation is verified and whole."""

    def __init__(self, redis_url: str) -> None:
        self._store = CacheStore(connect(redis_url), "week")
        self._at_work, self._ended = threading.Event(), threading.Event()
        self.looks, self.faults = 0, list[str]()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    @contextmanager
    def watching(self) -> Iterator[None]:
        self._at_work.set()
        try:
            yield
        finally:
            self._at_work.clear()

    def end(self) -> None:
        self._ended.set()
        self._at_work.set()
        self._thread.join(60)

    def _watch(self) -> None:
        while self._at_work.wait() and not self._ended.is_set():
            try:
                live = self._store.live()
                found = len(self._store.entry_ids(live.id)) if live else 0
                after = self._store.live()
            except CacheError:
                continue  # the outage
            if live and after and after.id == live.id:
                self.looks += 1
                if live.state != State.LIVE or found != live.entries:
                    self.faults.append(f"{live.id} is {live.state} with {found} of {live.entries} entries")
            self._ended.wait(0.02)


@dataclass
class Week:
    daemon: Daemon
    app: App
    home: Path
    redis_url: str
    watcher: Watcher
    alerts: HTTPServer
    up: bool = True
    lives: list[tuple[datetime, str]] = field(default_factory=list)
    """Time and id of the live generation, whenever it changed."""

    def store(self) -> CacheStore:
        return CacheStore(connect(self.redis_url), "week")

    def advance(self, to: datetime, traffic: list[str]) -> None:
        """In each step: run what is due, send the traffic of the step, and check the cache."""
        while self.daemon.clock.at < to:
            with self.watcher.watching():
                self.daemon.tick()
            at = self.daemon.clock.at
            cache = self._reader()
            for n in range(24):
                question = traffic[n % len(traffic)]
                self.app.ask(at + timedelta(seconds=n), question, cache)
            if cache:
                cache.disconnect()
                self._look(at)
            self.app.flush()
            self.daemon.clock.at += STEP

    def _reader(self) -> WarmedSemanticCache | None:
        try:
            return WarmedSemanticCache("week", self.redis_url, clock=self.daemon.clock)
        except CacheError:
            assert not self.up or not self.lives, "the cache cannot be opened though Redis is up"
            return None

    def _look(self, at: datetime) -> None:
        """Stock readers and our readers are served by the same verified, whole generation."""
        store = self.store()
        live = store.live()
        assert live is not None
        assert store.index.alias_target() == live.id
        assert len(store.entry_ids(live.id)) == live.entries
        if not self.lives or self.lives[-1][1] != live.id:
            self.lives.append((at, live.id))

    def outage(self, until: datetime, traffic: list[str]) -> None:
        stop_redis(self.home)
        self.up = False
        self.advance(until, traffic)
        assert ensure_redis(self.home) == self.redis_url
        self.up = True

    def runs(self, by: str) -> list[Started]:
        return [run for run in self.daemon.started if run.by == by]


@pytest.fixture
def week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Week]:
    monkeypatch.setattr(wrong_hits, "LOG_INTERVAL", timedelta(hours=4))  # no answer is rejected in this log
    home = tmp_path / "home"
    home.mkdir()
    url = ensure_redis(home)
    app = App(tmp_path / "source")
    app.history(MONDAY, 6)
    settings = settings_of(
        home,
        app.folder,
        url,
        "week",
        CACHEWARM_TIME_ZONE="Europe/Vienna",
        CACHEWARM_HIT_RATE_FLOOR="0.5",
        CACHEWARM_HIT_RATE_MIN_LOOKUPS="40",
    )
    watcher = Watcher(url)
    try:
        with HTTPServer(host="127.0.0.1", port=0) as alerts:
            alerts.expect_request("/alerts", method="POST").respond_with_data("ok")
            settings["CACHEWARM_ALERT_WEBHOOK"] = alerts.url_for("/alerts")
            with environment(settings), daemon(MONDAY, STEP) as own:
                yield Week(own, app, home, url, watcher, alerts)
    finally:
        watcher.end()
        stop_redis(home)


def test_a_week_runs_unattended_and_never_serves_an_unverified_generation(week: Week) -> None:
    app = week.app
    week.advance(MONDAY + timedelta(days=3), USUAL)  # Monday to Wednesday
    assert [run.partition for run in week.runs("daily schedule")] == ["2026-03-22", "2026-03-23", "2026-03-24"]
    assert [(run.job, run.success) for run in week.runs("catch up")] == [("mine_log", True)]
    assert "lookups, floor 50.0%" in week.daemon.skipped["hit_rate_falls"]

    # Thursday: from nine on, other questions are four fifths of the traffic.
    thursday = MONDAY + timedelta(days=3)
    week.advance(thursday + timedelta(hours=9), USUAL)
    shifted = [*USUAL[:1], *NEW[:4]]
    week.advance(thursday + timedelta(days=1), shifted)
    assert week.runs("hit rate"), week.daemon.skipped
    (rewarm,) = week.runs("hit rate")
    assert rewarm.success
    assert rewarm.partition == "2026-03-26"  # today, so that today's questions are warmed
    assert thursday + timedelta(hours=10) < rewarm.at < thursday + timedelta(hours=13)
    assert "floor 50.0%, low for" in rewarm.tags["cachewarm/why"]
    with WarmedSemanticCache("week", week.redis_url, clock=week.daemon.clock) as cache:
        assert all(cache.check(question, agent_type=AGENT) for question in NEW[:4])

    # Friday: Redis is down during the daily run, 02:00 in Vienna.
    friday = MONDAY + timedelta(days=4)
    before = week.lives[-1][1]
    week.outage(friday + timedelta(hours=4), USUAL)
    failed = week.runs("daily schedule")[-1]
    assert (failed.partition, failed.success) == ("2026-03-26", False)
    assert week.store().live().id == before  # type: ignore[union-attr]
    week.advance(friday + timedelta(days=1), USUAL)
    again = [run for run in week.runs("catch up") if run.job == "warm_cache"]
    assert [(run.partition, run.success) for run in again] == [("2026-03-26", True)]

    # Saturday: two people report an answer.
    saturday = MONDAY + timedelta(days=5)
    week.advance(saturday + timedelta(hours=12), USUAL)
    with WarmedSemanticCache("week", week.redis_url, clock=week.daemon.clock) as cache:
        (hit,) = cache.check(BAD, agent_type=AGENT)
        assert cache.report_wrong_hit(hit, reporter="anna")
        week.daemon.tick()
        assert not week.runs("wrong hits")  # one person may be mistaken
        assert cache.report_wrong_hit(hit, reporter="ben")
        week.daemon.clock.at += timedelta(minutes=1)
        week.daemon.tick()
        (withdrawal,) = week.runs("wrong hits")
        assert withdrawal.success
        assert cache.check(BAD, agent_type=AGENT) == []
    week.daemon.clock.at += timedelta(minutes=59)

    # Sunday: 02:00 does not exist in Vienna.
    sunday = MONDAY + timedelta(days=6)
    week.advance(sunday + timedelta(days=1), USUAL)
    daily, weekly = week.runs("daily schedule"), week.runs("weekly schedule")
    assert [run.partition for run in daily] == [str(MONDAY.date() + timedelta(days=n)) for n in range(-1, 6)]
    assert [run.at.astimezone(VIENNA).hour for run in daily] == [2, 2, 2, 2, 2, 2, 3]
    assert [(run.partition, run.success) for run in weekly] == [("2026-03-28", True)]
    with WarmedSemanticCache("week", week.redis_url, clock=week.daemon.clock) as cache:
        assert cache.check(BAD, agent_type=AGENT) == []  # excluded from the later plan too
        assert cache.check(USUAL[1], agent_type=AGENT)

    assert app.wrong == []
    assert week.watcher.faults == []
    assert week.watcher.looks > 100
    (alert,) = [json.loads(request.data) for request, _ in week.alerts.log]
    assert (alert["job"], alert["partition"]) == ("warm_cache", "2026-03-26")
    assert "Redis" in alert["reason"]
    started = Counter((run.job, run.by, run.success) for run in week.daemon.started)
    assert started == {
        ("mine_log", "catch up", True): 1,
        ("warm_cache", "daily schedule", True): 6,
        ("warm_cache", "daily schedule", False): 1,
        ("warm_cache", "catch up", True): 1,
        ("warm_cache", "hit rate", True): 1,
        ("withdraw_wrong_hits", "wrong hits", True): 1,
        ("refresh_cache", "weekly schedule", True): 1,
    }
    assert len({live for _, live in week.lives}) == len(week.lives)  # none became live again
