"""A lookup of ours against a stock `check()` with the same agent_type filter, over the same generation.

Targets: a semantic lookup at most 1.3x a stock `check()` at the median; an exact one at least 5x faster than a lookup
that embeds. Vectors are random and looked up in a table, so that the cache is measured and not a model; only the exact
path's ratio counts an embedding, of the embedded model, measured here.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from redisvl.query.filter import Tag

from benchmarks.cache_setup import (
    INFO,
    NOW,
    Looked,
    agent_type,
    own_redis,
    plan_of,
    prompt,
    random_vectors,
    redisvl_cache,
)
from cachewarm_pipeline.core.match import MatchRules
from cachewarm_pipeline.resources.cache_store import CacheStore
from cachewarm_pipeline.resources.embedders.minilm import MiniLMEmbedder
from cachewarm_pipeline.resources.redis_client import connect
from cachewarm_pipeline.serving import WarmedSemanticCache


def timed(call: Callable[[int], Any], number: int) -> float:
    started = time.perf_counter()
    found = call(number)
    seconds = time.perf_counter() - started
    assert found, f"no hit for {number}"
    return seconds * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--lookups", type=int, default=1_000)
    given = parser.parse_args()
    plan, vectors = plan_of(given.entries), random_vectors(given.entries)
    by_text = {prompt(n): vectors[n] for n in range(given.entries)}
    # The same vector under another wording: no exact key, and the entry itself is the nearest.
    by_text |= {f"Tell me: {prompt(n)}": vectors[n] for n in range(given.entries)}
    embedder = Looked(by_text)
    with own_redis() as url, connect(url) as client:
        CacheStore(client, "bench").publish(
            plan,
            vectors,
            as_of=NOW.date(),
            plan_hash="0" * 64,
            embedder=INFO,
            rules=MatchRules.uniform(0.1),
            ttl_days=7.0,
            ttl_jitter=0.1,
            now=NOW,
        )
        stock = redisvl_cache("bench", url, embedder, create_index=False)
        model = MiniLMEmbedder()
        model.embed(["warm up"])
        with WarmedSemanticCache("bench", url, embedder=embedder) as cache:
            ways: dict[str, Callable[[int], Any]] = {
                "stock check()": lambda n: stock.check(
                    f"Tell me: {prompt(n)}", filter_expression=Tag("agent_type") == agent_type(n)
                ),
                "our semantic": lambda n: cache.check(f"Tell me: {prompt(n)}", agent_type=agent_type(n)),
                "our exact": lambda n: cache.check(prompt(n), agent_type=agent_type(n)),
                "embedding alone": lambda n: model.embed([prompt(n)]).size,
            }
            times: dict[str, list[float]] = {name: [] for name in ways}
            draw = random.Random(0)
            for lookup in range(given.lookups + 20):
                number = draw.randrange(given.entries)
                for name, call in ways.items():
                    taken = timed(call, number)
                    if lookup >= 20:  # connections are open and code is warm
                        times[name].append(taken)
        stock.disconnect()
    for name, all_taken in times.items():
        cuts = statistics.quantiles(all_taken, n=100)
        print(f"{name:16} p50 {cuts[49]:6.2f} ms   p99 {cuts[98]:6.2f} ms")
    middle = {name: statistics.median(all_taken) for name, all_taken in times.items()}
    ratio = middle["our semantic"] / middle["stock check()"]
    print(f"our semantic / stock check()           = {ratio:.2f} (target <= 1.3)")
    embeds = middle["our semantic"] + middle["embedding alone"]
    print(f"(our semantic + embedding) / our exact = {embeds / middle['our exact']:.1f} (target >= 5)")


if __name__ == "__main__":
    main()
