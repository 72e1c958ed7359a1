"""The composition root: the only file that imports all assets, checks, jobs, schedules and sensors."""

from typing import Any

import dagster as dg

from cachewarm_pipeline.automation.alerts import failed_runs
from cachewarm_pipeline.automation.catch_up_sensor import catch_up_sensor
from cachewarm_pipeline.automation.hit_rate_sensor import hit_rate_sensor
from cachewarm_pipeline.automation.jobs import jobs
from cachewarm_pipeline.automation.off_peak_sensor import off_peak_sensor
from cachewarm_pipeline.automation.schedules import schedules
from cachewarm_pipeline.automation.wrong_hit_sensor import wrong_hit_sensor
from cachewarm_pipeline.candidates.assets import frequent_queries, golden_candidates, synthetic_variants
from cachewarm_pipeline.freshness.assets import answer_checks
from cachewarm_pipeline.lineage.workspace_resource import WorkspaceResource
from cachewarm_pipeline.match_rules.assets import labelled_queries, match_rules
from cachewarm_pipeline.measurement.assets import (
    cache_counters,
    entry_payback,
    net_return,
    serving_counts,
    warming_impact,
)
from cachewarm_pipeline.measurement.checks import day_is_counted
from cachewarm_pipeline.planning.assets import embeddings, warming_plan
from cachewarm_pipeline.proof.assets import replay
from cachewarm_pipeline.proof.checks import (
    embedding_sanity,
    false_positive_rate,
    no_conflicting_entries,
    quality_threshold,
    volatile_or_personal_share,
)
from cachewarm_pipeline.publishing.assets import cache_entries, live_cache
from cachewarm_pipeline.publishing.checks import loaded_equals_planned
from cachewarm_pipeline.query_log.assets import daily_query_counts, external_assets
from cachewarm_pipeline.settings import Settings, load_settings

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

asset_checks = [
    embedding_sanity,
    quality_threshold,
    no_conflicting_entries,
    volatile_or_personal_share,
    false_positive_rate,
    loaded_equals_planned,
    day_is_counted,
]


def definitions(
    settings: Settings, workspace: Any, executor: dg.ExecutorDefinition = dg.in_process_executor
) -> dg.Definitions:
    """Dagster's definitions: all assets and checks, and the schedules and sensors that ``settings`` switch on.

    ``workspace``: the resource ``workspace``. Runs are in-process by default: five small assets take 5 s in one
    process, and 20 s or more with one process each.
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
