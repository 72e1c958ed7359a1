"""A generation that is loaded progressively: it survives any stop, and is published whole or not at all."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
import redis
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.generation_record import State
from cachewarm_client.keys import generations_key, index_name, lock_key, whole_key
from cachewarm_client.match_rules import MatchRules

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis import verify_generation
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.publish_request import PublishResult
from cachewarm_pipeline.settings.off_peak_window import allowance
from tests.publishing.test_generations_crash import assert_clean, served_versions
from tests.support.cache_crash import ENTRIES, TICK, fill_all, run_in_a_process
from tests.support.cache_fakes import (
    DAY,
    NOW,
    TrigramEmbedder,
    doze,
    entry_keys,
    fill,
    indexes,
    keys,
    numbered_plan,
    publish,
    state,
    writes,
)

pytest_plugins = ["tests.support.cache_fixtures"]

NEXT = DAY + timedelta(days=1)


def some(store: CacheStore, allowed: Any = 40, version: str = "v2", **changes: Any) -> PublishResult:
    return fill(store, numbered_plan(100, version=version), allowed, as_of=NEXT, **changes)


def filling_id(store: CacheStore) -> str:
    found = store.filling()
    assert found is not None
    return found.id


# Tick by tick


def test_each_tick_loads_its_allowance_and_the_last_one_publishes(store: CacheStore, client: redis.Redis) -> None:
    first = publish(store, numbered_plan(100, version="v1"))
    asked: list[datetime | None] = []

    def allowed(last: datetime | None) -> int:
        asked.append(last)
        return 40

    for tick, loaded in enumerate((40, 80)):
        done = some(store, allowed, now=NOW + timedelta(minutes=5 * tick))
        assert (done.published, done.written, done.loaded, done.planned) == (False, 40, loaded, 100)
        assert done.why_not == f"loading: {loaded} of 100 entries"
        assert done.generation == first.generation
        assert store.index.alias_target() == first.generation
        record = store.filling()
        assert record is not None
        assert (record.state, record.loaded, record.entries) == (State.FILLING, loaded, 100)
        assert len(entry_keys(client, store.name, record.id)) == loaded
    later = NOW + timedelta(minutes=10)
    done = some(CacheStore(client, store.name), allowed, now=later)
    assert asked == [None, NOW, NOW + timedelta(minutes=5)]
    assert (done.published, done.written, done.loaded, done.planned, done.unchanged) == (True, 20, 100, 100, False)
    live = store.live()
    assert live is not None
    assert (live.id, live.state, live.renewed_at, live.filled_at) == (done.generation, State.LIVE, later, later)
    assert store.filling() is None
    assert store.entry_ids(live.id) == set(numbered_plan(100)["entry_id"].to_pylist())
    again = some(store, allowed, now=later)
    assert (again.unchanged, again.loaded, again.planned) == (True, 100, 100)
    assert store.rollback(later).id == first.generation


def test_a_first_generation_can_be_filled_where_nothing_is_live(store: CacheStore) -> None:
    done = some(store)
    assert (done.generation, done.entries, done.loaded) == ("", 0, 40)
    assert store.index.alias_target() is None
    assert some(store, 60).published


def test_an_allowance_of_zero_writes_nothing_but_the_lock(store: CacheStore, client: redis.Redis) -> None:
    publish(store, numbered_plan(100, version="v1"))
    for loaded in (0, 40):
        before = state(client, store.name)
        changes = writes(client)
        done = some(store, 0, now=NOW + timedelta(days=5))
        assert (done.published, done.loaded, done.why_not) == (False, loaded, f"loading: {loaded} of 100 entries")
        assert state(client, store.name) == before
        assert writes(client) - changes == 2  # the lock is taken and released
        some(store)


def test_a_whole_generation_is_not_published_in_peak_hours(store: CacheStore, monkeypatch: pytest.MonkeyPatch) -> None:
    some(store, 60)
    check = store.lifecycle.check_servable

    def lost(*_: Any) -> None:
        raise CacheError("Redis is too busy")

    monkeypatch.setattr(store.lifecycle, "check_servable", lost)
    with pytest.raises(CacheError, match="too busy"):
        some(store, 60)
    monkeypatch.setattr(store.lifecycle, "check_servable", check)
    assert some(store, 0).why_not == "loading: 100 of 100 entries"
    done = some(store, 1)
    assert (done.published, done.written) == (True, 0)


def test_the_rate_over_a_whole_window_is_the_configured_one(store: CacheStore) -> None:
    written = 0
    for minute in range(30):
        now = NOW + timedelta(minutes=minute)
        done = some(store, lambda last, now=now: allowance(3, 5, last, now), now=now)
        written += done.written
        assert written <= 3 * (minute + 5)
        if done.published:
            break
    assert done.published
    assert minute == 29  # 15 at once, then 3 a minute


# Between other generations


def test_another_plan_waits_until_the_one_that_is_being_filled_is_finished(
    store: CacheStore, client: redis.Redis
) -> None:
    some(store)
    before = state(client, store.name)
    newer = fill(store, numbered_plan(100, version="v3"), 40, as_of=NEXT + timedelta(days=1))
    assert newer.why_not == (f"generation {filling_id(store)} is still being filled (40 of 100); it is finished first")
    assert state(client, store.name) == before
    assert some(store, 60).published
    assert fill(store, numbered_plan(100, version="v3"), 40, as_of=NEXT + timedelta(days=1)).loaded == 40


def test_a_generation_whose_plan_is_gone_can_be_dropped(store: CacheStore, client: redis.Redis) -> None:
    live = publish(store, numbered_plan(100, version="v1")).generation
    some(store)
    dropped = filling_id(store)
    assert store.drop_filling(NOW) == dropped
    assert store.drop_filling(NOW) is None
    assert indexes(client, store.name) == {live}
    assert keys(client, f"warm:{store.name}:{dropped}:") == set()
    assert fill(store, numbered_plan(100, version="v3"), 40, as_of=NEXT).loaded == 40


@pytest.mark.parametrize(("days", "superseded"), [(-1, False), (0, True), (1, True)])
def test_a_publish_at_once_of_the_same_or_a_newer_day_supersedes_what_is_being_filled(
    store: CacheStore, client: redis.Redis, days: int, superseded: bool
) -> None:
    publish(store, numbered_plan(100, version="v0"), as_of=DAY - timedelta(days=1))
    some(store)
    old = filling_id(store)
    done = publish(store, numbered_plan(100, version="v3"), as_of=NEXT + timedelta(days=days))
    assert done.published
    assert (old in done.removed) == superseded
    assert (store.filling() is None) == superseded
    assert (old in indexes(client, store.name)) != superseded
    if not superseded:
        assert some(store, 60).published


def test_the_same_plan_can_be_published_at_once_while_it_is_being_filled(store: CacheStore) -> None:
    some(store)
    old = filling_id(store)
    done = publish(store, numbered_plan(100, version="v2"), as_of=NEXT)
    assert done.published
    assert done.removed == (old,)
    assert store.filling() is None


def test_a_superseded_generation_that_a_killed_publish_left_is_removed_by_an_unchanged_publish(
    store: CacheStore, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    some(store)
    old = filling_id(store)
    with monkeypatch.context() as killed:
        killed.setattr(store.publisher, "_prune_after_switch", lambda *_: ())
        publish(store, numbered_plan(100, version="v3"), as_of=NEXT)
    assert filling_id(store) == old
    done = publish(store, numbered_plan(100, version="v3"), as_of=NEXT)
    assert (done.unchanged, done.removed) == (True, (old,))


def test_cleaning_up_after_killed_runs_spares_what_is_being_filled(store: CacheStore, client: redis.Redis) -> None:
    some(store)
    index = index_name(store.name, "of-a-dead-run")
    client.execute_command("FT.CREATE", index, "SCHEMA", "x", "NUMERIC")
    assert some(store).loaded == 80
    assert indexes(client, store.name) == {filling_id(store)}


def test_a_rollback_stops_a_fill_and_its_entries_wait_for_the_release(store: CacheStore, client: redis.Redis) -> None:
    first = publish(store, numbered_plan(100, version="v0")).generation
    publish(store, numbered_plan(100, version="v1"))
    some(store, 99)

    def meanwhile(line: str) -> None:
        if line.startswith("loaded all"):
            CacheStore(client, store.name).rollback(NOW)

    done = some(store, 99, progress=meanwhile)
    assert (done.published, done.generation) == (False, first)
    assert "pinned" in done.why_not
    assert some(store, 99).why_not == done.why_not
    record = store.filling()
    assert record is not None
    assert record.loaded == 100
    store.release(NOW)
    done = some(store, 99)
    assert (done.published, done.written) == (True, 0)


def test_an_older_day_is_not_filled_over_a_newer_live_one(store: CacheStore, client: redis.Redis) -> None:
    publish(store, numbered_plan(100, version="v1"), as_of=NEXT + timedelta(days=2))
    before = state(client, store.name)
    done = some(store)
    assert "is newer" in done.why_not
    assert state(client, store.name) == before


# Entries that expire meanwhile


def test_all_ttls_start_when_the_generation_is_published(store: CacheStore, client: redis.Redis) -> None:
    some(store)
    generation = filling_id(store)
    for key in entry_keys(client, store.name, generation):
        client.expire(key, 500)
    some(store)
    assert client.exists(*(whole_key(store.name, generation, f"agent{n}") for n in range(3))) == 0
    assert some(store).published
    left = [client.ttl(key) for key in entry_keys(client, store.name, generation)]
    assert len(left) == 100
    assert min(left) > 6 * 86_400
    assert client.exists(*(whole_key(store.name, generation, f"agent{n}") for n in range(3))) == 3


def test_entries_that_expired_meanwhile_are_loaded_again_within_the_allowance(
    store: CacheStore, client: redis.Redis
) -> None:
    some(store)
    some(store)
    client.delete(*sorted(entry_keys(client, store.name, filling_id(store)))[:50])
    done = some(store)  # 20 that were never loaded, and 20 of the 50
    assert (done.published, done.written, done.loaded) == (False, 40, 70)
    assert done.why_not == "loading: 70 of 100 entries"
    done = some(store, 29)
    assert (done.published, done.written, done.loaded) == (False, 29, 99)
    done = some(store)
    assert (done.published, done.written, done.entries) == (True, 1, 100)
    assert len(store.entry_ids(done.generation)) == 100


# Faults


def test_a_generation_that_is_not_what_was_planned_is_removed_and_started_over(
    store: CacheStore, client: redis.Redis
) -> None:
    live = publish(store, numbered_plan(100, version="v1")).generation
    some(store)
    bad = sorted(entry_keys(client, store.name, filling_id(store)))[0]
    client.hset(bad, "prompt_vector", b"short")
    some(store)
    with pytest.raises(CacheError, match="99 of 100 planned"):
        some(store)
    assert store.filling() is None
    assert indexes(client, store.name) == {live}
    assert store.index.alias_target() == live
    assert some(store, 100).published


def test_loaded_entries_stay_when_redis_is_lost_during_verification(
    store: CacheStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    some(store, 60)

    def lost(*_: Any) -> None:
        raise redis.ConnectionError("gone")

    with monkeypatch.context() as broken:
        broken.setattr(verify_generation, "check_count", lost)
        with pytest.raises(CacheError, match="lost Redis while verifying"):
            some(store, 60)
    record = store.filling()
    assert record is not None
    assert record.loaded == 100
    assert some(store, 60).written == 0


def test_a_missing_index_is_created_again(store: CacheStore, client: redis.Redis) -> None:
    some(store)
    client.execute_command("FT.DROPINDEX", index_name(store.name, filling_id(store)))
    some(store)
    assert some(store).published


@pytest.mark.parametrize(
    "damage", [lambda plan, vectors: (plan, vectors * 2), lambda plan, vectors: (plan.slice(0, 0), vectors[:0])]
)
def test_a_plan_that_cannot_be_served_is_refused_before_anything_is_changed(
    store: CacheStore, client: redis.Redis, damage: Callable[[Any, np.ndarray], tuple[Any, np.ndarray]]
) -> None:
    plan = numbered_plan(20)
    plan, vectors = damage(plan, TrigramEmbedder().embed(plan["prompt"].to_pylist()))
    changes = writes(client)
    with pytest.raises(CacheError):
        store.publish_some(
            plan,
            vectors,
            allowance=lambda _: 5,
            as_of=DAY,
            plan_hash="0",
            embedder=TrigramEmbedder().info,
            rules=MatchRules.exact_only(),
            ttl_days=7.0,
            ttl_jitter=0.1,
            now=NOW,
        )
    assert writes(client) == changes


def test_a_fill_killed_at_any_point_goes_on_and_is_published_only_when_it_is_whole(
    redis_url: str, client: redis.Redis, cache_name: str
) -> None:
    store = CacheStore(client, cache_name, sleep=doze)
    publish(store, numbered_plan(ENTRIES, version="v0"))
    publish(store, numbered_plan(ENTRIES, version="v1"))
    version, sends, went_on, killed_after_switch = 1, 0, 0, 0
    with WarmedSemanticCache(cache_name, redis_url, embedder=TrigramEmbedder()) as reader:
        while True:
            sends += 1
            finished = run_in_a_process(client, fill_all, redis_url, cache_name, f"v{version + 1}", sends)
            (serving,) = served_versions(reader)
            assert serving == f"v{version + 1}" if finished else serving in (f"v{version}", f"v{version + 1}")
            killed_after_switch += not finished and serving != f"v{version}"
            version += 1
            assert [r.state for r in store.generations()].count(State.FILLING) <= 1
            loaded = found.loaded if (found := store.filling()) else 0
            went_on += bool(loaded)
            while not finished:
                done = fill(store, numbered_plan(ENTRIES, version=f"v{version}"), TICK)
                assert done.written <= TICK
                assert done.published == (done.loaded == done.planned)
                (hit,) = reader.check("how do I do thing number 7 of the list?", agent_type="agent1")
                assert hit["response"] == f"v{version}: thing 7" if done.published else f"{serving}: thing 7"
                if done.published:
                    break
            assert served_versions(reader) == {f"v{version}"}
            publish(store, numbered_plan(ENTRIES, version=f"v{version}"))  # removes what a kill after the switch left
            assert_clean(client, store)
            if finished:
                break
    assert sends > 30
    assert went_on > 15
    assert killed_after_switch >= 1


def test_a_tick_is_refused_while_another_run_has_the_lock(store: CacheStore, client: redis.Redis) -> None:
    with store.lock(NOW) as lock:
        patient = CacheStore(client, store.name, sleep=lambda _: lock.renew())
        with pytest.raises(CacheError, match="another run is publishing"):
            some(patient)
    assert not client.exists(lock_key(store.name))
    assert not client.exists(generations_key(store.name))
