"""Publishes the plan of a day: what passed the gates goes to Redis, at once or progressively."""

from datetime import date, datetime
from typing import Any

import pyarrow as pa
from cachewarm_client.match_rules import MatchRules
from cachewarm_client.redis_search_commands import RULE_VECTORS

from cachewarm_pipeline.freshness.service import ttl_days_by_agent
from cachewarm_pipeline.planning.warming_plan import plan_hash
from cachewarm_pipeline.ports import Progress
from cachewarm_pipeline.proof.gate_verdict_store import gate_limits, passed_verdict, publishable_plan
from cachewarm_pipeline.proof.replay_summary import forecast_hit_rate
from cachewarm_pipeline.publishing.cache_ports import CachePorts
from cachewarm_pipeline.publishing.redis.publish_request import PublishOptions, PublishResult
from cachewarm_pipeline.settings.off_peak_window import allowance
from cachewarm_pipeline.storage.schemas import GATES


def publish_plan(
    ports: CachePorts,
    day: date,
    plan: pa.Table,
    rules: MatchRules,
    forecast: float | None,
    progress: Progress,
) -> PublishResult:
    """Publish a plan at once. With progressive loading, load as much as the off-peak window and rate allow now.

    ``forecast``: hit rate that the replay expects (``stored_forecast``). Raises CacheError as ``CacheStore.publish``.
    """
    settings, cache, now = ports.settings, ports.cache, ports.now()
    vectors = ports.vectors.get(plan["embedding_key"].to_pylist())
    options: PublishOptions = {
        "as_of": day,
        "plan_hash": plan_hash(plan, rules.as_dict()),
        "embedder": ports.embedder.info,
        "rules": rules,
        "ttl_days": settings.ttl_days,
        "ttl_days_by_agent": ttl_days_by_agent(ports.datasets, day, settings),
        "ttl_jitter": settings.ttl_jitter,
        "forecast_hit_rate": forecast,
        "now": now,
        "allow_rollback": settings.allow_rollback,
        "progress": progress,
    }
    if not settings.progressive:
        return cache.publish(plan, vectors, **options)

    def allowed(last: datetime | None) -> int:
        if not settings.window.contains(now):
            return 0
        return allowance(settings.entries_per_minute, settings.progressive_minutes, last, now)

    return cache.publish_some(plan, vectors, allowance=allowed, **options)


def drop_unpublishable(ports: CachePorts, day: date, warn: Progress) -> None:
    """Remove the day's generation that is being filled, when its plan may not be published any more.

    This makes room for the next plan. In peak hours nothing is removed.
    """
    if not ports.settings.progressive or not ports.settings.window.contains(ports.now()):
        return
    filling = ports.cache.filling()
    if filling and filling.as_of == day:
        ports.cache.drop_filling(ports.now())
        warn(f"{filling.id} was being filled, but its plan may not be published any more: it was removed")


def stored_forecast(ports: CachePorts, day: date) -> float | None:
    """Hit rate, 0 to 1, that the day's replay expects; None when no traffic was held out."""
    if not ports.datasets.exists("replay", day):
        return None
    return forecast_hit_rate(ports.datasets.read("replay", day, ["warmed_hits", "lookups"]))


def expected_figures(rules: MatchRules, forecast: float | None) -> dict[str, Any]:
    """Metadata that Dagster plots over time: the forecast, and the highest certified bound of the wrong-hit rate."""
    bounds = [rule["upper"] for rule in rules.describe() if rule["certified"] and rule["upper"] is not None]
    return {
        **({"hit_rate_forecast": forecast} if forecast is not None else {}),
        **({"wrong_hit_bound": max(bounds)} if bounds else {}),
    }


def proven_plan(ports: CachePorts, day: date) -> tuple[pa.Table, MatchRules]:
    """The day's entries, with their vectors in the learned space, and its match rules, as the gates let them pass.

    A run of `cache_entries` alone bypasses Dagster's blocking checks. So this reads the stored verdicts of the gates,
    for exactly this plan. Raises CacheError when a verdict is negative, missing, or about another plan.
    """
    settings, datasets = ports.settings, ports.datasets
    plan, rules = publishable_plan(datasets, day)
    entries_hash, whole_hash = plan_hash(plan.drop_columns([RULE_VECTORS])), plan_hash(plan, rules.as_dict())
    withheld = {}
    for gate in GATES:
        judged = whole_hash if gate == "false_positive_rate" else entries_hash
        withheld.update(passed_verdict(datasets, gate, day, judged, gate_limits(settings, gate)))
    return plan, rules.withhold(withheld)
