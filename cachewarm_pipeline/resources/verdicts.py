"""Verdicts of the gates, stored for exactly what was judged: a publish asks for them, whichever run it is in."""

import json
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from cachewarm_pipeline.core.errors import CacheError
from cachewarm_pipeline.core.gates import Verdict
from cachewarm_pipeline.core.schemas import VERDICT

if TYPE_CHECKING:
    from cachewarm_pipeline.resources.datasets import DatasetStore
    from cachewarm_pipeline.settings import Settings


def limits_of(settings: "Settings", gate: str) -> dict[str, Any]:
    """The settings that a gate judges by: a verdict by others does not count."""
    limits: dict[str, dict[str, Any]] = {
        "quality_threshold": {"floors": settings.floors},
        "no_conflicting_entries": {"judge": settings.judge},
        "volatile_or_personal_share": {"max_unfit_share": settings.max_unfit_share},
        "false_positive_rate": {"target": settings.max_wrong_hit_rate, "confidence": settings.confidence},
    }
    return limits[gate]


def store_verdict(
    datasets: "DatasetStore", gate: str, day: date, plan_hash: str, limits: Mapping[str, Any], verdict: Verdict
) -> None:
    """Keep a gate's verdict about one plan of a day; it replaces the one before."""
    import pyarrow as pa

    row = {
        "gate": gate,
        "plan_hash": plan_hash,
        "limits": _limits(limits),
        "passed": verdict.passed,
        "withheld": sorted(verdict.withheld),
        "sentence": verdict.sentence,
    }
    datasets.write(f"verdict_{gate}", day, pa.Table.from_pylist([row], schema=VERDICT))


def passed_verdict(
    datasets: "DatasetStore", gate: str, day: date, plan_hash: str, limits: Mapping[str, Any]
) -> tuple[list[str], str]:
    """Agent types that this gate lets be published for exact hits only, and its sentence.

    Raises CacheError, so that nothing is published, when the gate has not judged exactly this plan by exactly these
    limits, or has failed it.
    """
    name = f"verdict_{gate}"
    if not datasets.exists(name, day):
        raise CacheError(f"{gate}: it has not judged the plan of {day}; run the check, then publish again")
    row = datasets.read(name, day).to_pylist()[0]
    if row["plan_hash"] != plan_hash or row["limits"] != _limits(limits):
        changed = "another plan" if row["plan_hash"] != plan_hash else f"other limits ({row['limits']})"
        raise CacheError(f"{gate}: its verdict of {day} is about {changed}; run the check, then publish again")
    if not row["passed"]:
        raise CacheError(f"{gate}: {row['sentence']}")
    return row["withheld"], row["sentence"]


def _limits(limits: Mapping[str, Any]) -> str:
    return json.dumps(limits, sort_keys=True)
