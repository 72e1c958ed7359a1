"""The plan as a new generation in Redis: built, verified, then published by one alias switch. The only asset that
touches Redis. A range of days publishes its last day; an older day never replaces a newer live generation."""

from datetime import date

import dagster as dg
import pyarrow as pa

from cachewarm_pipeline.assets.common import CACHE, OWNERS, record, records, table_metadata
from cachewarm_pipeline.core.match import MatchRules
from cachewarm_pipeline.core.plan import plan_hash
from cachewarm_pipeline.core.schemas import GATES
from cachewarm_pipeline.core.search import RULE_VECTORS
from cachewarm_pipeline.partitions import daily, days_of, one_run
from cachewarm_pipeline.resources.verdicts import limits_of, passed_verdict, planned
from cachewarm_pipeline.resources.workspace import Workspace


@dg.asset(
    deps=["warming_plan", "embeddings", "match_rules", "replay"],
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
    plan, rules = _proven(workspace, day)
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
            **table_metadata(
                plan.drop_columns([RULE_VECTORS]), examples=("prompt", "agent_type", "source", "response")
            ),
            "published": True,
            "match_rules": records(rules.describe()),
            "unchanged": published.unchanged,
            "generation": published.generation,
            "written": published.written,
            "ttls_renewed": published.ttls_renewed,
            "generations_removed": list(published.removed),
            "seconds": published.seconds,
        },
    )


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
        agent_types, sentence = passed_verdict(datasets, gate, day, judged, limits_of(settings, gate))
        withheld.update(dict.fromkeys(agent_types, f"withheld by {gate}: {sentence}"))
    return plan, rules.withhold(withheld)
