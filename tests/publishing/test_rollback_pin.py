"""Rollback: switched and pinned in one step, kept alive, and no publish replaces it until it is released."""

import json
from datetime import timedelta
from time import perf_counter
from typing import Any

import numpy as np
import pytest
import redis
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.generation_record import PINNED_FIELD, GenerationRecord, Pin, State
from cachewarm_client.keys import generations_key, lock_key, whole_key

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.generation_lifecycle import PinnedError
from cachewarm_pipeline.publishing.redis.publish_lock import LostLockError
from cachewarm_pipeline.publishing.redis.publish_request import PublishResult
from tests.client.test_readers_during_publish import Readers
from tests.support.cache_crash import ENTRIES, publish_all, roll_back, run_in_a_process
from tests.support.cache_fakes import DAY, NOW, TrigramEmbedder, entry_keys, fill, numbered_plan, publish, state

pytest_plugins = ["tests.support.cache_fixtures"]


@pytest.fixture
def two(store: CacheStore) -> tuple[str, str]:
    """Ids of the previous generation and the live one."""
    first, second = (publish(store, numbered_plan(20, version=v)).generation for v in ("v1", "v2"))
    return first, second


def serving(store: CacheStore) -> tuple[str | None, str | None]:
    """The generations that stock readers and our readers open."""
    live = store.live()
    return store.index.alias_target(), live and live.id


def test_a_rollback_pins_the_restored_generation_with_the_time_and_reason(
    store: CacheStore, two: tuple[str, str], client: redis.Redis
) -> None:
    record = store.rollback(NOW, "wrong answers about keys, call +1 415 555 2671")
    assert serving(store) == (two[0], two[0])
    assert record.state == State.LIVE
    pin = store.pinned()
    assert pin == Pin(two[0], NOW, "wrong answers about keys, call [phone]")
    stored: Any = client.hget(generations_key(store.name), PINNED_FIELD)
    assert json.loads(stored) == {"generation": two[0], "since": NOW.isoformat(), "why": pin.why}
    assert [r.id for r in store.generations()] == [two[0], two[1]]


def test_a_second_rollback_undoes_the_first_and_moves_the_pin(store: CacheStore, two: tuple[str, str]) -> None:
    store.rollback(NOW)
    assert store.rollback(NOW + timedelta(hours=1), "it was right", again=True).id == two[1]
    assert store.pinned() == Pin(two[1], NOW + timedelta(hours=1), "it was right")
    assert serving(store) == (two[1], two[1])


def test_nothing_else_is_published_while_a_generation_is_pinned_and_the_result_has_the_reason(
    store: CacheStore, two: tuple[str, str], client: redis.Redis
) -> None:
    store.rollback(NOW, "bad answers")
    before = state(client, store.name)
    newer = numbered_plan(20, version="v3")
    for done in (publish(store, newer), publish(store, newer, allow_rollback=True), fill(store, newer, 5)):
        assert (done.published, done.generation, done.written) == (False, two[0], 0)
        assert done.why_not == (
            f"pinned to generation {two[0]} since 2026-11-22T02:00:00+00:00 (bad answers): "
            "`cachewarm release` lets new ones be published"
        )
    assert state(client, store.name) == before


def test_publishing_the_pinned_plan_itself_is_unchanged_and_not_refused(
    store: CacheStore, two: tuple[str, str]
) -> None:
    store.rollback(NOW)
    again = publish(store, numbered_plan(20, version="v1"))
    assert (again.published, again.unchanged, again.generation) == (True, True, two[0])


def test_a_release_lets_the_next_publish_through(store: CacheStore, two: tuple[str, str]) -> None:
    assert store.release(NOW) is None
    store.rollback(NOW, "bad answers")
    assert store.release(NOW + timedelta(hours=2)) == Pin(two[0], NOW, "bad answers")
    assert store.pinned() is None
    assert serving(store) == (two[0], two[0])
    third = publish(store, numbered_plan(20, version="v3"))
    assert third.published
    assert serving(store) == (third.generation, third.generation)


def test_a_damaged_pin_stops_publishing_until_it_is_released(
    store: CacheStore, two: tuple[str, str], client: redis.Redis
) -> None:
    client.hset(generations_key(store.name), PINNED_FIELD, "{")
    with pytest.raises(CacheError, match=r"pin in Redis is damaged.*cachewarm release"):
        publish(store, numbered_plan(20, version="v3"))
    assert serving(store) == (two[1], two[1])
    assert store.release(NOW) is not None
    assert publish(store, numbered_plan(20, version="v3")).published


# Against a publish in progress


def test_a_rollback_does_not_wait_for_a_publish_which_then_publishes_nothing_and_reports_why(
    store: CacheStore, two: tuple[str, str], client: redis.Redis
) -> None:
    lines: list[str] = []

    def meanwhile(line: str) -> None:
        lines.append(line)
        if len(lines) == 1:
            CacheStore(client, store.name).rollback(NOW, "now")

    done = publish(store, numbered_plan(20, version="v3"), progress=meanwhile)
    assert lines[0].startswith("loaded 20 entries")
    assert (done.published, done.generation) == (False, two[0])
    assert "(now)" in done.why_not
    assert serving(store) == (two[0], two[0])
    assert not client.exists(lock_key(store.name))


def test_a_pin_that_is_set_just_before_the_switch_still_stops_it(
    store: CacheStore, two: tuple[str, str], client: redis.Redis
) -> None:
    previous = next(r for r in store.generations() if r.id == two[0])
    with store.lock(NOW) as lock:
        client.hset(generations_key(store.name), PINNED_FIELD, Pin(two[1], NOW).to_json())
        with pytest.raises(PinnedError, match=f"pinned to generation {two[1]}"):
            store.lifecycle.switch(lock, previous, NOW)
    assert serving(store) == (two[1], two[1])


def test_a_run_whose_lock_a_rollback_took_writes_no_record_any_more(
    store: CacheStore, two: tuple[str, str], client: redis.Redis
) -> None:
    with store.lock(NOW) as lock:
        before = store.generations()
        with CacheStore(client, store.name).lock(NOW, by_force=True):
            for change in (
                lambda: store.lifecycle.begin(lock, before[0]),
                lambda: store.lifecycle.prune(lock, keep=1),
                lock.renew,
            ):
                with pytest.raises(LostLockError, match="lost the publishing lock"):
                    change()
        assert store.generations() == before


def test_a_rollback_works_on_a_full_server(store: CacheStore, two: tuple[str, str], client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)
    try:
        assert store.rollback(NOW, "full").id == two[0]
    finally:
        client.config_set("maxmemory", 0)
    assert serving(store) == (two[0], two[0])
    assert store.pinned() == Pin(two[0], NOW, "full")


# A pinned generation does not expire


def ttls(client: redis.Redis, store: CacheStore, generation: str) -> list[int]:
    return [client.ttl(key) for key in entry_keys(client, store.name, generation)]


def aged(client: redis.Redis, store: CacheStore, generation: str) -> None:
    for key in entry_keys(client, store.name, generation):
        client.expire(key, 1000)
    for number in range(3):
        client.expire(whole_key(store.name, generation, f"agent{number}"), 990)


def assert_young(client: redis.Redis, store: CacheStore, generation: str) -> None:
    left = ttls(client, store, generation)
    assert len(left) == 20
    assert min(left) > 6 * 86_400
    first = min(client.pexpiretime(key) for key in entry_keys(client, store.name, generation))
    marks = [client.pexpiretime(whole_key(store.name, generation, f"agent{n}")) for n in range(3)]
    assert min(marks) <= first
    assert min(marks) > first - 10_000


def test_a_rollback_restarts_the_ttls_after_the_switch(
    store: CacheStore, two: tuple[str, str], client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(client, store, two[0])
    renew, seen = store.rollbacks.renew_ttls, []

    def renewing(*arguments: Any) -> None:
        seen.append(serving(store))
        renew(*arguments)

    monkeypatch.setattr(store.rollbacks, "renew_ttls", renewing)
    store.rollback(NOW + timedelta(days=5))
    assert seen == [(two[0], two[0])]
    assert_young(client, store, two[0])
    live = store.live()
    assert live is not None
    assert live.renewed_at == NOW + timedelta(days=5)


def test_a_rollback_stands_when_the_ttls_cannot_be_restarted(
    store: CacheStore, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lost(*_: Any) -> None:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(store.rollbacks, "renew_ttls", lost)
    assert store.rollback(NOW).id == two[0]
    assert serving(store) == (two[0], two[0])
    assert "rolled back, but: lost Redis" in caplog.text


def test_a_publish_that_finds_a_pin_keeps_the_pinned_entries_alive_past_half_of_their_life(
    store: CacheStore, two: tuple[str, str], client: redis.Redis
) -> None:
    store.rollback(NOW)
    aged(client, store, two[0])
    early = publish(store, numbered_plan(20, version="v3"), now=NOW + timedelta(days=3))
    assert not early.published
    assert max(ttls(client, store, two[0])) <= 1000
    assert not fill(store, numbered_plan(20, version="v3"), 0, now=NOW + timedelta(days=4)).published
    assert max(ttls(client, store, two[0])) <= 1000  # an allowance of 0 writes nothing
    assert not publish(store, numbered_plan(20, version="v3"), now=NOW + timedelta(days=4)).published
    assert_young(client, store, two[0])
    assert not store.keep_pinned(NOW + timedelta(days=5))


def test_an_agent_type_that_lost_an_entry_is_not_whole_again_after_a_rollback(
    store: CacheStore, two: tuple[str, str], client: redis.Redis
) -> None:
    client.delete(whole_key(store.name, two[0], "agent1"))  # as after the first of its entries expired
    store.rollback(NOW)
    marks = [client.exists(whole_key(store.name, two[0], f"agent{n}")) for n in range(3)]
    assert marks == [1, 0, 1]


def test_the_pinned_generation_is_never_pruned(store: CacheStore, two: tuple[str, str], client: redis.Redis) -> None:
    client.hset(generations_key(store.name), PINNED_FIELD, Pin(two[0], NOW).to_json())
    with store.lock(NOW) as lock:
        assert store.lifecycle.prune(lock, keep=1) == ()
        store.release(NOW)
        assert store.lifecycle.prune(lock, keep=1) == (two[0],)


# Size and crashes


def test_ten_thousand_entries_are_rolled_back_within_a_second_and_no_reader_misses_meanwhile(
    redis_url: str, client: redis.Redis, cache_name: str
) -> None:
    store, entries = CacheStore(client, cache_name), 10_000
    vectors = np.random.default_rng(0).normal(size=(entries, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for version in (0, 1):
        publish(store, numbered_plan(entries, version=f"v{version}"), vectors=vectors, as_of=DAY)
    switched: list[float] = []
    renew = store.rollbacks.renew_ttls

    def renewing(*arguments: Any) -> None:
        switched.append(perf_counter())
        renew(*arguments)

    store.rollbacks.renew_ttls = renewing  # type: ignore[method-assign]
    with WarmedSemanticCache(cache_name, redis_url, embedder=TrigramEmbedder()) as cache:

        def check(number: int) -> Any:
            return cache.check(f"how do I do thing number {number} of the list?", agent_type=f"agent{number % 3}")

        readers = Readers([check])
        readers.newest = 1  # before the first lookup
        with readers:
            readers.wait_for(20)
            started = perf_counter()
            store.rollback(NOW)
            readers.wait_for(20)
    assert switched[0] - started < 1.0
    assert (readers.errors, readers.misses, readers.wrong) == ([], [], [])
    assert min(ttls(client, store, store.generations()[0].id)) > 6 * 86_400


def test_a_rollback_killed_at_any_point_either_has_its_pin_or_did_not_happen(
    redis_url: str, client: redis.Redis, cache_name: str
) -> None:
    store = CacheStore(client, cache_name)
    first, second = (publish(store, numbered_plan(ENTRIES, version=v)).generation for v in ("v1", "v2"))
    sends, undone, done = 0, 0, 0
    while True:
        sends += 1
        finished = run_in_a_process(client, roll_back, redis_url, cache_name, "killed", sends)
        pin = store.pinned()
        if pin is None:
            assert serving(store) == (second, second)
            undone += 1
        else:
            assert serving(store) == (first, first)
            assert pin.generation == first
            done += 1
            assert not publish(store, numbered_plan(ENTRIES, version="v3")).published
            store.rollback(NOW, again=True)
            store.release(NOW)
        if finished:
            break
    assert undone > 3
    assert done > 3


def test_a_publish_killed_while_a_generation_is_pinned_changes_nothing(
    redis_url: str, client: redis.Redis, cache_name: str
) -> None:
    store = CacheStore(client, cache_name)
    for version in ("v1", "v2"):
        publish(store, numbered_plan(ENTRIES, version=version))
    store.rollback(NOW)
    before = state(client, cache_name)
    assert run_in_a_process(client, publish_all, redis_url, cache_name, "v3", 1000)
    assert state(client, cache_name) == before


def test_a_pin_is_not_read_as_a_generation() -> None:
    pin = Pin("g", NOW, 'so "called"')
    assert Pin.from_json(pin.to_json()) == pin
    with pytest.raises(CacheError, match="damaged"):
        GenerationRecord.from_json(pin.to_json())
    assert PublishResult("g", 1, 0, False, (), 0.0).published
