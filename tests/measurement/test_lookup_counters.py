"""Counting lookups: it costs no round trip and never breaks a lookup, also in the async methods."""

import asyncio
import gc
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.counters import KEEP_SECONDS, Tally
from cachewarm_client.keys import stats_key

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from tests.support.cache_fakes import ROTATE, Clock, TrigramEmbedder

pytest_plugins = ["tests.support.cache_fixtures"]


# Counting


def test_lookups_are_counted_by_outcome_and_agent_type(cache: WarmedSemanticCache) -> None:
    cache.check(ROTATE, agent_type="auditor")
    cache.check("How do I rotate the signing keys?", agent_type="auditor")
    cache.check("How do I rotate a tyre?", agent_type="auditor")
    cache.check("nothing: here", agent_type="odd:type: with | signs")
    stats = cache.get_stats()
    assert (stats.exact, stats.semantic, stats.misses) == (1, 1, 2)
    assert (stats.hits, stats.lookups, stats.hit_rate) == (2, 4, 0.5)
    assert stats.agent_types == {"auditor": Tally(1, 1, 1), "odd:type: with | signs": Tally(0, 0, 1)}
    assert (stats.total_entries, stats.generation) == (3, cache.generation)
    assert cache.stats_errors == 0


def test_a_count_costs_no_round_trip_of_its_own_and_waits_for_one_lookup_at_most(
    cache: WarmedSemanticCache, client: redis.Redis, clock: Clock
) -> None:
    key = stats_key(cache.name, "2026112209")
    field = "warmed:exact:auditor"
    trips = count_round_trips(cache)
    for lookup in range(3):
        cache.check(ROTATE, agent_type="auditor")
        assert int(client.hget(key, field) or 0) == lookup  # type: ignore[arg-type]
    assert trips == [1, 1, 1]
    cache.flush()
    assert client.hget(key, field) == b"3"
    assert KEEP_SECONDS - 10 <= client.ttl(key) <= KEEP_SECONDS


def count_round_trips(cache: WarmedSemanticCache) -> list[int]:
    trips: list[int] = []
    pipeline = cache._connection.client.pipeline

    def counted(*args: Any, **kwargs: Any) -> Any:
        trips.append(1)
        return pipeline(*args, **kwargs)

    cache._connection.client.pipeline = counted  # type: ignore[method-assign]
    return trips


def test_counts_fall_into_the_hour_of_their_lookup(
    cache: WarmedSemanticCache, client: redis.Redis, clock: Clock
) -> None:
    cache.check(ROTATE, agent_type="auditor")
    clock.now += timedelta(hours=1)
    cache.check(ROTATE, agent_type="auditor")
    cache.check(ROTATE, agent_type="auditor")
    assert cache.get_stats(hours=1).exact == 2
    assert cache.get_stats(hours=2).exact == 3
    clock.now += timedelta(hours=23)
    assert cache.get_stats(hours=24).exact == 2
    assert min(client.ttl(stats_key(cache.name, hour)) for hour in ("2026112209", "2026112210")) > 0


def test_a_failing_counter_breaks_no_lookup_and_is_counted(
    cache: WarmedSemanticCache, client: redis.Redis, clock: Clock
) -> None:
    client.set(stats_key(cache.name, "2026112209"), "not a hash")
    for _ in range(3):
        assert cache.check(ROTATE, agent_type="auditor")
    assert cache.stats_errors == 4  # of the two that were sent: the hit, and its microseconds
    client.delete(stats_key(cache.name, "2026112209"))
    assert cache.check(ROTATE, agent_type="auditor")
    cache.flush()
    assert cache.get_stats().exact == 2
    assert client.ttl(stats_key(cache.name, "2026112209")) > 0


def test_lookups_are_answered_even_if_redis_refuses_writes(cache: WarmedSemanticCache, client: redis.Redis) -> None:
    client.config_set("min-replicas-to-write", 1)
    try:
        for _ in range(3):
            assert cache.check(ROTATE, agent_type="auditor")
            assert cache.check("How do I rotate the signing keys?", agent_type="auditor")
    finally:
        client.config_set("min-replicas-to-write", 0)
    assert cache.stats_errors >= 5


def test_lost_counts_are_counted_when_the_connection_is_lost(cache: WarmedSemanticCache, client: redis.Redis) -> None:
    cache.check(ROTATE, agent_type="auditor")

    def gone(*args: Any, **kwargs: Any) -> Any:
        raise redis.ConnectionError("gone")

    cache._connection.client.pipeline = gone  # type: ignore[method-assign]
    with pytest.raises(CacheError, match="lost Redis while reading the cache: gone"):
        cache.check(ROTATE, agent_type="auditor")
    assert cache.stats_errors == 5  # the hit, its microseconds and its entry, and EXPIRE of both keys
    cache.flush()


def test_counts_of_many_threads_add_up(cache: WarmedSemanticCache) -> None:
    def look(number: int) -> None:
        for _ in range(20):
            cache.check(ROTATE if number % 2 else "How do I rotate a tyre?", agent_type="auditor")

    threads = [threading.Thread(target=look, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = cache.get_stats()
    assert (stats.exact, stats.misses, cache.stats_errors) == (60, 60, 0)


def test_the_last_count_is_sent_when_a_reader_is_closed_or_forgotten(
    warmed: CacheStore, redis_url: str, embedder: TrigramEmbedder
) -> None:
    with WarmedSemanticCache(warmed.name, redis_url, embedder=embedder) as closed:
        closed.check(ROTATE, agent_type="auditor")
    assert warmed.stats(1, datetime.now(UTC)).exact == 1
    forgotten = WarmedSemanticCache(warmed.name, redis_url, embedder=embedder)
    forgotten.check(ROTATE, agent_type="auditor")
    del forgotten
    gc.collect()
    assert warmed.stats(2, datetime.now(UTC)).exact == 2


def test_the_last_count_is_sent_when_the_program_ends(warmed: CacheStore, redis_url: str) -> None:
    code = (
        "import sys; from cachewarm_client.cache import WarmedSemanticCache\n"
        "cache = WarmedSemanticCache(sys.argv[1], sys.argv[2])\n"
        f"assert cache.check({ROTATE!r}, agent_type='auditor')\n"
    )
    subprocess.run([sys.executable, "-c", code, warmed.name, redis_url], check=True)
    assert warmed.stats(2, datetime.now(UTC)).exact == 1


def test_unknown_fields_in_a_stats_hash_are_ignored(cache: WarmedSemanticCache, client: redis.Redis) -> None:
    fields = {"warmed:exact:a": "x", "odd": 3, "warmed:other:a": 2, "warmed:exact:": 1}
    client.hset(stats_key(cache.name, "2026112209"), mapping=fields)
    assert cache.get_stats().lookups == 1


# Async


def test_the_async_twin_does_the_same(cache: WarmedSemanticCache) -> None:
    prompts = [ROTATE, "How do I rotate the signing keys?", "How do I rotate a tyre?"]
    expected = [cache.check(prompt, agent_type="auditor") for prompt in prompts]

    async def look() -> list[Any]:
        async with cache:
            found = [await cache.acheck(prompt, agent_type="auditor") for prompt in prompts]
            key = await cache.astore("Where are the audit logs?", "there", agent_type="auditor")
            (own,) = await cache.acheck("where are the audit logs", agent_type="auditor")
            assert own["key"] == key
            stats = await cache.aget_stats()
            assert (stats.exact, stats.semantic, stats.misses) == (3, 2, 2)
            return found

    assert asyncio.run(look()) == expected


def test_lookups_of_one_loop_run_side_by_side_and_their_counts_add_up(cache: WarmedSemanticCache) -> None:
    async def look() -> None:
        found = await asyncio.gather(*(cache.acheck(ROTATE, agent_type="auditor") for _ in range(50)))
        assert all(hits[0]["response"] == "rotate it so" for hits in found)
        await cache.adisconnect()

    asyncio.run(look())
    assert cache.get_stats().exact == 50


def test_one_cache_serves_one_event_loop_after_another(cache: WarmedSemanticCache) -> None:
    for _ in range(3):
        assert asyncio.run(cache.acheck(ROTATE, agent_type="auditor"))
