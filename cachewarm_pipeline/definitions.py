"""The composition root: the only file that sees everything."""

from typing import Any

import dagster as dg

from cachewarm_pipeline.assets.answer_checks import answer_checks
from cachewarm_pipeline.assets.cache_entries import cache_entries
from cachewarm_pipeline.assets.daily_query_counts import daily_query_counts
from cachewarm_pipeline.assets.embeddings import embeddings
from cachewarm_pipeline.assets.entry_payback import entry_payback
from cachewarm_pipeline.assets.frequent_queries import frequent_queries
from cachewarm_pipeline.assets.golden_candidates import golden_candidates
from cachewarm_pipeline.assets.labelled_queries import labelled_queries
from cachewarm_pipeline.assets.live_cache import live_cache
from cachewarm_pipeline.assets.match_rules import match_rules
from cachewarm_pipeline.assets.net_return import net_return
from cachewarm_pipeline.assets.replay import replay
from cachewarm_pipeline.assets.serving_counts import cache_counters, serving_counts
from cachewarm_pipeline.assets.sources import external_assets
from cachewarm_pipeline.assets.synthetic_variants import synthetic_variants
from cachewarm_pipeline.assets.warming_impact import warming_impact
from cachewarm_pipeline.assets.warming_plan import warming_plan
from cachewarm_pipeline.automation.alerts import failed_runs
from cachewarm_pipeline.automation.catch_up_sensor import catch_up_sensor
from cachewarm_pipeline.automation.hit_rate_sensor import hit_rate_sensor
from cachewarm_pipeline.automation.jobs import jobs
from cachewarm_pipeline.automation.off_peak_sensor import off_peak_sensor
from cachewarm_pipeline.automation.schedules import schedules
from cachewarm_pipeline.automation.wrong_hit_sensor import wrong_hit_sensor
from cachewarm_pipeline.checks import asset_checks
from cachewarm_pipeline.settings import Settings, load_settings
from cachewarm_pipeline.workspace.workspace import WorkspaceResource

assets: list[Any] = [
    *external_assets,
    golden_candidates,
    daily_query_counts,
    frequent_queries,
    synthetic_variants,
    labelled_queries,
    entry_payback,
    answer_checks,
    embeddings,
    warming_plan,
    match_rules,
    replay,
    cache_entries,
    live_cache,
    cache_counters,
    serving_counts,
    warming_impact,
    net_return,
]


def definitions(
    settings: Settings, workspace: Any, executor: dg.ExecutorDefinition = dg.in_process_executor
) -> dg.Definitions:
    """Everything, with the switches of these settings and this workspace resource.

    In process by default: five small assets take 5 s in one process and 20 s or more with a process each.
    """
    return dg.Definitions(
        assets=assets,
        asset_checks=asset_checks,
        jobs=jobs,
        schedules=schedules(settings),
        sensors=[
            catch_up_sensor(settings),
            hit_rate_sensor(settings),
            wrong_hit_sensor(settings),
            off_peak_sensor(settings),
            failed_runs,
        ],
        resources={"workspace": workspace},
        executor=executor,
    )


defs = definitions(load_settings(), WorkspaceResource())
