"""What counting and a holdout add to a lookup: a comparison with the same lookup uncounted and with a stock `check()`.

    uv run python -m benchmarks.counting [--entries 20000] [--lookups 600] [--runs 3]

Target: a counted lookup under a learned rule takes at most 1.3x a stock `check()` at the median, with or without a
holdout. The variants take turns, in an order drawn for each question, and every ratio compares times of one run. A busy
machine distorts a run, so the milliseconds shown are those of the run with the fastest stock `check()`. A lookup in the
holdout finds nothing, because the application has stored nothing. Under the learned rule it asks for exact keys only,
under a plain distance also for near entries.

Measured on two quiet cores, three runs of 600 lookups over 20,000 entries: a counted lookup takes 1.17 to 1.20 times a
stock `check()`; with a holdout and its shadow 1.20 to 1.24. Counting adds 0.05 ms, mostly redis-py's packing of two to
four commands. That is 2 to 3% of a semantic lookup and 17% of an exact one (0.28 ms uncounted, 0.33 counted). The arms,
buckets and shadow of the holdout add 0.04 ms more. p99: stock 2.7 ms, learned 3.1, uncounted 3.0, exact 0.6, with a
holdout 0.6. The variants under a learned rule warm the processor cache for each other. In `benchmarks.lookup` they do
not, so its ratio is higher.
"""

import argparse
import random
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from cachewarm_client.arms import assign
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.counters import HOLDOUT_ARM
from cachewarm_client.keys import stores_key
from cachewarm_client.redis_counters import Counters
from redisvl.query.filter import Tag

from benchmarks.cache_setup import PreparedEmbedder, agent_type, prompt, redisvl_cache, temporary_redis
from benchmarks.lookup import WARM_UP, publish, reworded, timed

SHARE = 0.05
PAIRS = [
    ("learned rule", "stock check()", 1.3),
    ("learned rule, holdout 0.05", "stock check()", 1.3),
    ("learned rule", "learned rule, uncounted", None),
    ("learned rule, holdout 0.05", "learned rule, uncounted", None),
    ("exact", "exact, uncounted", None),
    ("exact, holdout 0.05", "exact, uncounted", None),
    ("in the holdout, plain distance", "stock check()", 1.3),
]


class NoCounters(Counters):
    """Counters that count nothing."""

    def start_lookup(self, *_: Any) -> Any:
        return _nothing


def _nothing(*_: Any) -> None:
    return None


def user_in(name: str, arm: str) -> str:
    """The first user id that the holdout of this cache puts into the arm."""
    return next(
        u for u in map(str, range(10_000)) if (assign(name, SHARE, u, None).arm == HOLDOUT_ARM) == (arm == HOLDOUT_ARM)
    )


def one_run(url: str, embedder: PreparedEmbedder, entries: int, lookups: int, seed: int) -> dict[str, list[float]]:
    """Milliseconds of each lookup, by variant."""
    with ExitStack() as stack:
        stock = redisvl_cache("learned", url, embedder, create_index=False)
        stack.callback(stock.disconnect)

        def reader(name: str = "learned", holdout: float = 0.0) -> WarmedSemanticCache:
            cache: WarmedSemanticCache = stack.enter_context(
                WarmedSemanticCache(name, url, embedder=embedder, holdout=holdout)
            )
            return cache

        counted, uncounted, split, plain = reader(), reader(), reader(holdout=SHARE), reader("plain", SHARE)
        # Marks an application that stores answers: its hits on warmed entries leave a shadow.
        for name in ("learned", "plain"):
            for tenant in {agent_type(n) for n in range(entries)}:
                counted._connection.client.set(stores_key(name, tenant), 900)
        uncounted._reader.counters = NoCounters(uncounted._connection.client, "learned", uncounted._now)
        in_warmed, in_holdout = user_in("learned", "warmed"), user_in("learned", HOLDOUT_ARM)
        in_plain_holdout = user_in("plain", HOLDOUT_ARM)

        def ask(cache: WarmedSemanticCache, text: Callable[[int], str], key: str | None = None) -> Callable[[int], Any]:
            return lambda n: cache.check(text(n), agent_type=agent_type(n), holdout_key=key)

        variants: dict[str, Callable[[int], Any]] = {
            "stock check()": lambda n: stock.check(reworded(n), filter_expression=Tag("agent_type") == agent_type(n)),
            "learned rule": ask(counted, reworded),
            "learned rule, uncounted": ask(uncounted, reworded),
            "learned rule, holdout 0.05": ask(split, reworded, in_warmed),
            "exact": ask(counted, prompt),
            "exact, uncounted": ask(uncounted, prompt),
            "exact, holdout 0.05": ask(split, prompt, in_warmed),
        }
        always_miss = {
            "in the holdout, learned rule": ask(split, reworded, in_holdout),
            "in the holdout, plain distance": ask(plain, reworded, in_plain_holdout),
        }
        variants |= {name: lambda n, call=call: not call(n) for name, call in always_miss.items()}  # type: ignore[misc]
        times: dict[str, list[float]] = {name: [] for name in variants}
        draw = random.Random(seed)
        for lookup in range(lookups + WARM_UP):
            number = draw.randrange(entries)
            for name, call in draw.sample(list(variants.items()), len(variants)):
                milliseconds = timed(call, number)
                if lookup >= WARM_UP:
                    times[name].append(milliseconds)
        return times


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--lookups", type=int, default=600)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with temporary_redis() as url:
        embedder = publish(url, options.entries)
        runs = [one_run(url, embedder, options.entries, options.lookups, seed) for seed in range(options.runs)]
    for pair in PAIRS:
        found = [statistics.median(run[pair[0]]) / statistics.median(run[pair[1]]) for run in runs]
        target = f" (target <= {pair[2]})" if pair[2] else ""
        print(f"{pair[0]} / {pair[1]} = {' '.join(f'{ratio:.2f}' for ratio in found)}{target}")
    best = min(runs, key=lambda run: statistics.median(run["stock check()"]))
    print(f"{options.entries:,} entries, {options.lookups:,} lookups per variant, the fastest of {options.runs} runs")
    for name, milliseconds in best.items():
        cuts = statistics.quantiles(milliseconds, n=100)
        print(f"  {name:32} p50 {cuts[49]:6.2f} ms   p99 {cuts[98]:6.2f} ms")


if __name__ == "__main__":
    main()
