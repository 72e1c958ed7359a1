"""The replay as a Dagster asset."""

import dagster as dg

from cachewarm_pipeline.answers.noise_floor import stored_noise
from cachewarm_pipeline.lineage.asset_page import record_day
from cachewarm_pipeline.lineage.daily_asset import PAID_POOL, VERIFICATION_GROUP, daily_asset, paid_days
from cachewarm_pipeline.lineage.partitions import days_of, replay_window
from cachewarm_pipeline.proof.replay_history_chart import ReplayHistory
from cachewarm_pipeline.proof.replay_page import replay_metadata
from cachewarm_pipeline.proof.service import replay_day
from cachewarm_pipeline.query_log.mined_days import DAILY
from cachewarm_pipeline.workspace.workspace import Workspace


@daily_asset(
    deps=[
        "analyses",
        "findings",
        dg.AssetDep(DAILY, partition_mapping=replay_window),
        # After the day's own plan, rules and vectors, so that nothing is embedded or judged twice.
        "match_rules",
    ],
    group=VERIFICATION_GROUP,
    kinds={"numpy", "parquet"},
    pool=PAID_POOL,
)
def replay(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """What this configuration would have done on held-out days. Plan and match rules are made from the log before them;
    then every lookup of the held-out days is simulated against a warmed cache, and against a cold one that fills
    itself. The page shows hit rates, wrong hits and the lift, with intervals: it is the forecast for the plan."""
    datasets, settings = workspace.datasets, workspace.settings
    days = days_of(context)
    history = ReplayHistory(datasets, days[0], days[-1], context.log.warning)
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        replayed = replay_day(workspace, day, judge, context.log.info)
        datasets.write("replay_decisions", day, replayed.decisions)
        datasets.write("replay", day, replayed.rows)
        history.put(day, replayed.rows)
        past = history.metadata(day, settings.max_wrong_hit_rate)
        page = replay_metadata(workspace, replayed, past, judge, stored_noise(datasets, day))
        record_day(context, day, page, spent=workspace.ledger.usd())
