"""The composition root: the only file that sees everything."""

import dagster as dg

from cachewarm_pipeline.assets.answer_checks import answer_checks
from cachewarm_pipeline.assets.cache_entries import cache_entries
from cachewarm_pipeline.assets.daily_query_counts import daily_query_counts
from cachewarm_pipeline.assets.embeddings import embeddings
from cachewarm_pipeline.assets.frequent_queries import frequent_queries
from cachewarm_pipeline.assets.golden_candidates import golden_candidates
from cachewarm_pipeline.assets.labelled_queries import labelled_queries
from cachewarm_pipeline.assets.live_cache import live_cache
from cachewarm_pipeline.assets.match_rules import match_rules
from cachewarm_pipeline.assets.replay import replay
from cachewarm_pipeline.assets.sources import external_assets
from cachewarm_pipeline.assets.synthetic_variants import synthetic_variants
from cachewarm_pipeline.assets.warming_plan import warming_plan
from cachewarm_pipeline.automation.jobs import jobs
from cachewarm_pipeline.checks import asset_checks
from cachewarm_pipeline.resources.workspace import WorkspaceResource

defs = dg.Definitions(
    assets=[
        *external_assets,
        golden_candidates,
        daily_query_counts,
        frequent_queries,
        synthetic_variants,
        labelled_queries,
        embeddings,
        answer_checks,
        warming_plan,
        match_rules,
        replay,
        cache_entries,
        live_cache,
    ],
    asset_checks=asset_checks,
    jobs=jobs,
    resources={"workspace": WorkspaceResource()},
    # Five small assets take 5 s in one process and 20 s or more with a process each.
    executor=dg.in_process_executor,
)
