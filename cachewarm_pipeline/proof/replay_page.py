"""What the page of `replay` shows: rates by agent_type, precision against hit rate, and past replays as lines."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.lineage.asset_page import PageValue, picture, text
from cachewarm_pipeline.proof.precision_plot import precision_hit_rate
from cachewarm_pipeline.proof.replay_summary import Curve, curve


def rates_row(agent_type: str, found: dict[str, Any]) -> dict[str, Any]:
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


def precision_picture(decisions: pa.Table, lookups: int, target: float) -> PageValue:
    """Precision against hit rate of semantic hits, by the learned score and by plain similarity."""
    near = decisions.filter(pc.and_(pc.not_equal(decisions["kind"], "exact"), pc.greater(decisions["judged"], 0)))
    if not near.num_rows or not lookups:
        return text("no semantic hit or near miss was judged")
    judged, wrong, asked = (near[name].to_numpy() for name in ("judged", "wrong", "lookups"))
    right, false = asked * (1 - wrong / judged), asked * wrong / judged
    curves: dict[str, Curve] = {
        "match rule": curve(near["score"].to_numpy(), right, false, lookups),
        "plain distance": curve(near["similarity"].to_numpy(), right, false, lookups),
    }
    served = np.array([kind == "semantic" for kind in near["kind"].to_pylist()])
    hits = float((right + false)[served].sum())
    at = {"match rule": (hits / lookups, float(right[served].sum()) / hits)} if hits else None
    return picture(precision_hit_rate(curves, target, at), "precision against hit rate of semantic hits")
