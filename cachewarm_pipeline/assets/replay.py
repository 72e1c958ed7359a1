"""What this recipe would have done on held-out days: plan and match rules are made from the log before them, then their
traffic is looked up. Warmed against a cold cache that only fills itself, with wrong hits and intervals."""

from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.assets.replay_history import ReplayHistory
from cachewarm_pipeline.lineage.asset_page import (
    OWNERS,
    PAID,
    VERIFICATION,
    judge_metadata,
    paid_days,
    record,
    records,
    table_metadata,
)
from cachewarm_pipeline.lineage.partitions import daily, days_of, one_run, replay_window
from cachewarm_pipeline.plots.drawing import markdown_image, precision_hit_rate
from cachewarm_pipeline.proof.replay_summary import Curve, curve, summary
from cachewarm_pipeline.proof.service import BOOTSTRAP_SEED, replay_day
from cachewarm_pipeline.query_log.service import DAILY
from cachewarm_pipeline.workspace.workspace import Workspace

_FIRST = ("hit_rate", "cold_hit_rate", "lift", "lift_interval", "wrong_hit_rate", "wrong_hit_rate_upper", "lookups")
"""What the forecast says, in the order in which a person asks."""


@dg.asset(
    deps=[
        "analyses",
        "findings",
        dg.AssetDep(DAILY, partition_mapping=replay_window),
        # After the day's own plan, rules and vectors: what they embedded and judged is not done twice.
        "match_rules",
    ],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=VERIFICATION,
    owners=OWNERS,
    kinds={"numpy", "parquet"},
    pool=PAID,
    description=__doc__,
)
def replay(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
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
                "precision_and_hit_rate": _plot(done.decisions, found["lookups"], settings.max_wrong_hit_rate),
                "agent_types": records([_rates(name, own) for name, own in by_agent.items()]),
                **{name: value for name, value in found.items() if value is not None and name not in _FIRST},
                **table_metadata(done.rows, None, ("date", "agent_type", "lookups", "warmed_hits", "cold_hits")),
                **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
                **done.usage,
            },
            spent=workspace.ledger.usd(),
        )


def _rates(agent_type: str, found: dict[str, Any]) -> dict[str, Any]:
    shown = {
        "lookups": "lookups",
        "warmed": "hit_rate",
        "cold": "cold_hit_rate",
        "exact": "exact_hit_rate",
        "semantic": "semantic_hit_rate",
        "wrong": "wrong_hit_rate",
        "at most": "wrong_hit_rate_upper",
    }
    return {"agent_type": agent_type, **{heading: found[name] for heading, name in shown.items()}}


def _plot(decisions: pa.Table, lookups: int, target: float) -> dg.MetadataValue:
    """Precision against hit rate of semantic hits, by the learned score and by plain similarity."""
    near = decisions.filter(pc.and_(pc.not_equal(decisions["kind"], "exact"), pc.greater(decisions["judged"], 0)))
    if not near.num_rows or not lookups:
        return dg.MetadataValue.text("no semantic hit or near miss was judged")
    judged, wrong, asked = (near[name].to_numpy() for name in ("judged", "wrong", "lookups"))
    right, false = asked * (1 - wrong / judged), asked * wrong / judged
    curves: dict[str, Curve] = {
        "match rule": curve(near["score"].to_numpy(), right, false, lookups),
        "plain distance": curve(near["similarity"].to_numpy(), right, false, lookups),
    }
    served = np.array([kind == "semantic" for kind in near["kind"].to_pylist()])
    hits = float((right + false)[served].sum())
    at = {"match rule": (hits / lookups, float(right[served].sum()) / hits)} if hits else None
    return dg.MetadataValue.md(
        markdown_image(precision_hit_rate(curves, target, at), "precision against hit rate of semantic hits")
    )
