"""The replay as a Dagster asset."""

import dagster as dg

from cachewarm_pipeline.lineage.asset_page import judge_metadata, record, records, table_metadata
from cachewarm_pipeline.lineage.daily_asset import PAID, VERIFICATION, daily_asset, paid_days
from cachewarm_pipeline.lineage.partitions import days_of, replay_window
from cachewarm_pipeline.proof.replay_history_chart import ReplayHistory
from cachewarm_pipeline.proof.replay_page import precision_picture, rates_row
from cachewarm_pipeline.proof.replay_summary import summary
from cachewarm_pipeline.proof.service import BOOTSTRAP_SEED, replay_day
from cachewarm_pipeline.query_log.mined_days import DAILY
from cachewarm_pipeline.workspace.workspace import Workspace

_FIRST = ("hit_rate", "cold_hit_rate", "lift", "lift_interval", "wrong_hit_rate", "wrong_hit_rate_upper", "lookups")
"""What the forecast says, in the order in which a person asks."""


@daily_asset(
    deps=[
        "analyses",
        "findings",
        dg.AssetDep(DAILY, partition_mapping=replay_window),
        # After the day's own plan, rules and vectors: what they embedded and judged is not done twice.
        "match_rules",
    ],
    group=VERIFICATION,
    kinds={"numpy", "parquet"},
    pool=PAID,
)
def replay(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """What this recipe would have done on held-out days: plan and match rules are made from the log before them, then
    their traffic is looked up. Warmed against a cold cache that only fills itself, with wrong hits and intervals."""
    datasets, settings = workspace.datasets, workspace.settings
    days = days_of(context)
    history = ReplayHistory(datasets, days[0], days[-1], context.log.warning)
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        done = replay_day(workspace, day, judge, context.log.info)
        datasets.write("replay_decisions", day, done.decisions)
        datasets.write("replay", day, done.rows)
        history.put(day, done.rows)
        found = summary(done.rows, done.decisions, delta=settings.delta, seed=BOOTSTRAP_SEED)
        by_agent = found.pop("agent_types")
        record(
            context,
            day,
            {
                "held_out": f"{done.days[0]} to {done.days[-1]}" if done.days else done.why_none,
                **history.metadata(day, settings.max_wrong_hit_rate),
                **{name: found[name] for name in _FIRST if found[name] is not None},
                "precision_and_hit_rate": precision_picture(
                    done.decisions, found["lookups"], settings.max_wrong_hit_rate
                ),
                "agent_types": records([rates_row(name, own) for name, own in by_agent.items()]),
                **{name: value for name, value in found.items() if value is not None and name not in _FIRST},
                **table_metadata(done.rows, None, ("date", "agent_type", "lookups", "warmed_hits", "cold_hits")),
                **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
                **done.usage,
            },
            spent=workspace.ledger.usd(),
        )
