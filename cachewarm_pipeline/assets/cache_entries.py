"""The plan as a new generation in Redis: built, verified, then published by one alias switch. The only asset that
touches Redis. A range of days publishes its last day; an older day never replaces a newer live generation. With
progressive loading each run writes its off-peak allowance and ends; the last one verifies and publishes."""

from datetime import date, datetime
from typing import Any

import dagster as dg
import pyarrow as pa
from cachewarm_client.match_rules import MatchRules
from cachewarm_client.redis_search_commands import RULE_VECTORS

from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.freshness.service import ttl_days_by_agent
from cachewarm_pipeline.lineage.asset_page import CACHE, DAILY_FRESH, OWNERS, record, records, table_metadata
from cachewarm_pipeline.lineage.partitions import daily, days_of, one_run
from cachewarm_pipeline.planning.warming_plan import plan_hash
from cachewarm_pipeline.ports import Progress
from cachewarm_pipeline.proof.gate_verdict_store import limits_of, passed_verdict, planned
from cachewarm_pipeline.proof.replay_summary import forecast_hit_rate
from cachewarm_pipeline.publishing.redis.cache_store import Published
from cachewarm_pipeline.settings.off_peak_window import allowance
from cachewarm_pipeline.storage.schemas import GATES
from cachewarm_pipeline.workspace.workspace import Workspace


@dg.asset(
    deps=["warming_plan", "embeddings", "match_rules", "replay"],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=CACHE,
    owners=OWNERS,
    kinds={"redis", "redisvl"},
    pool="redis",
    freshness_policy=DAILY_FRESH,
    description=__doc__,
)
def cache_entries(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    days = days_of(context)
    for passed_by in days[:-1]:
        record(context, passed_by, {"published": False, "why_not": "a range publishes its last day only"})
    day = days[-1]
    try:
        plan, rules = _proven(workspace, day)
    except CachewarmError:
        _let_go(workspace, day, context.log.warning)
        raise
    forecast = _forecast(workspace, day)
    published = _publish(workspace, day, plan, rules, forecast, context.log.info)
    if not published.published:
        context.log.info(published.why_not)
        pinned = workspace.settings.progressive and workspace.cache.pinned() is not None
        loading: dict[str, Any] = {}
        if published.waits or pinned:
            loading = {"loaded": published.loaded if published.waits else 0, "of": plan.num_rows, "pinned": pinned}
        record(context, day, {"published": False, "why_not": published.why_not, **loading})
        return
    record(
        context,
        day,
        {
            "published": True,
            "generation": published.generation,
            "entries": published.entries,
            **_expected(rules, forecast),
            "written": published.written,
            "unchanged": published.unchanged,
            "ttls_renewed": published.ttls_renewed,
            "generations_removed": list(published.removed),
            "seconds": published.seconds,
            "match_rules": records(rules.describe()),
            **table_metadata(
                plan.drop_columns([RULE_VECTORS]), examples=("prompt", "agent_type", "source", "response")
            ),
        },
    )


def _publish(
    workspace: Workspace,
    day: date,
    plan: pa.Table,
    rules: MatchRules,
    forecast: float | None,
    progress: Progress,
) -> Published:
    """At once, or with progressive loading as much as the window and the pace allow now."""
    settings, cache, now = workspace.settings, workspace.cache, workspace.now()
    vectors = workspace.vectors.get(plan["embedding_key"].to_pylist())
    what: dict[str, Any] = {
        "as_of": day,
        "plan_hash": plan_hash(plan, rules.as_dict()),
        "embedder": workspace.embedder.info,
        "rules": rules,
        "ttl_days": settings.ttl_days,
        "ttl_days_by_agent": ttl_days_by_agent(workspace.datasets, day, settings),
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


def _let_go(workspace: Workspace, day: date, warn: Progress) -> None:
    """A generation of the day that is being filled, whose plan may not be published any more, makes room."""
    if not workspace.settings.progressive or not workspace.settings.window.contains(workspace.now()):
        return
    filling = workspace.cache.filling()
    if filling and filling.as_of == day:
        workspace.cache.drop_filling(workspace.now())
        warn(f"{filling.id} was being filled, but its plan may not be published any more: it was removed")


def _forecast(workspace: Workspace, day: date) -> float | None:
    """Hit rate that the day's replay expects; None where nothing was held out."""
    if not workspace.datasets.exists("replay", day):
        return None
    return forecast_hit_rate(workspace.datasets.read("replay", day, ["warmed_hits", "lookups"]))


def _expected(rules: MatchRules, forecast: float | None) -> dict[str, Any]:
    """Numbers that Dagster draws as a history: the forecast, and the worst bound that a certificate gives."""
    bounds = [rule["upper"] for rule in rules.describe() if rule["certified"] and rule["upper"] is not None]
    return {
        **({"hit_rate_forecast": forecast} if forecast is not None else {}),
        **({"wrong_hit_bound": max(bounds)} if bounds else {}),
    }


def _proven(workspace: Workspace, day: date) -> tuple[pa.Table, MatchRules]:
    """The day's entries, each with its place in the learned space, and its match rules, as the gates let them pass.

    A run of this asset alone bypasses Dagster's blocking checks, so the gates' stored verdicts are asked for exactly
    this plan. Raises CacheError when one failed, is missing, or is about something else.
    """
    settings, datasets = workspace.settings, workspace.datasets
    plan, rules = planned(datasets, day)
    entries, whole = plan_hash(plan.drop_columns([RULE_VECTORS])), plan_hash(plan, rules.as_dict())
    withheld = {}
    for gate in GATES:
        judged = whole if gate == "false_positive_rate" else entries
        withheld.update(passed_verdict(datasets, gate, day, judged, limits_of(settings, gate)))
    return plan, rules.withhold(withheld)
