"""Generations on a real Redis: what is built, what is verified, what is switched and what is never touched."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redisvl.extensions.cache.llm import SemanticCache
from redisvl.query.filter import Tag

from cachewarm_pipeline.core import search
from cachewarm_pipeline.core.errors import CacheError, ConfigurationError
from cachewarm_pipeline.core.generation import generations_key, index_name, key_prefix, lock_key, ttl_seconds
from cachewarm_pipeline.core.match import MatchRules
from cachewarm_pipeline.core.records import State
from cachewarm_pipeline.resources import cache_index, cache_store, cache_verify
from cachewarm_pipeline.resources.cache_lock import LEASE_SECONDS
from cachewarm_pipeline.resources.cache_store import CacheStore
from cachewarm_pipeline.resources.redis_client import connect
from cachewarm_pipeline.resources.vectorizer import EmbedderVectorizer
from tests.cache_fakes import DAY, NOW, TrigramEmbedder, make_plan, numbered_plan, publish


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def store(client: redis.Redis, cache_name: str) -> CacheStore:
    return CacheStore(client, cache_name)


def keys(client: redis.Redis, prefix: str) -> set[str]:
    return {key.decode() for key in client.scan_iter(match=prefix + "*", count=1000)}


def indexes(client: redis.Redis, name: str) -> set[str]:
    found: Any = client.execute_command("FT._LIST")
    return {i.decode().removeprefix(index_name(name, "")) for i in found if i.decode().startswith(index_name(name, ""))}


def writes(client: redis.Redis) -> int:
    info: Any = client.info("persistence")
    return int(info["rdb_changes_since_last_save"])


def state(client: redis.Redis, name: str) -> tuple[Any, set[str], set[str], str | None]:
    """All that a publish could touch."""
    return (
        client.hgetall(generations_key(name)),
        indexes(client, name),
        keys(client, f"warm:{name}:"),
        CacheStore(client, name)._index.alias_target(),
    )


# What is published


def test_a_published_plan_is_in_redis_entry_by_entry(store: CacheStore, client: redis.Redis) -> None:
    plan = numbered_plan(700)
    done = publish(store, plan)
    assert (done.entries, done.written, done.unchanged, done.removed) == (700, 700, False, ())
    assert store.entry_ids(done.generation) == set(plan["entry_id"].to_pylist())
    row = plan.slice(500, 1).to_pylist()[0]
    key = key_prefix(store.name, done.generation) + row["entry_id"]
    stored: Any = client.hgetall(key)
    vector = np.frombuffer(stored.pop(b"prompt_vector"), dtype=np.float32)
    assert np.array_equal(vector, TrigramEmbedder().embed([row["prompt"]])[0])
    assert stored.pop(b"metadata").decode() == (
        f'{{"source": "golden", "generation": "{done.generation}", "provenance": {{"analysis": 1}}}}'
    )
    at = repr(NOW.timestamp()).encode()
    assert stored == {
        b"entry_id": row["entry_id"].encode(),
        b"prompt": row["prompt"].encode(),
        b"response": row["response"].encode(),
        b"inserted_at": at,
        b"updated_at": at,
        b"agent_type": row["agent_type"].encode(),
        b"source": b"golden",
        b"quality_score": b"0.9",
        b"answer_group": row["answer_group"].encode(),
        b"generation": done.generation.encode(),
    }


def test_every_entry_expires_within_the_jitter_and_not_all_at_once(store: CacheStore, client: redis.Redis) -> None:
    plan = numbered_plan(300)
    done = publish(store, plan, ttl_days=1.0, ttl_jitter=0.2)
    ttls = {
        entry: client.ttl(key_prefix(store.name, done.generation) + entry) for entry in plan["entry_id"].to_pylist()
    }
    assert all(0 <= ttl_seconds(entry, 1.0, 0.2) - left <= 5 for entry, left in ttls.items())
    assert 0.8 * 86_400 - 5 <= min(ttls.values()) < max(ttls.values()) <= 1.2 * 86_400
    assert len(set(ttls.values())) > 250


def test_the_record_says_what_was_published(store: CacheStore) -> None:
    plan = make_plan([{"prompt": "one"}, {"prompt": "two", "source": "query_log"}, {"prompt": "three"}])
    done = publish(store, plan, plan_hash="abcdef0123456789", rules=MatchRules.uniform(0.02))
    live = store.live()
    assert live is not None
    assert (live.id, live.state, live.entries) == ("20261121-abcdef012345", State.LIVE, 3)
    assert live.id == done.generation
    assert live.by_source == {"golden": 2, "query_log": 1}
    assert (live.as_of, live.created_at, live.published_at) == (DAY, NOW, NOW)
    assert live.match_rules == MatchRules.uniform(0.02)
    assert live.embedder == {**vars(TrigramEmbedder().info), "dimensions": 64}


# Once, and only once


def test_publishing_the_same_plan_again_writes_nothing_at_all(store: CacheStore, client: redis.Redis) -> None:
    first = publish(store, numbered_plan(50))
    before, changes = state(client, store.name), writes(client)
    again = publish(store, numbered_plan(50), now=NOW + timedelta(hours=1))
    assert (again.generation, again.written, again.unchanged) == (first.generation, 0, True)
    assert writes(client) == changes
    assert state(client, store.name) == before


def test_the_same_plan_of_another_day_is_a_new_generation_that_renews_the_ttls(
    store: CacheStore, client: redis.Redis
) -> None:
    plan = numbered_plan(20)
    first = publish(store, plan)
    for key in keys(client, key_prefix(store.name, first.generation)):
        client.expire(key, 60)
    second = publish(store, plan, as_of=DAY + timedelta(days=1))
    assert not second.unchanged
    ttls = [client.ttl(key) for key in keys(client, key_prefix(store.name, second.generation))]
    assert len(ttls) == 20
    assert min(ttls) > 6 * 86_400


@pytest.mark.parametrize(
    "change", [{"rules": MatchRules.uniform(0.2)}, {"ttl_days": 3.0}, {"embedder": TrigramEmbedder(name="other")}]
)
def test_the_same_plan_under_other_rules_or_settings_is_published_again(
    store: CacheStore, change: dict[str, Any]
) -> None:
    first = publish(store, numbered_plan(20), plan_hash="0" * 64)
    second = publish(store, numbered_plan(20), plan_hash="0" * 64, **change)
    assert (second.generation, second.written) == (f"{first.generation}-r2", 20)


def test_a_live_generation_that_lost_entries_is_built_again_beside_itself(
    store: CacheStore, client: redis.Redis
) -> None:
    plan = numbered_plan(30)
    first = publish(store, plan)
    client.delete(key_prefix(store.name, first.generation) + plan["entry_id"][3].as_py())
    second = publish(store, plan)
    assert (second.generation, second.written, second.unchanged) == (f"{first.generation}-r2", 30, False)
    assert len(store.entry_ids(second.generation)) == 30
    client.delete(key_prefix(store.name, second.generation) + plan["entry_id"][4].as_py())
    assert publish(store, plan).generation == f"{first.generation}-r3"


def test_a_lost_alias_is_put_back_without_loading_again(store: CacheStore, client: redis.Redis) -> None:
    first = publish(store, numbered_plan(30))
    client.execute_command("FT.ALIASDEL", store.name)
    again = publish(store, numbered_plan(30))
    assert (again.generation, again.written) == (first.generation, 0)
    assert store._index.alias_target() == first.generation


# Keeping and going back


def test_the_live_generation_and_the_one_before_are_kept_and_no_other(store: CacheStore, client: redis.Redis) -> None:
    done = [publish(store, numbered_plan(20, version=f"v{n}")) for n in range(4)]
    assert [d.removed for d in done] == [(), (), (done[0].generation,), (done[1].generation,)]
    kept = {done[2].generation, done[3].generation}
    assert [(r.id, r.state) for r in store.generations()] == [
        (done[3].generation, State.LIVE),
        (done[2].generation, State.PREVIOUS),
    ]
    assert indexes(client, store.name) == kept
    assert {key.split(":")[2] for key in keys(client, f"warm:{store.name}:")} == {*kept, "generations"}


def test_rollback_serves_the_previous_generation_and_a_second_one_undoes_it(store: CacheStore) -> None:
    first, second = (publish(store, numbered_plan(20, version=v)).generation for v in ("v1", "v2"))
    assert store.rollback(NOW).id == first
    assert (store._index.alias_target(), store.live().id) == (first, first)  # type: ignore[union-attr]
    assert [(r.id, r.state) for r in store.generations()] == [(first, State.LIVE), (second, State.PREVIOUS)]
    assert store.rollback(NOW).id == second
    assert store._index.alias_target() == second


def test_after_a_rollback_the_generation_that_was_live_last_is_the_one_kept(store: CacheStore) -> None:
    first, second = (publish(store, numbered_plan(20, version=v)).generation for v in ("v1", "v2"))
    store.rollback(NOW)
    third = publish(store, numbered_plan(20, version="v3"))
    assert third.removed == (second,)
    assert store.rollback(NOW).id == first


def test_a_plan_that_was_rolled_back_is_published_again_without_loading(store: CacheStore) -> None:
    publish(store, numbered_plan(20, version="v1"))
    second = publish(store, numbered_plan(20, version="v2"))
    store.rollback(NOW)
    again = publish(store, numbered_plan(20, version="v2"))
    assert (again.generation, again.written, again.unchanged) == (second.generation, 0, False)
    assert store._index.alias_target() == second.generation


def test_rollback_without_a_previous_generation_changes_nothing(store: CacheStore, client: redis.Redis) -> None:
    with pytest.raises(CacheError, match="no previous generation"):
        store.rollback(NOW)
    publish(store, numbered_plan(20))
    before = state(client, store.name)
    with pytest.raises(CacheError, match="no previous generation"):
        store.rollback(NOW)
    assert state(client, store.name) == before


def test_rollback_to_a_generation_whose_entries_are_gone_is_refused(store: CacheStore, client: redis.Redis) -> None:
    first, second = (publish(store, numbered_plan(20, version=v)).generation for v in ("v1", "v2"))
    client.delete(*keys(client, key_prefix(store.name, first)))
    with pytest.raises(CacheError, match="no entries left"):
        store.rollback(NOW)
    assert store._index.alias_target() == second


# Whose keys are whose


def test_the_applications_own_entries_outlive_every_publish(store: CacheStore, client: redis.Redis) -> None:
    own = [f"{store.name}:own{n}" for n in range(5)]
    for key in own:
        vector = TrigramEmbedder().embed([key])[0].tobytes()
        client.hset(key, mapping={"agent_type": "agent0", "prompt_vector": vector, "generation": "mine"})
    client.hset(f"{store.name}:odd", mapping={"agent_type": "agent0", "prompt_vector": b"no vector"})
    for version in ("v1", "v2", "v3"):
        done = publish(store, numbered_plan(20, version=version))
        assert len(store.entry_ids(done.generation)) == 20
        info = store._index.info(store.name)
        assert info is not None
        assert info.docs == 25
    assert keys(client, f"{store.name}:") == {*own, f"{store.name}:odd"}


def test_caches_whose_names_begin_alike_do_not_mix(client: redis.Redis, cache_name: str) -> None:
    short, long = CacheStore(client, cache_name), CacheStore(client, f"{cache_name}_v2")
    for version in ("v1", "v2", "v3"):
        publish(short, numbered_plan(20, version=version))
        publish(long, numbered_plan(30, version=version))
    for store, entries in ((short, 20), (long, 30)):
        info = store._index.info(store.name)
        assert info is not None
        assert info.docs == entries


def test_a_name_that_is_an_applications_own_index_is_refused_untouched(store: CacheStore, client: redis.Redis) -> None:
    vectorizer = EmbedderVectorizer(vars(TrigramEmbedder().info), TrigramEmbedder())
    app = SemanticCache(name=store.name, redis_client=client, vectorizer=vectorizer)
    app.store("a question", "an answer")
    before, changes = keys(client, ""), writes(client)
    with pytest.raises(CacheError, match=r"already belongs to another search index.*CACHEWARM_NAME"):
        publish(store, numbered_plan(20))
    assert (keys(client, ""), writes(client)) == (before, changes)
    assert app.check("a question")[0]["response"] == "an answer"


def test_reserved_and_unusable_names_are_refused(client: redis.Redis) -> None:
    for name in ("warm", "", "a:b", "x" * 65):
        with pytest.raises(ConfigurationError):
            CacheStore(client, name)


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
def test_a_plan_that_cannot_be_served_is_refused_before_anything_is_touched(
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
    """A loader that writes something else than the plan, as a fault of the network or of ours would."""
    load = cache_store.load_entries

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
        (lambda client, key: client.persist(key), "time to live"),
    ],
)
def test_a_generation_that_does_not_verify_is_taken_away_and_the_live_one_left(
    store: CacheStore, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, damage: Any, message: str
) -> None:
    publish(store, numbered_plan(20, version="v1"))
    before = state(client, store.name)
    monkeypatch.setattr(cache_store, "load_entries", load_badly(damage))
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
        store.begin(lock, record)
        store.load(lock, record, plan.slice(0, 50), vectors[:50])
    with store.lock(NOW) as lock:
        assert store.prune(lock, spare=record.id) == ()
        with pytest.raises(CacheError, match="50 of 90 planned"):
            store.verify(lock, record, plan, vectors)
        store.load(lock, record, plan.slice(30, 60), vectors[30:])
        assert store._index.alias_target() == first.generation
        store.switch(lock, store.verify(lock, record, plan, vectors), NOW)
    assert store._index.alias_target() == "in-parts"
    assert store.entry_ids("in-parts") == set(plan["entry_id"].to_pylist())


def test_twins_with_one_vector_verify(store: CacheStore) -> None:
    prompts = [f"twin {n}" for n in range(40)]
    vectors = np.tile(TrigramEmbedder().embed(["twin"]), (40, 1))
    assert publish(store, make_plan([{"prompt": p} for p in prompts]), vectors=vectors).written == 40


def test_a_generation_that_was_not_verified_cannot_be_switched_to(store: CacheStore) -> None:
    publish(store, numbered_plan(20))
    live = store.live()
    assert live is not None
    with store.lock(NOW) as lock, pytest.raises(CacheError, match="not verified"):
        store.switch(lock, replace(live, id="other", state=State.BUILDING), NOW)


def test_an_index_that_never_finishes_scanning_stops_at_the_deadline(
    client: redis.Redis, cache_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    store = CacheStore(client, cache_name, clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    monkeypatch.setattr(cache_verify, "POLL_SECONDS", 60.0)
    busy = cache_index.IndexInfo("any", 0, True, "")
    monkeypatch.setattr(store._index, "info", lambda index: None if index == cache_name else busy)
    with pytest.raises(CacheError, match="not finished indexing"):
        publish(store, numbered_plan(20))
    assert keys(client, f"warm:{cache_name}:") == set()
    assert now[0] == pytest.approx(cache_verify.INDEXING_SECONDS, abs=61)


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


def test_a_read_only_redis_is_told_and_nothing_changes(store: CacheStore, client: redis.Redis) -> None:
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


def test_a_second_publisher_is_told_who_is_first_and_since_when(store: CacheStore, client: redis.Redis) -> None:
    with store.lock(NOW):
        assert 0 < client.pttl(lock_key(store.name)) <= LEASE_SECONDS * 1000
        with pytest.raises(CacheError, match=r"another run is publishing.*since 2026-11-22T02:00:00"):
            publish(CacheStore(client, store.name), numbered_plan(20))
        with pytest.raises(CacheError, match="another run is publishing"):
            store.rollback(NOW)
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


def test_a_lock_lost_at_the_very_last_moment_still_stops_the_switch(store: CacheStore, client: redis.Redis) -> None:
    first, second = (publish(store, numbered_plan(20, version=v)).generation for v in ("v1", "v2"))
    previous = next(r for r in store.generations() if r.id == first)
    with store.lock(NOW) as lock:
        client.delete(lock_key(store.name))
        with pytest.raises(CacheError, match="lost the publishing lock"):
            store.switch(lock, previous, NOW)
    live = store.live()
    assert live is not None
    assert (live.id, store._index.alias_target()) == (second, second)


# What was there from before


def test_records_of_a_newer_version_stop_a_publish_with_the_advice_to_upgrade(
    store: CacheStore, client: redis.Redis
) -> None:
    done = publish(store, numbered_plan(20))
    record: Any = client.hget(generations_key(store.name), done.generation)
    client.hset(
        generations_key(store.name), done.generation, record.replace(b'"schema_version": 1', b'"schema_version": 9')
    )
    with pytest.raises(CacheError, match=r"schema version 9.*upgrade"):
        publish(store, numbered_plan(20, version="v2"))


def test_a_lost_generations_hash_never_costs_stock_readers_their_entries(
    store: CacheStore, client: redis.Redis
) -> None:
    first = publish(store, numbered_plan(20, version="v1"))
    client.delete(generations_key(store.name))
    assert store.live() is None
    served: list[int] = []
    second = publish(
        store,
        numbered_plan(20, version="v2"),
        progress=lambda line: served.append(len(store.entry_ids(store._index.alias_target() or ""))),
    )
    assert served == [20]
    assert second.removed == (first.generation,)
    assert indexes(client, store.name) == {second.generation}


# Agent types


def found(client: redis.Redis, command: Any) -> set[str]:
    reply = search.parse_found(client.execute_command(*command))
    return {fields["agent_type"] for _, fields in reply.rows}


agent_types = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).map(str.strip).filter(bool)
)
TRICKY = [
    "a,b",
    "a",
    "b",
    "{x}",
    "x",
    'say "hi"',
    "a b",
    "a  b",
    "p|q",
    "p",
    "AB",
    "ab",
    "*",
    "a*",
    "$agent_type",
    "\\:",
    "\\\\",
    "a\\b",
    "ß",
    "ss",
]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.sets(agent_types, min_size=1, max_size=30))
def test_every_agent_type_is_found_exactly_whatever_it_holds(
    store: CacheStore, client: redis.Redis, drawn: set[str]
) -> None:
    names = sorted({*drawn, *TRICKY})
    done = publish(store, make_plan([{"prompt": "the same", "agent_type": name} for name in names]))
    vector = TrigramEmbedder().embed(["the same"])[0].tobytes()
    index = index_name(store.name, done.generation)
    for name in names:
        assert found(client, search.nearest(index, name, vector, 50)) == {name}


# What RedisVL 0.28 escapes, and what needs no escaping. It cannot ask for others: a backtick, a tab, a lone "_".
stock_signs = st.sampled_from(",.<>{}[]\\\"':;!@#$%^&*()-+=~|/ ?_") | st.characters(categories=["L", "Nd"])
stock_types = (
    st.text(stock_signs, min_size=1, max_size=30).map(str.strip).filter(lambda name: any(map(str.isalnum, name)))
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.sets(stock_types, min_size=1, max_size=30))
def test_a_stock_filter_finds_every_agent_type_exactly_too(
    store: CacheStore, client: redis.Redis, drawn: set[str]
) -> None:
    names = sorted({*drawn, *TRICKY})
    publish(store, make_plan([{"prompt": "the same", "agent_type": name} for name in names]))
    for name in names:
        query = ("FT.SEARCH", store.name, str(Tag("agent_type") == name), "LIMIT", 0, 50, "DIALECT", 2)
        assert found(client, query) == {name}
