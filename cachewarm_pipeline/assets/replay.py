"""What this recipe would have done on held-out days: plan and match rules are made from the log before them, then their
traffic is looked up. Warmed against a cold cache that only fills itself, with wrong hits and intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.match_rules import MatchRules
from cachewarm_client.personal_data import find
from cachewarm_client.text import embedding_key

from cachewarm_pipeline.assets import steps
from cachewarm_pipeline.assets.planning import plan_day
from cachewarm_pipeline.assets.replay_history import ReplayHistory
from cachewarm_pipeline.errors import DatasetError
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
from cachewarm_pipeline.match_rules.match_model_fit import Scorer
from cachewarm_pipeline.models.embed_new_texts import embed_missing
from cachewarm_pipeline.plots.drawing import markdown_image, precision_hit_rate
from cachewarm_pipeline.ports import Judge
from cachewarm_pipeline.proof.held_out_lookups import AgentRecipe, AgentTraffic, replay_agent, traffic_of
from cachewarm_pipeline.proof.replay_summary import Curve, curve, summary
from cachewarm_pipeline.storage.schemas import REPLAY, REPLAY_DECISIONS
from cachewarm_pipeline.workspace.workspace import Workspace

SEED = 0
"""Of the bootstrap: the same days give the same interval."""


_FIRST = ("hit_rate", "cold_hit_rate", "lift", "lift_interval", "wrong_hit_rate", "wrong_hit_rate_upper", "lookups")
"""What the forecast says, in the order in which a person asks."""


@dataclass(frozen=True)
class Replayed:
    """``rows``: REPLAY; ``decisions``: REPLAY_DECISIONS; both empty with ``why_none`` where nothing was held out."""

    rows: pa.Table
    decisions: pa.Table
    days: list[date]
    usage: dict[str, Any]
    why_none: str = ""


@dg.asset(
    deps=[
        "analyses",
        "findings",
        dg.AssetDep(steps.DAILY, partition_mapping=replay_window),
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
        found = summary(done.rows, done.decisions, delta=settings.delta, seed=SEED)
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


def stored_replay(workspace: Workspace, day: date) -> tuple[pa.Table, dict[str, Any]]:
    """REPLAY of the day and what it adds up to (replay_summary.summary); of no rows where none is stored."""
    datasets = workspace.datasets
    rows, decisions = REPLAY.empty_table(), REPLAY_DECISIONS.empty_table()
    if datasets.exists("replay", day):
        rows, decisions = datasets.read("replay", day), datasets.read("replay_decisions", day)
    return rows, summary(rows, decisions, delta=workspace.settings.delta, seed=SEED)


def replay_day(workspace: Workspace, day: date, judge: Judge, progress: steps.Progress) -> Replayed:
    """The replay of the last days that end at ``day``: recipe from the days before them, then their lookups.

    Held out are ``replay_days``, at most a quarter of the days there are, so that a young log still has a past.
    """
    settings = workspace.settings
    try:
        there = steps.mined_days(workspace, day, settings.lookback_days + settings.replay_days)
    except DatasetError:
        if workspace.datasets.exists(steps.DAILY, day):
            raise
        there = []
    held_out = there[len(there) - min(settings.replay_days, len(there) // 4) :]
    if not held_out:
        why = "replay_days is 0" if not settings.replay_days else f"{len(there)} days of log, it takes 4"
        return Replayed(REPLAY.empty_table(), REPLAY_DECISIONS.empty_table(), [], {}, f"nothing held out: {why}")
    as_of = held_out[0] - timedelta(days=1)
    before = [d for d in there if d <= as_of][-settings.lookback_days :]
    progress(f"making the recipe of {as_of} from {len(before)} days, to look up {len(held_out)} held-out days")
    plan, rules, scorers, tokens = _recipe(workspace, as_of, before, _written(workspace, day), judge, progress)
    traffic = traffic_of((d, workspace.datasets.read(steps.DAILY, d)) for d in held_out)
    rows, decisions = [], []
    for agent_type in sorted(traffic):
        own = traffic[agent_type]
        skip = np.array([bool(find(prompt)) for prompt in own.prompts])
        entries = plan.filter(pc.equal(plan["agent_type"], agent_type))
        rule = rules.for_agent_type(agent_type)
        if rule.rule != "exact_only":
            texts = [prompt for prompt, left in zip(own.prompts, skip, strict=True) if not left]
            tokens += embed_missing(workspace.embedder, workspace.vectors, texts, progress).tokens
        recipe = AgentRecipe(
            entries, workspace.vectors.get(entries["embedding_key"].to_pylist()), rule, scorers.get(agent_type)
        )
        of_traffic = partial(_vectors, workspace, own)
        counted, decided = replay_agent(agent_type, own, recipe, held_out, of_traffic, skip, judge.same)
        progress(f"looked up {sum(own.lookups):,} requests of {agent_type!r}")
        rows.append(counted)
        decisions.append(decided)
    return Replayed(
        pa.concat_tables(rows) if rows else REPLAY.empty_table(),
        pa.concat_tables(decisions) if decisions else REPLAY_DECISIONS.empty_table(),
        held_out,
        {"tokens": tokens, "usd": tokens * workspace.embedder.info.usd_per_million_tokens / 1e6},
    )


def _recipe(
    workspace: Workspace, as_of: date, days: list[date], written: set[str], judge: Judge, progress: steps.Progress
) -> tuple[pa.Table, MatchRules, dict[str, Scorer], int]:
    """Entries, rules, the entries' places in the learned space as of that day, and the tokens of embedding them.

    ``written``: ids of the bases that may have variants.
    """
    golden, frequent = steps.golden(workspace, as_of)[0], steps.frequent(workspace, days, judge).table
    synthetic = steps.synthetic(workspace, golden, frequent, judge, progress, only=written)
    candidates = [golden, frequent, synthetic.table]
    labelled, _ = steps.labelled(workspace, days)
    texts = sorted({prompt for table in (*candidates, labelled) for prompt in table["prompt"].to_pylist()})
    tokens = embed_missing(workspace.embedder, workspace.vectors, texts, progress).tokens
    model = workspace.embedder.info.id
    embedded = {embedding_key(model, text) for text in texts}
    plan = plan_day(workspace, as_of, candidates, labelled, embedded, judge, progress).plan.table
    _, learned = steps.rules(workspace, plan, labelled, judge, progress)
    return plan, learned.rules, learned.scorers, tokens + synthetic.tokens


def _written(workspace: Workspace, day: date) -> set[str]:
    """Ids of the bases that the day's own variants are of.

    The recipe of an earlier day has other bases at the top; a model is not paid for a forecast, so of its bases those
    have variants that the model has written for the day itself. The forecast can only be lower for it.
    """
    if not workspace.datasets.exists("synthetic_variants", day):
        return set()
    return set(workspace.datasets.read("synthetic_variants", day, columns=["base_id"])["base_id"].to_pylist())


def _vectors(workspace: Workspace, traffic: AgentTraffic, queries: Sequence[int]) -> np.ndarray:
    return steps.vectors_of(workspace, [traffic.prompts[query] for query in queries])


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
