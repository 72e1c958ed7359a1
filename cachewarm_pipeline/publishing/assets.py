"""The published cache as Dagster sees it: the new generation, and what readers open."""

from typing import Any

import dagster as dg
from cachewarm_client.redis_search_commands import RULE_VECTORS

from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.lineage.asset_page import record_day, records, table_metadata
from cachewarm_pipeline.lineage.daily_asset import CACHE_GROUP, DAILY_FRESH, OWNERS, daily_asset
from cachewarm_pipeline.lineage.partitions import days_of
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
    """The plan as a new generation in Redis: built, verified, then published by one alias switch. The only asset that
    touches Redis. A range of days publishes its last day; an older day never replaces a newer live generation. With
    progressive loading each run writes its off-peak allowance and ends; the last one verifies and publishes."""
    days = days_of(context)
    for passed_by in days[:-1]:
        record_day(context, passed_by, {"published": False, "why_not": "a range publishes its last day only"})
    day = days[-1]
    try:
        plan, rules = proven_plan(workspace, day)
    except CachewarmError:
        drop_unpublishable(workspace, day, context.log.warning)
        raise
    forecast = stored_forecast(workspace, day)
    published = publish_plan(workspace, day, plan, rules, forecast, context.log.info)
    if not published.published:
        context.log.info(published.why_not)
        pinned = workspace.settings.progressive and workspace.cache.pinned() is not None
        loading: dict[str, Any] = {}
        if published.waits or pinned:
            loading = {"loaded": published.loaded if published.waits else 0, "of": plan.num_rows, "pinned": pinned}
        record_day(context, day, {"published": False, "why_not": published.why_not, **loading})
        return
    record_day(
        context,
        day,
        {
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
            **table_metadata(
                plan.drop_columns([RULE_VECTORS]), examples=("prompt", "agent_type", "source", "response")
            ),
        },
    )


_COLUMNS = {
    "entry_id": ("text", "hash of canonical prompt and agent_type"),
    "prompt": ("text", "original spelling"),
    "response": ("text", "what is served; a withdrawn entry has none"),
    "prompt_vector": ("float32 bytes", "of the prompt, cosine distance"),
    "agent_type": ("tag", "a lookup only matches entries of its own"),
    "source": ("tag", "golden, query_log or synthetic"),
    "quality_score": ("0..1", "of the answer"),
    "answer_group": ("text", "entries of equivalent answers share it"),
    "inserted_at": ("seconds", "when it was written"),
    "updated_at": ("seconds", "when it was written last"),
    "metadata": ("JSON", "source, generation, lineage of the answer"),
}

live_cache = dg.AssetSpec(
    "live_cache",
    deps=["cache_entries"],
    description="What readers open: the alias in Redis that points to the live generation, and the entries that the "
    "application has stored itself. The hit-rate sensor records hit rate and lookups here. A run publishes to it "
    "through `cache_entries`; `cachewarm rollback` goes back.",
    group_name=CACHE_GROUP,
    owners=OWNERS,
    kinds={"redis", "redisvl"},
    metadata={
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(name, kind, description=what) for name, (kind, what) in _COLUMNS.items()]
        )
    },
)
