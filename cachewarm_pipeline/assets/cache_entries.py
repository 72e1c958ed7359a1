"""The plan as a new generation in Redis: built, verified, then published by one alias switch. The only asset that
touches Redis. A range of days publishes its last day; an older day never replaces a newer live generation."""

import dagster as dg

from cachewarm_pipeline.assets.common import CACHE, OWNERS, record, table_metadata
from cachewarm_pipeline.core import gates
from cachewarm_pipeline.core.errors import CacheError
from cachewarm_pipeline.core.match import MatchRules
from cachewarm_pipeline.core.plan import plan_hash
from cachewarm_pipeline.partitions import daily, days_of, one_run
from cachewarm_pipeline.resources.workspace import Workspace


@dg.asset(
    deps=["warming_plan", "embeddings"],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=CACHE,
    owners=OWNERS,
    kinds={"redis", "redisvl"},
    pool="redis",
    description=__doc__,
)
def cache_entries(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    settings, cache = workspace.settings, workspace.cache
    days = days_of(context)
    for passed_by in days[:-1]:
        record(context, passed_by, {"published": False, "why_not": "a range publishes its last day only"})
    day = days[-1]
    plan = workspace.datasets.read("warming_plan", day)
    # A run of this asset alone bypasses Dagster's blocking check, so the gate is asked again for exactly this plan.
    verdict = gates.quality_threshold(plan, settings.floors)
    if not verdict.passed:
        raise CacheError(f"quality_threshold: {verdict.sentence}")
    # A bound that was asked for cannot be promised without a certificate, so nothing semantic is served under it.
    asked_for_a_bound = settings.max_wrong_hit_rate is not None
    rules = MatchRules.exact_only() if asked_for_a_bound else MatchRules.uniform(settings.distance_threshold)
    published = cache.publish(
        plan,
        workspace.vectors.get(plan["embedding_key"].to_pylist()),
        as_of=day,
        plan_hash=plan_hash(plan, rules.as_dict()),
        embedder=workspace.embedder.info,
        rules=rules,
        ttl_days=settings.ttl_days,
        ttl_jitter=settings.ttl_jitter,
        now=workspace.now(),
        allow_rollback=settings.allow_rollback,
        progress=context.log.info,
    )
    if not published.published:
        record(context, day, {"published": False, "why_not": published.why_not})
        return
    record(
        context,
        day,
        {
            **table_metadata(plan, examples=("prompt", "agent_type", "source", "response")),
            "published": True,
            "unchanged": published.unchanged,
            "generation": published.generation,
            "written": published.written,
            "ttls_renewed": published.ttls_renewed,
            "generations_removed": list(published.removed),
            "seconds": published.seconds,
        },
    )
