"""The published cache as Dagster assets: the new generation, and the live cache that readers open."""

from typing import Any

import dagster as dg
import pyarrow as pa
from cachewarm_client.match_rules import MatchRules
from cachewarm_client.redis_search_commands import RULE_VECTORS

from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.lineage.asset_page import record_day, records, table_metadata
from cachewarm_pipeline.lineage.daily_asset import CACHE_GROUP, DAILY_FRESH, OWNERS, daily_asset
from cachewarm_pipeline.lineage.partitions import days_of
from cachewarm_pipeline.publishing.redis.publish_request import PublishResult
from cachewarm_pipeline.publishing.service import (
    drop_unpublishable,
    expected_figures,
    proven_plan,
    publish_plan,
    stored_forecast,
)
from cachewarm_pipeline.workspace.workspace import Workspace


@daily_asset(
    deps=["warming_plan", "embeddings", "match_rules", "replay"],
    group=CACHE_GROUP,
    kinds={"redis", "redisvl"},
    pool="redis",
    freshness_policy=DAILY_FRESH,
)
def cache_entries(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """The plan as a new generation in Redis: loaded, verified, then published by switching one alias. It is the only
    asset that writes entries to Redis, and it publishes only what all gates have passed. A range of days publishes its
    last day, and an older day never replaces a newer live generation. With progressive loading, each run writes as many
    entries as the off-peak window allows; the last one verifies and publishes."""
    *earlier, day = days_of(context)
    for skipped in earlier:
        record_day(context, skipped, {"published": False, "why_not": "a range publishes its last day only"})
    try:
        plan, rules = proven_plan(workspace, day)
    except CachewarmError:
        drop_unpublishable(workspace, day, context.log.warning)
        raise
    forecast = stored_forecast(workspace, day)
    published = publish_plan(workspace, day, plan, rules, forecast, context.log.info)
    if published.published:
        record_day(context, day, _published_metadata(published, plan, rules, forecast))
    else:
        context.log.info(published.why_not)
        record_day(context, day, _unpublished_metadata(workspace, published, plan.num_rows))


def _published_metadata(
    published: PublishResult, plan: pa.Table, rules: MatchRules, forecast: float | None
) -> dict[str, Any]:
    return {
        "published": True,
        "generation": published.generation,
        "entries": published.entries,
        **expected_figures(rules, forecast),
        "written": published.written,
        "unchanged": published.unchanged,
        "ttls_renewed": published.ttls_renewed,
        "generations_removed": list(published.removed),
        "seconds": published.seconds,
        "match_rules": records(rules.describe()),
        **table_metadata(plan.drop_columns([RULE_VECTORS]), examples=("prompt", "agent_type", "source", "response")),
    }


def _unpublished_metadata(workspace: Workspace, published: PublishResult, entries: int) -> dict[str, Any]:
    """Why the day was not published; with progressive loading also how much of the plan is loaded."""
    pinned = workspace.settings.progressive and workspace.cache.pinned() is not None
    loading: dict[str, Any] = {}
    if published.waits or pinned:
        loading = {"loaded": published.loaded if published.waits else 0, "of": entries, "pinned": pinned}
    return {"published": False, "why_not": published.why_not, **loading}


_COLUMNS = {
    "entry_id": ("text", "hash of canonical prompt and agent_type"),
    "prompt": ("text", "original spelling"),
    "response": ("text", "the answer that is served; a withdrawn entry has none"),
    "prompt_vector": ("float32 bytes", "vector of the prompt, for cosine distance"),
    "agent_type": ("tag", "a lookup only matches entries of its own agent_type"),
    "source": ("tag", "golden, query_log or synthetic"),
    "quality_score": ("0..1", "quality of the answer"),
    "answer_group": ("text", "entries with equivalent answers share it"),
    "inserted_at": ("seconds", "when the entry was first written"),
    "updated_at": ("seconds", "when the entry was last written"),
    "metadata": ("JSON", "source, generation, provenance of the answer"),
}

live_cache = dg.AssetSpec(
    "live_cache",
    deps=["cache_entries"],
    description="The cache that readers open: the alias in Redis that points to the live generation, and the app "
    "entries. Runs publish to it through `cache_entries`, and `cachewarm rollback` restores the previous generation. "
    "The hit-rate sensor records hit rate and lookups here.",
    group_name=CACHE_GROUP,
    owners=OWNERS,
    kinds={"redis", "redisvl"},
    metadata={
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(name, kind, description=what) for name, (kind, what) in _COLUMNS.items()]
        )
    },
)
