"""Loading a plan compared with RedisVL's `store()` one by one: on loopback, and with an added round trip.

    uv run python -m benchmarks.load [--entries 20000] [--rounds 3] [--round-trip-ms 7.6]

Targets: at least 4x on loopback, at least 60x with 7.6 ms of round trip. `store()` is measured on fewer entries and
reported as a rate. Each call gets its vector, so nothing is embedded.
"""

import argparse
import statistics
import time
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from benchmarks.cache_setup import (
    INFO,
    NOW,
    PreparedEmbedder,
    agent_type,
    distance_rules,
    plan_of,
    prompt,
    random_vectors,
    record_of,
    redisvl_cache,
    temporary_redis,
)
from benchmarks.delay_proxy import delayed
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.connect import connect


def rate_of_store(url: str, vectors: np.ndarray, plan: pa.Table, count: int) -> float:
    """Entries per second of `store()`, measured on ``count`` entries."""
    cache = redisvl_cache("stock", url, PreparedEmbedder({}), create_index=True)
    responses = plan["response"].to_pylist()
    lists = [vectors[n].tolist() for n in range(count)]
    started = time.perf_counter()
    for n in range(count):
        cache.store(prompt(n), responses[n], vector=lists[n], filters={"agent_type": agent_type(n)}, ttl=604_800)
    rate = count / (time.perf_counter() - started)
    cache.clear()
    cache.delete()
    cache.disconnect()
    return rate


def rates_of_publish(url: str, vectors: np.ndarray, plan: pa.Table, generation: str) -> tuple[float, float]:
    """Entries per second of the load alone, and of a whole publish (build, verify, switch, prune)."""
    with connect(url) as client:
        store, record = CacheStore(client, "bench"), record_of(plan, generation)
        with store.lock(NOW) as lock:
            started = time.perf_counter()
            store.lifecycle.begin(lock, record)
            store.lifecycle.load(lock, record, plan, vectors)
            load = time.perf_counter() - started
            store.lifecycle.prune(lock)
        published = CacheStore(client, "bench").publish(
            plan,
            vectors,
            as_of=NOW.date(),
            plan_hash=generation * 8,
            embedder=INFO,
            rules=distance_rules(0.1),
            ttl_days=7.0,
            ttl_jitter=0.1,
            now=NOW,
            keep=1,
        )
    return plan.num_rows / load, plan.num_rows / published.seconds


def measure(
    label: str, url: str, plan: pa.Table, vectors: np.ndarray, stock_count: int, rounds: int, target: int
) -> None:
    """Prints the rates and ratios of one connection; each is the median of the rounds."""
    ratios, stocks, loads, publishes = [], [], [], []
    for number in range(rounds):
        stock = rate_of_store(url, vectors, plan, stock_count)
        load, publish = rates_of_publish(url, vectors, plan, f"{number}{stock_count:07d}")
        stocks.append(stock)
        loads.append(load)
        publishes.append(publish)
        ratios.append(load / stock)
    print(
        f"{label}: store() {statistics.median(stocks):,.0f}/s (of {stock_count:,}), our load "
        f"{statistics.median(loads):,.0f}/s, whole publish {statistics.median(publishes):,.0f}/s; "
        f"load / store() = {statistics.median(ratios):.1f}x (target {target}x), publish / store() = "
        f"{statistics.median(p / s for p, s in zip(publishes, stocks, strict=True)):.1f}x"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--round-trip-ms", type=float, default=7.6)
    options = parser.parse_args()
    plan, vectors = plan_of(options.entries), random_vectors(options.entries)
    with temporary_redis() as url:
        measure("loopback", url, plan, vectors, min(4_000, options.entries), options.rounds, 4)
        server = urlsplit(url)
        with delayed("127.0.0.1", server.port or 0, options.round_trip_ms) as port:
            delayed_url = f"redis://127.0.0.1:{port}/0"
            with connect(delayed_url) as client:
                trips = []
                for _ in range(20):
                    started = time.perf_counter()
                    client.ping()
                    trips.append(time.perf_counter() - started)
            label = f"round trip {1000 * statistics.median(trips):.1f} ms"
            measure(label, delayed_url, plan, vectors, min(300, options.entries), options.rounds, 60)


if __name__ == "__main__":
    main()
