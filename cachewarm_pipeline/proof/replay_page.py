"""What the page of `replay` shows: the forecast, rates by agent_type, precision against hit rate, and past replays."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.answers.noise_floor import NoiseFloors
from cachewarm_pipeline.lineage.asset_page import PageValue, judge_metadata, picture, records, table_metadata, text
from cachewarm_pipeline.ports import Judge
from cachewarm_pipeline.proof.precision_curve import PrecisionCurve, precision_curve, precision_plot
from cachewarm_pipeline.proof.replay_summary import summarise_replay
from cachewarm_pipeline.proof.service import BOOTSTRAP_SEED, ReplayedDay
from cachewarm_pipeline.workspace.workspace import Workspace

_FORECAST = ("hit_rate", "cold_hit_rate", "lift", "lift_interval", "wrong_hit_rate", "wrong_hit_rate_upper", "lookups")
"""The forecast, most important figures first."""


def replay_metadata(
    workspace: Workspace, replayed: ReplayedDay, history: dict[str, Any], judge: Judge, noise: NoiseFloors
) -> dict[str, Any]:
    """The page of `replay`. ``history``: the metadata of past replays (ReplayHistory.metadata)."""
    target, delta = workspace.settings.max_wrong_hit_rate, workspace.settings.delta
    found = summarise_replay(replayed.rows, replayed.decisions, delta=delta, seed=BOOTSTRAP_SEED)
    by_agent_type = found.pop("agent_types")
    days = replayed.days
    return {
        "held_out": f"{days[0]} to {days[-1]}" if days else replayed.why_none,
        **history,
        **{name: found[name] for name in _FORECAST if found[name] is not None},
        **noise_metadata(found, noise),
        "precision_and_hit_rate": precision_picture(replayed.decisions, found["lookups"], target),
        "agent_types": records([rates_row(name, rates, noise) for name, rates in by_agent_type.items()]),
        **{name: value for name, value in found.items() if value is not None and name not in _FORECAST},
        **table_metadata(replayed.rows, None, ("date", "agent_type", "lookups", "warmed_hits", "cold_hits")),
        **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
        **replayed.usage,
    }


def noise_metadata(found: dict[str, Any], noise: NoiseFloors) -> dict[str, Any]:
    """What the judge's noise means for wrong semantic hits; nothing where it was not measured. Exact hits are judged by
    another operating point. ``found``: replay_summary.summarise_replay."""
    sentence = noise.sentence(found["semantic_wrong_hit_rate"])
    return {"judge_noise": text(sentence)} if sentence else {}


def rates_row(agent_type: str, found: dict[str, Any], noise: NoiseFloors) -> dict[str, Any]:
    """One row of the table of agent types. ``found``: its part of replay_summary.summarise_replay."""
    shown = {
        "lookups": "lookups",
        "warmed": "hit_rate",
        "cold": "cold_hit_rate",
        "exact": "exact_hit_rate",
        "semantic": "semantic_hit_rate",
        "wrong": "wrong_hit_rate",
        "at most": "wrong_hit_rate_upper",
    }
    row = {"agent_type": agent_type, **{heading: found[name] for heading, name in shown.items()}}
    return row if noise.pooled is None else {**row, "judge noise": noise.by_agent_type.get(agent_type)}


def precision_picture(decisions: pa.Table, lookups: int, target: float) -> PageValue:
    """Precision against hit rate of semantic hits and near misses, by the rule's score and by plain similarity."""
    near = decisions.filter(pc.and_(pc.not_equal(decisions["kind"], "exact"), pc.greater(decisions["judged"], 0)))
    if not near.num_rows or not lookups:
        return text("no semantic hit or near miss was judged")
    judged, wrong, asked = (near[name].to_numpy() for name in ("judged", "wrong", "lookups"))
    right, false = asked * (1 - wrong / judged), asked * wrong / judged
    curves: dict[str, PrecisionCurve] = {
        "match rule": precision_curve(near["score"].to_numpy(), right, false, lookups),
        "plain distance": precision_curve(near["similarity"].to_numpy(), right, false, lookups),
    }
    served = np.array([kind == "semantic" for kind in near["kind"].to_pylist()])
    hits = float((right + false)[served].sum())
    at = {"match rule": (hits / lookups, float(right[served].sum()) / hits)} if hits else None
    return picture(precision_plot(curves, target, at), "precision against hit rate of semantic hits")
