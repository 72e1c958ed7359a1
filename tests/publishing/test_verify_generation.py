"""Nothing is published with a bad plan, a failed verification, a Redis that refuses, or a lost lock."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import redis
from cachewarm_client import redis_index as cache_index
from cachewarm_client.generation_record import State
from cachewarm_client.keys import key_prefix, lock_key

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis import generation_lifecycle, verify_generation
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.publish_lock import LEASE_SECONDS
from tests.support.cache_fakes import NOW, TrigramEmbedder, keys, make_plan, numbered_plan, publish, state, writes

pytest_plugins = ["tests.support.cache_fixtures"]


# What must not be published


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda plan, vectors: (plan.slice(0, 0), vectors[:0]), "no entries"),
        (lambda plan, vectors: (plan, vectors[:-1]), "vectors of shape"),
        (lambda plan, vectors: (plan, vectors * 2), "unit length"),
        (lambda plan, vectors: (plan, np.where(np.arange(20)[:, None] == 7, np.nan, vectors)), "unit length"),
        (lambda plan, vectors: (plan.take([0, 0, 2]), vectors[:3]), "twice"),
        (lambda plan, vectors: (make_plan([{"prompt": "p", "agent_type": "a\x1fb"}]), vectors[:1]), "agent_type"),
        (lambda plan, vectors: (make_plan([{"prompt": "p", "agent_type": " a"}]), vectors[:1]), "agent_type"),
        (lambda plan, vectors: (make_plan([{"prompt": "p", "agent_type": "é" * 2049}]), vectors[:1]), "agent_type"),
    ],
)
def test_a_plan_that_cannot_be_served_is_refused_before_anything_is_changed(
    store: CacheStore, client: redis.Redis, damage: Any, message: str
) -> None:
    publish(store, numbered_plan(20))
    before, changes = state(client, store.name), writes(client)
    plan, vectors = damage(numbered_plan(20), TrigramEmbedder().embed([str(n) for n in range(20)]))
    with pytest.raises(CacheError, match=message):
        publish(store, plan, vectors=vectors)
    assert state(client, store.name) == before
    assert writes(client) == changes


def load_badly(damage: Any) -> Any:
    """A loader that writes something else than the plan, as a fault of the network or a bug would."""
    load = generation_lifecycle.load_entries

    def loader(client: Any, name: str, record: Any, plan: Any, vectors: Any, before_batch: Any) -> int:
        written = load(client, name, record, plan, vectors, before_batch)
        damage(client, key_prefix(name, record.id) + plan["entry_id"][0].as_py())
        return written

    return loader


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda client, key: client.delete(key), "19 of 20 planned"),
        (lambda client, key: client.hset(key, "prompt_vector", b"short"), "19 of 20 planned.*blob size 5"),
        (lambda client, key: client.hset(key, "prompt_vector", np.eye(1, 64, dtype="f4").tobytes()), "finds"),
        (lambda client, key: client.hset(key, "agent_type", "somebody else"), "(finds|does not find)"),
        (lambda client, key: client.persist(key), "has no TTL"),
    ],
)
def test_a_generation_that_does_not_verify_is_removed_and_the_live_one_stays(
    store: CacheStore, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, damage: Any, message: str
) -> None:
    publish(store, numbered_plan(20, version="v1"))
    before = state(client, store.name)
    monkeypatch.setattr(generation_lifecycle, "load_entries", load_badly(damage))
    with pytest.raises(CacheError, match=message):
        publish(store, numbered_plan(20, version="v2"))
    assert state(client, store.name) == before


def test_a_generation_may_be_loaded_in_parts_and_a_part_twice(store: CacheStore) -> None:
    first = publish(store, numbered_plan(20, version="v1"))
    plan = numbered_plan(90, version="v2")
    vectors = TrigramEmbedder().embed(plan["prompt"].to_pylist())
    live = store.live()
    assert live is not None
    record = replace(live, id="in-parts", state=State.BUILDING, entries=90)
    with store.lock(NOW) as lock:
        store.lifecycle.begin(lock, record)
        store.lifecycle.load(lock, record, plan.slice(0, 50), vectors[:50])
    with store.lock(NOW) as lock:
        assert store.lifecycle.prune(lock, spare=record.id) == ()
        with pytest.raises(CacheError, match="50 of 90 planned"):
            store.lifecycle.verify(lock, record, plan, vectors)
        store.lifecycle.load(lock, record, plan.slice(30, 60), vectors[30:])
        assert store.index.alias_target() == first.generation
        store.lifecycle.switch(lock, store.lifecycle.verify(lock, record, plan, vectors), NOW)
    assert store.index.alias_target() == "in-parts"
    assert store.entry_ids("in-parts") == set(plan["entry_id"].to_pylist())


def test_entries_with_the_same_vector_verify(store: CacheStore) -> None:
    prompts = [f"twin {n}" for n in range(40)]
    vectors = np.tile(TrigramEmbedder().embed(["twin"]), (40, 1))
    assert publish(store, make_plan([{"prompt": p} for p in prompts]), vectors=vectors).written == 40


def test_a_generation_that_was_not_verified_cannot_be_switched_to(store: CacheStore) -> None:
    publish(store, numbered_plan(20))
    live = store.live()
    assert live is not None
    with store.lock(NOW) as lock, pytest.raises(CacheError, match="not verified"):
        store.lifecycle.switch(lock, replace(live, id="other", state=State.BUILDING), NOW)


def test_an_index_that_never_finishes_scanning_stops_at_the_deadline(
    client: redis.Redis, cache_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    store = CacheStore(client, cache_name, clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    monkeypatch.setattr(verify_generation, "INDEX_POLL_SECONDS", 60.0)
    busy = cache_index.IndexInfo("any", 0, True, "")
    monkeypatch.setattr(store.index, "info", lambda index: None if index == cache_name else busy)
    with pytest.raises(CacheError, match="not finished indexing"):
        publish(store, numbered_plan(20))
    assert keys(client, f"warm:{cache_name}:") == set()
    assert now[0] == pytest.approx(verify_generation.INDEXING_SECONDS, abs=61)


# Redis that refuses


def test_a_full_redis_refuses_the_load_and_nothing_is_left_of_it(store: CacheStore, client: redis.Redis) -> None:
    publish(store, numbered_plan(20, version="v1"))
    before = state(client, store.name)
    info: Any = client.info("memory")
    client.config_set("maxmemory", int(info["used_memory"]) + 1_500_000)
    try:
        with pytest.raises(CacheError, match=r"Redis refused \d+ of \d+ writes while loading: .*maxmemory"):
            publish(store, numbered_plan(6000, version="v2"))
    finally:
        client.config_set("maxmemory", 0)
    assert state(client, store.name) == before


def test_a_read_only_redis_is_reported_and_nothing_changes(store: CacheStore, client: redis.Redis) -> None:
    publish(store, numbered_plan(20, version="v1"))
    before = state(client, store.name)
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        with pytest.raises(CacheError, match=r"Redis refused while taking the publishing lock.*read only"):
            publish(store, numbered_plan(20, version="v2"))
    finally:
        client.execute_command("REPLICAOF", "NO", "ONE")
    assert state(client, store.name) == before


# The lock


def test_a_second_publisher_gets_the_start_time_of_the_first(store: CacheStore, client: redis.Redis) -> None:
    with store.lock(NOW) as lock:
        assert 0 < client.pttl(lock_key(store.name)) <= LEASE_SECONDS * 1000
        with pytest.raises(CacheError, match=r"another run is publishing.*since 2026-11-22T02:00:00"):
            publish(CacheStore(client, store.name, sleep=lambda _: lock.renew()), numbered_plan(20))
        with pytest.raises(CacheError, match="another run is publishing"):
            CacheStore(client, store.name, sleep=lambda _: lock.renew()).drop_filling(NOW)
    assert publish(store, numbered_plan(20)).written == 20
    assert not client.exists(lock_key(store.name))


def test_a_publisher_that_lost_its_lock_switches_nothing_and_leaves_the_new_lock_alone(
    store: CacheStore, client: redis.Redis
) -> None:
    publish(store, numbered_plan(20, version="v1"))
    live = store.live()

    def stolen(line: str) -> None:
        client.set(lock_key(store.name), "somebody else's")

    with pytest.raises(CacheError, match="lost the publishing lock"):
        publish(store, numbered_plan(20, version="v2"), progress=stolen)
    assert store.live() == live
    assert client.get(lock_key(store.name)) == b"somebody else's"


def test_a_lock_lost_just_before_the_switch_still_stops_it(store: CacheStore, client: redis.Redis) -> None:
    first, second = (publish(store, numbered_plan(20, version=v)).generation for v in ("v1", "v2"))
    previous = next(r for r in store.generations() if r.id == first)
    with store.lock(NOW) as lock:
        client.delete(lock_key(store.name))
        with pytest.raises(CacheError, match="lost the publishing lock"):
            store.lifecycle.switch(lock, previous, NOW)
    live = store.live()
    assert live is not None
    assert (live.id, store.index.alias_target()) == (second, second)
