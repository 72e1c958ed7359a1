"""Publishing the plan of a day: what the gates let pass goes to Redis, at once or little by little."""

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
from cachewarm_pipeline.publishing.redis.cache_store import Published
from cachewarm_pipeline.settings.off_peak_window import allowance
from cachewarm_pipeline.storage.schemas import GATES


def publish_plan(
    ports: CachePorts,
    day: date,
    plan: pa.Table,
    rules: MatchRules,
    forecast: float | None,
    progress: Progress,
) -> Published:
    """At once, or with progressive loading as much as the window and the pace allow now."""
    settings, cache, now = ports.settings, ports.cache, ports.now()
    vectors = ports.vectors.get(plan["embedding_key"].to_pylist())
    what: dict[str, Any] = {
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
        return cache.publish(plan, vectors, **what)

    def allowed(last: datetime | None) -> int:
        if not settings.window.contains(now):
            return 0
        return allowance(settings.entries_per_minute, settings.progressive_minutes, last, now)

    return cache.publish_some(plan, vectors, allowance=allowed, **what)


def drop_unpublishable(ports: CachePorts, day: date, warn: Progress) -> None:
    """A generation of the day that is being filled, whose plan may not be published any more, makes room."""
    if not ports.settings.progressive or not ports.settings.window.contains(ports.now()):
        return
    filling = ports.cache.filling()
    if filling and filling.as_of == day:
        ports.cache.drop_filling(ports.now())
        warn(f"{filling.id} was being filled, but its plan may not be published any more: it was removed")


def stored_forecast(ports: CachePorts, day: date) -> float | None:
    """Hit rate that the day's replay expects; None where nothing was held out."""
    if not ports.datasets.exists("replay", day):
        return None
    return forecast_hit_rate(ports.datasets.read("replay", day, ["warmed_hits", "lookups"]))


def expected_figures(rules: MatchRules, forecast: float | None) -> dict[str, Any]:
    """Numbers that Dagster draws as a history: the forecast, and the worst bound that a certificate gives."""
    bounds = [rule["upper"] for rule in rules.describe() if rule["certified"] and rule["upper"] is not None]
    return {
        **({"hit_rate_forecast": forecast} if forecast is not None else {}),
        **({"wrong_hit_bound": max(bounds)} if bounds else {}),
    }


def proven_plan(ports: CachePorts, day: date) -> tuple[pa.Table, MatchRules]:
    """The day's entries, each with its place in the learned space, and its match rules, as the gates let them pass.

    A run of this asset alone bypasses Dagster's blocking checks, so the gates' stored verdicts are asked for exactly
    this plan. Raises CacheError when one failed, is missing, or is about something else.
    """
    settings, datasets = ports.settings, ports.datasets
    plan, rules = publishable_plan(datasets, day)
    entries, whole = plan_hash(plan.drop_columns([RULE_VECTORS])), plan_hash(plan, rules.as_dict())
    withheld = {}
    for gate in GATES:
        judged = whole if gate == "false_positive_rate" else entries
        withheld.update(passed_verdict(datasets, gate, day, judged, gate_limits(settings, gate)))
    return plan, rules.withhold(withheld)
