"""Prometheus metrics of WarmedSemanticCache, read as Prometheus reads them; each test has its own registry."""

import asyncio
import builtins
import gc
import subprocess
import sys
import threading
from typing import Any

import pytest
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.prometheus_metrics import LATENCY_BUCKETS, MAX_AGENT_TYPES, OTHERS, register_metrics
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from tests.support.cache_fakes import ROTATE, Clock, TrigramEmbedder, make_plan, publish

pytest_plugins = ["tests.support.cache_fixtures"]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry(auto_describe=True)


def scraped(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """Label values of each sample, without the cache's name, and its value."""
    text = generate_latest(registry).decode()
    return {
        tuple(value for label, value in sorted(sample.labels.items()) if label != "cache"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def lookups(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """(agent_type, arm, match) to lookups."""
    return scraped(registry, "cachewarm_lookups_total")


def test_lookups_are_reported_by_agent_type_and_match(cache: WarmedSemanticCache, registry: CollectorRegistry) -> None:
    cache.check(ROTATE, agent_type="auditor")  # before it is registered: not reported
    register_metrics(cache, registry)
    cache.check(ROTATE, agent_type="auditor")
    cache.check(ROTATE, agent_type="auditor")
    cache.check("How do I rotate the signing keys?", agent_type="auditor")
    cache.check("How do I rotate a tyre?", agent_type="auditor")
    asyncio.run(cache.acheck('nothing: "here"', agent_type="odd\\type"))
    assert lookups(registry) == {
        ("auditor", "warmed", "exact"): 2,
        ("auditor", "warmed", "semantic"): 1,
        ("auditor", "warmed", "miss"): 1,
        ("odd\\type", "warmed", "miss"): 1,
    }
    # The counters in Redis agree, and include the lookup before.
    assert cache.get_stats().lookups == 1 + sum(lookups(registry).values())


def test_latency_is_a_histogram_by_match(cache: WarmedSemanticCache, registry: CollectorRegistry) -> None:
    register_metrics(cache, registry)
    for _ in range(3):
        cache.check(ROTATE, agent_type="auditor")
    buckets = scraped(registry, "cachewarm_lookup_seconds_bucket")
    assert len(buckets) == len(LATENCY_BUCKETS) + 1
    ordered = [buckets[le, "exact"] for le in [*map(str, LATENCY_BUCKETS), "+Inf"]]
    assert ordered == sorted(ordered)
    assert ordered[-1] == 3 == scraped(registry, "cachewarm_lookup_seconds_count")["exact",]
    assert 0 < scraped(registry, "cachewarm_lookup_seconds_sum")["exact",] < 3 * 60


def test_the_generation_is_the_one_that_the_last_lookup_read(
    cache: WarmedSemanticCache, store: CacheStore, registry: CollectorRegistry
) -> None:
    register_metrics(cache, registry)
    before = cache.generation
    assert scraped(registry, "cachewarm_generation_info") == {(before,): 1}
    publish(store, make_plan([{"prompt": "A new question?"}]))
    cache.check(ROTATE, agent_type="auditor")
    assert cache.generation != before
    assert scraped(registry, "cachewarm_generation_info") == {(cache.generation,): 1}


def test_lost_counts_are_reported(cache: WarmedSemanticCache, registry: CollectorRegistry) -> None:
    register_metrics(cache, registry)
    assert scraped(registry, "cachewarm_lost_counter_commands_total") == {(): 0}
    cache._counters.count_lost(3)
    assert scraped(registry, "cachewarm_lost_counter_commands_total") == {(): 3}


def test_registering_twice_counts_once_and_two_caches_share_a_registry(
    cache: WarmedSemanticCache, redis_url: str, embedder: TrigramEmbedder, clock: Clock, registry: CollectorRegistry
) -> None:
    first = register_metrics(cache, registry)
    assert register_metrics(cache, registry) is first
    with WarmedSemanticCache(cache.name, redis_url, embedder=embedder, clock=clock) as second:
        assert register_metrics(second, registry) is first
        cache.check(ROTATE, agent_type="auditor")
        second.check(ROTATE, agent_type="auditor")
        assert lookups(registry) == {("auditor", "warmed", "exact"): 2}
    other = CollectorRegistry()
    register_metrics(cache, other)
    cache.check(ROTATE, agent_type="auditor")
    assert (lookups(other), lookups(registry)) == (
        {("auditor", "warmed", "exact"): 1},
        {("auditor", "warmed", "exact"): 3},
    )


def test_a_cache_is_not_kept_alive(
    warmed: CacheStore, redis_url: str, embedder: TrigramEmbedder, clock: Clock, registry: CollectorRegistry
) -> None:
    cache = WarmedSemanticCache(warmed.name, redis_url, embedder=embedder, clock=clock)
    register_metrics(cache, registry)
    cache.check(ROTATE, agent_type="auditor")
    cache.disconnect()
    del cache
    gc.collect()
    assert scraped(registry, "cachewarm_generation_info") == {}
    assert lookups(registry) == {("auditor", "warmed", "exact"): 1}


def test_many_agent_types_do_not_make_many_series(cache: WarmedSemanticCache, registry: CollectorRegistry) -> None:
    metrics = register_metrics(cache, registry)
    for n in range(MAX_AGENT_TYPES + 20):
        metrics._count(cache.name, "miss", f"agent {n}", "warmed", 0.001)
    metrics._count(cache.name, "miss", "agent 0", "warmed", 0.001)
    found = lookups(registry)
    assert len(found) == MAX_AGENT_TYPES + 1
    assert (found[OTHERS, "warmed", "miss"], found["agent 0", "warmed", "miss"]) == (20, 2)


def test_a_listener_that_fails_breaks_no_lookup_and_no_count(cache: WarmedSemanticCache) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("no metrics today")

    cache.listen(fails)
    assert cache.check(ROTATE, agent_type="auditor")
    assert cache.get_stats().exact == 1


def test_threads_lose_no_count(cache: WarmedSemanticCache, registry: CollectorRegistry) -> None:
    register_metrics(cache, registry)

    def look() -> None:
        for _ in range(50):
            cache.check(ROTATE, agent_type="auditor")

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lookups(registry) == {("auditor", "warmed", "exact"): 200}


def test_without_the_extra_the_error_says_what_to_install(
    cache: WarmedSemanticCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("prometheus_client"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "cachewarm-client\[prometheus\]"'):
        register_metrics(cache, None)


def test_serving_does_not_need_the_extra() -> None:
    code = "import sys, cachewarm_client.cache, cachewarm_client.prometheus_metrics; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not [name for name in modules if name.startswith("prometheus")]
