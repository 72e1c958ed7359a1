"""The gates between a plan and the cache: what must hold before anything is published. Pure verdicts, no Dagster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

UNIT_TOLERANCE = 1e-3
"""A float32 vector of 1,536 values normalised in float32 is off by less than 1e-5; a wrong one by far more."""


@dataclass(frozen=True)
class GateVerdict:
    """What a gate found: one sentence, the numbers, and the worst examples that a reviewer can act on."""

    passed: bool
    sentence: str
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)
    worst: list[dict[str, Any]] = field(default_factory=list)
    withheld: Mapping[str, str] = field(default_factory=dict)
    """agent_type to reason: may be published for exact hits only. Not empty: passed, with a warning."""
    warning: bool = False
    """Passed, but with something that a person should know."""


def shorten(text: str, limit: int = 80) -> str:
    """The text as a table of examples shows it."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def quality_threshold(plan: pa.Table, floors: Mapping[str, float]) -> GateVerdict:
    """Every entry has at least the quality_score its source must have, and there is at least one entry."""
    rows = plan.select(["prompt", "agent_type", "source", "quality_score"]).to_pylist()
    if not rows:
        return GateVerdict(
            False,
            "The plan is empty, so nothing is published: see the left-out reasons in the report, and on the pages of "
            "golden_candidates, daily_query_counts, frequent_queries and warming_plan.",
            {"entries": 0},
        )
    # `not (>=)` so that a NaN score fails too.
    below = [row for row in rows if not row["quality_score"] >= floors[row["source"]]]
    lowest = min(row["quality_score"] for row in rows)
    limits = ", ".join(f"{source} {floor:g}" for source, floor in floors.items())
    sentence = (
        f"All {len(rows)} entries reach their floor (lowest {lowest:.2f}; floors: {limits})."
        if not below
        else f"{len(below)} of {len(rows)} entries are below their floor ({limits})."
    )
    worst = sorted(below, key=lambda row: row["quality_score"])[:10]
    return GateVerdict(
        not below,
        sentence,
        {"entries": len(rows), "below": len(below), "lowest": lowest},
        [{**row, "prompt": shorten(row["prompt"])} for row in worst],
    )


def embedding_sanity(texts: list[str], vectors: np.ndarray, dimensions: int) -> GateVerdict:
    """Vectors (n, d) are of the model's size, finite and of unit length; ``texts`` name the rows."""
    if not len(texts):
        return GateVerdict(True, "No texts to embed on this day.", {"vectors": 0})
    if vectors.ndim != 2 or vectors.shape[1] != dimensions:
        return GateVerdict(False, f"Vectors have shape {vectors.shape}, the model has {dimensions} dimensions.")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    finite = np.isfinite(vectors).all(axis=1)
    bad = ~finite | ~(np.abs(lengths - 1) <= UNIT_TOLERANCE)
    examples = [
        {"text": shorten(texts[i]), "length": float(lengths[i]), "finite": bool(finite[i])}
        for i in np.flatnonzero(bad)[:10]
    ]
    sentence = (
        f"All {len(texts)} vectors have {dimensions} dimensions, are finite and of unit length."
        if not bad.any()
        else f"{int(bad.sum())} of {len(texts)} vectors are not finite or not of unit length."
    )
    numbers = {"vectors": len(texts), "bad": int(bad.sum()), "dimensions": dimensions}
    return GateVerdict(not bad.any(), sentence, numbers, examples)


def loaded_equals_planned(planned: set[str], loaded: set[str]) -> GateVerdict:
    """The live generation holds exactly the planned entry ids."""
    missing, extra = planned - loaded, loaded - planned
    sentence = (
        f"The live generation holds all {len(planned)} planned entries and no other."
        if not missing and not extra
        else f"Of {len(planned)} planned entries {len(missing)} are missing in Redis, and {len(extra)} are unplanned."
    )
    return GateVerdict(
        not missing and not extra,
        sentence,
        {"planned": len(planned), "loaded": len(loaded), "missing": len(missing), "unplanned": len(extra)},
        [{"entry_id": i, "problem": "missing"} for i in sorted(missing)[:5]]
        + [{"entry_id": i, "problem": "unplanned"} for i in sorted(extra)[:5]],
    )
