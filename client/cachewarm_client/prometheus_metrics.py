"""Prometheus metrics of WarmedSemanticCache; needs the extra ``prometheus``.

    from cachewarm_client.prometheus_metrics import register_metrics

    cache = WarmedSemanticCache(name="cachewarm", redis_url="redis://localhost:6379")
    register_metrics(cache)  # prometheus_client exports them with your own metrics

Each process reports its own lookups, without asking Redis. ``cache.get_stats()`` adds up all processes.
"""

import bisect
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.counters import LookupOutcome

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, InfoMetricFamily, Metric

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Upper bounds in seconds: an exact hit takes less than a millisecond, a semantic hit as long as its embedding."""

MAX_AGENT_TYPES = 100
"""A label's values live as long as the process: further agent types are counted together, as OTHERS."""

OTHERS = "(others)"

_registered: "weakref.WeakKeyDictionary[CollectorRegistry, CacheMetrics]" = weakref.WeakKeyDictionary()
_registering = threading.Lock()


def register_metrics(cache: WarmedSemanticCache, registry: "CollectorRegistry | None" = None) -> "CacheMetrics":
    """Report a cache's lookups to Prometheus from now on; returns the collector, one per registry.

    ``registry`` defaults to prometheus_client's own. A second call for the same cache changes nothing. The cache is not
    kept alive. All metrics have the label ``cache``:

    - ``cachewarm_lookups_total`` by ``agent_type``, ``arm`` and ``match`` (exact, semantic, miss, error)
    - ``cachewarm_lookup_seconds``, a histogram by ``match``: from the call until the lookup was decided
    - ``cachewarm_lost_counter_commands_total``: counts that did not reach Redis, and calls of ``holdout_key`` that
      failed (``stats_errors``)
    - ``cachewarm_generation_info`` by ``generation``: 1 for the generation that the last lookup read

    Raises ImportError where prometheus-client is not installed.
    """
    try:
        import prometheus_client
    except ImportError as error:
        raise ImportError(
            'metrics for Prometheus need prometheus-client: pip install "cachewarm-client[prometheus]"'
        ) from error
    into = prometheus_client.REGISTRY if registry is None else registry
    with _registering:
        metrics = _registered.get(into)
        if metrics is None:
            metrics = CacheMetrics()
            into.register(metrics)
            _registered[into] = metrics
        metrics.watch(cache)
    return metrics


class CacheMetrics:
    """Counts lookups in this process, and reports them when Prometheus scrapes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._caches: weakref.WeakSet[WarmedSemanticCache] = weakref.WeakSet()
        self._lookups: Counter[tuple[str, str, str, str]] = Counter()
        self._agent_types: dict[str, set[str]] = {}
        self._buckets: dict[tuple[str, str], list[int]] = {}
        self._seconds: dict[tuple[str, str], float] = {}

    def watch(self, cache: WarmedSemanticCache) -> None:
        """Count the lookups of one more cache; watching it twice does not count them twice."""
        name = cache.name
        with self._lock:
            if cache in self._caches:
                return
            self._caches.add(cache)

        def on_lookup(outcome: LookupOutcome, agent_type: str, arm: str, seconds: float) -> None:
            self._count(name, outcome, agent_type, arm, seconds)

        cache.listen(on_lookup)

    def describe(self) -> "Iterator[Metric]":
        """The metrics without values: a registry reads their names when this is registered."""
        return iter(self._families())

    def collect(self) -> "Iterator[Metric]":
        """The metrics as they are now."""
        lookups, seconds, lost, generation = families = self._families()
        with self._lock:
            for (name, agent_type, arm, match), number in sorted(self._lookups.items()):
                lookups.add_metric([name, agent_type, arm, match], number)
            for (name, match), counts in sorted(self._buckets.items()):
                upto, buckets = 0, []
                for bound, number in zip([*map(str, LATENCY_BUCKETS), "+Inf"], counts, strict=True):
                    upto += number
                    buckets.append((bound, upto))
                seconds.add_metric([name, match], buckets, self._seconds[name, match])
            caches = list(self._caches)
        errors: Counter[str] = Counter()
        for cache in caches:
            errors[cache.name] += cache.stats_errors
        for name, number in sorted(errors.items()):
            lost.add_metric([name], number)
        for name, live in sorted({(cache.name, cache.generation) for cache in caches}):
            generation.add_metric([name], {"generation": live})
        return iter(families)

    def _count(self, name: str, outcome: LookupOutcome, agent_type: str, arm: str, seconds: float) -> None:
        place = bisect.bisect_left(LATENCY_BUCKETS, seconds)
        with self._lock:
            known = self._agent_types.setdefault(name, set())
            if agent_type not in known:
                if len(known) < MAX_AGENT_TYPES:
                    known.add(agent_type)
                else:
                    agent_type = OTHERS
            self._lookups[name, agent_type, arm, outcome] += 1
            self._buckets.setdefault((name, outcome), [0] * (len(LATENCY_BUCKETS) + 1))[place] += 1
            self._seconds[name, outcome] = self._seconds.get((name, outcome), 0.0) + seconds

    @staticmethod
    def _families() -> "tuple[CounterMetricFamily, HistogramMetricFamily, CounterMetricFamily, InfoMetricFamily]":
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, InfoMetricFamily

        return (
            CounterMetricFamily(
                "cachewarm_lookups",
                "Lookups in this process by how they ended.",
                labels=["cache", "agent_type", "arm", "match"],
            ),
            HistogramMetricFamily(
                "cachewarm_lookup_seconds", "Seconds until a lookup was decided.", labels=["cache", "match"]
            ),
            CounterMetricFamily(
                "cachewarm_lost_counter_commands", "Counts that did not reach Redis.", labels=["cache"]
            ),
            InfoMetricFamily("cachewarm_generation", "The generation that the last lookup read.", labels=["cache"]),
        )
