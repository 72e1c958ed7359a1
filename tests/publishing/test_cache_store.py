"""Generations on a real Redis: published once, kept, gone back to; and whose keys are whose."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import redis
from cachewarm_client.generation_record import State
from cachewarm_client.keys import generations_key, key_prefix, lock_key, ttl_seconds
from cachewarm_client.vectorizer import EmbedderVectorizer
from redisvl.extensions.cache.llm import SemanticCache

from cachewarm_pipeline.errors import CacheError, ConfigurationError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from tests.support.cache_fakes import (
    DAY,
    NOW,
    TrigramEmbedder,
    distance_rules,
    entry_keys,
    indexes,
    keys,
    make_plan,
    numbered_plan,
    publish,
    state,
    writes,
)

pytest_plugins = ["tests.support.cache_fixtures"]


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
    done = publish(store, plan, plan_hash="abcdef0123456789", rules=distance_rules(0.02))
    live = store.live()
    assert live is not None
    assert (live.id, live.state, live.entries) == ("20261121-abcdef012345", State.LIVE, 3)
    assert live.id == done.generation
    assert live.by_source == {"golden": 2, "query_log": 1}
    assert (live.as_of, live.created_at, live.published_at) == (DAY, NOW, NOW)
    assert live.match_rules == distance_rules(0.02)
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
    for key in entry_keys(client, store.name, first.generation):
        client.expire(key, 60)
    second = publish(store, plan, as_of=DAY + timedelta(days=1))
    assert not second.unchanged
    ttls = [client.ttl(key) for key in entry_keys(client, store.name, second.generation)]
    assert len(ttls) == 20
    assert min(ttls) > 6 * 86_400


@pytest.mark.parametrize(
    "change", [{"rules": distance_rules(0.2)}, {"ttl_days": 3.0}, {"embedder": TrigramEmbedder(name="other")}]
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
    for generation in kept:  # 20 entries, and a mark for each of 3 agent types
        assert len(keys(client, key_prefix(store.name, generation))) == 20 + 3


def test_rollback_serves_the_previous_generation_and_a_second_one_undoes_it_only_when_it_says_so(
    store: CacheStore,
) -> None:
    first, second = (publish(store, numbered_plan(20, version=v)).generation for v in ("v1", "v2"))
    assert store.rollback(NOW).id == first
    assert (store._index.alias_target(), store.live().id) == (first, first)  # type: ignore[union-attr]
    assert [(r.id, r.state) for r in store.generations()] == [(first, State.LIVE), (second, State.PREVIOUS)]
    with pytest.raises(CacheError, match=f"already rolled back: {first} is live and pinned since .* takes `--again`"):
        store.rollback(NOW)
    assert store._index.alias_target() == first
    assert store.rollback(NOW, again=True).id == second
    assert store._index.alias_target() == second


def test_after_a_rollback_the_generation_that_was_live_last_is_the_one_kept(store: CacheStore) -> None:
    first, second = (publish(store, numbered_plan(20, version=v)).generation for v in ("v1", "v2"))
    store.rollback(NOW)
    store.release(NOW)
    third = publish(store, numbered_plan(20, version="v3"))
    assert third.removed == (second,)
    assert store.rollback(NOW).id == first


def test_a_plan_that_was_rolled_back_is_published_again_without_loading(store: CacheStore) -> None:
    publish(store, numbered_plan(20, version="v1"))
    second = publish(store, numbered_plan(20, version="v2"))
    store.rollback(NOW)
    store.release(NOW)
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


@pytest.mark.parametrize("left", [0, 1, 17])
def test_rollback_to_a_generation_that_lost_more_than_a_tenth_of_its_entries_is_refused_with_the_numbers(
    store: CacheStore, client: redis.Redis, left: int
) -> None:
    first, second = (publish(store, numbered_plan(20, version=v)).generation for v in ("v1", "v2"))
    client.delete(*sorted(entry_keys(client, store.name, first))[left:])
    before = state(client, store.name)
    with pytest.raises(CacheError, match=f"only {left} of its 20 entries left.*needs 90%"):
        store.rollback(NOW)
    assert store._index.alias_target() == second
    assert state(client, store.name) == before


def test_rollback_to_a_generation_with_nine_tenths_of_its_entries_is_done(
    store: CacheStore, client: redis.Redis
) -> None:
    first, _ = (publish(store, numbered_plan(20, version=v)).generation for v in ("v1", "v2"))
    client.delete(*sorted(entry_keys(client, store.name, first))[18:])
    assert store.rollback(NOW).id == first


# An older day


def test_an_older_day_is_not_published_over_a_newer_one_and_says_why(store: CacheStore, client: redis.Redis) -> None:
    newer = publish(store, numbered_plan(20, version="new"))
    before = state(client, store.name)
    older = publish(store, numbered_plan(20, version="old"), as_of=DAY - timedelta(days=1))
    assert (older.published, older.generation, older.written) == (False, newer.generation, 0)
    assert f"{newer.generation} is newer" in older.why_not
    assert state(client, store.name) == before


def test_an_older_day_is_published_when_that_is_allowed(store: CacheStore) -> None:
    publish(store, numbered_plan(20, version="new"))
    older = publish(store, numbered_plan(20, version="old"), as_of=DAY - timedelta(days=1), allow_rollback=True)
    assert (older.published, older.why_not) == (True, "")
    assert store._index.alias_target() == older.generation


def test_an_older_day_that_waited_for_the_lock_does_not_replace_what_was_published_meanwhile(
    store: CacheStore, client: redis.Redis
) -> None:
    first = publish(store, numbered_plan(20, version="v1"), as_of=DAY - timedelta(days=2))
    client.set(lock_key(store.name), "a dead run's", px=60_000)
    newer: list[str] = []

    def meanwhile(seconds: float) -> None:
        client.delete(lock_key(store.name))
        newer.append(publish(store, numbered_plan(20, version="v3")).generation)

    waiting = CacheStore(client, store.name, sleep=meanwhile)
    older = publish(waiting, numbered_plan(20, version="v2"), as_of=DAY - timedelta(days=1))
    assert not older.published
    assert newer == [older.generation] == [store._index.alias_target()]
    assert newer != [first.generation]


# Time to live


def ttls(client: redis.Redis, store: CacheStore, generation: str) -> list[int]:
    return [client.ttl(key) for key in entry_keys(client, store.name, generation)]


def aged(client: redis.Redis, store: CacheStore, generation: str, seconds: int) -> None:
    for key in entry_keys(client, store.name, generation):
        client.expire(key, seconds)


def test_an_unchanged_plan_past_half_of_its_life_has_its_ttls_renewed_once(
    store: CacheStore, client: redis.Redis
) -> None:
    first = publish(store, numbered_plan(600))
    aged(client, store, first.generation, 1000)
    later = NOW + timedelta(days=3.6)
    again = publish(store, numbered_plan(600), now=later)
    assert (again.generation, again.written, again.unchanged, again.ttls_renewed) == (first.generation, 0, True, True)
    renewed = ttls(client, store, first.generation)
    assert len(renewed) == 600
    assert min(renewed) > 6 * 86_400
    changes = writes(client)
    assert not publish(store, numbered_plan(600), now=later + timedelta(hours=1)).ttls_renewed
    assert writes(client) == changes


def test_an_old_generation_that_is_published_again_without_loading_lives_on(
    store: CacheStore, client: redis.Redis
) -> None:
    publish(store, numbered_plan(20, version="v1"))
    second = publish(store, numbered_plan(20, version="v2"))
    store.rollback(NOW)
    store.release(NOW)
    aged(client, store, second.generation, 1000)
    again = publish(store, numbered_plan(20, version="v2"), now=NOW + timedelta(days=5))
    assert (again.generation, again.written, again.ttls_renewed) == (second.generation, 0, True)
    assert min(ttls(client, store, second.generation)) > 6 * 86_400
    live = store.live()
    assert live is not None
    assert live.renewed_at == NOW + timedelta(days=5)


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
