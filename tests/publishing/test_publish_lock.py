"""The lock of another run: a run waits for it to end when its owner was killed, and stops when its owner is alive."""

from collections.abc import Callable

import pytest
import redis
from cachewarm_client.keys import lock_key

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from tests.support.cache_fakes import NOW, numbered_plan, publish

pytest_plugins = ["tests.support.cache_fixtures"]


class Waiting:
    """A clock that only moves while the test sleeps; ``each`` is called at each sleep."""

    def __init__(self, each: Callable[[], object] = lambda: None) -> None:
        self.seconds = 0.0
        self.each = each

    def clock(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.each()


def test_a_run_waits_for_the_lock_of_a_killed_run_to_end_and_reports_it(store: CacheStore, client: redis.Redis) -> None:
    client.set(lock_key(store.name), "a dead run's", px=60_000)

    def ends() -> None:
        if waiting.seconds > 59 and client.get(lock_key(store.name)) == b"a dead run's":
            client.delete(lock_key(store.name))

    waiting = Waiting(ends)
    lines: list[str] = []
    patient = CacheStore(client, store.name, clock=waiting.clock, sleep=waiting.sleep)
    with patient.lock(NOW, lines.append):
        assert 59 < waiting.seconds < 61
    assert publish(patient, numbered_plan(20)).published
    assert "waiting up to 60 s" in lines[0]


def test_a_run_waits_one_lease_and_no_longer_for_a_lock_that_never_ends(store: CacheStore, client: redis.Redis) -> None:
    client.set(lock_key(store.name), "for ever")
    waiting = Waiting()
    patient = CacheStore(client, store.name, clock=waiting.clock, sleep=waiting.sleep, lease_seconds=5)
    with pytest.raises(CacheError, match="another run is publishing"):
        publish(patient, numbered_plan(20))
    assert 5 <= waiting.seconds < 6
    assert client.get(lock_key(store.name)) == b"for ever"


def test_a_run_does_not_wait_for_a_run_that_renews_its_lock(store: CacheStore, client: redis.Redis) -> None:
    with store.lock(NOW) as lock:
        waiting = Waiting(lock.renew)
        other = CacheStore(client, store.name, clock=waiting.clock, sleep=waiting.sleep)
        with pytest.raises(CacheError, match="another run is publishing"):
            publish(other, numbered_plan(20))
        assert waiting.seconds < 5
