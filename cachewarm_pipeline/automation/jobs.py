"""Jobs by asset selection."""

import dagster as dg

mine_log = dg.define_asset_job(
    "mine_log",
    selection=dg.AssetSelection.assets("daily_query_counts"),
    description="Reduce days of the query log to counts. Backfill this over past days; a range is one run.",
)

warm_cache = dg.define_asset_job(
    "warm_cache",
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets("answer_checks"),
    description="The whole graph for one day: candidates, plan, gates, and a published generation.",
)

jobs = [mine_log, warm_cache]
