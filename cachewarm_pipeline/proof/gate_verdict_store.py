"""Verdicts of the gates, stored for exactly what was judged: a publish asks for them, whichever run it is in."""

import json
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from cachewarm_client.match_decision import packed_length
from cachewarm_client.redis_search_commands import RULE_VECTORS

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.proof.plan_gates import GateVerdict
from cachewarm_pipeline.storage.schemas import GATES, VERDICT

if TYPE_CHECKING:
    import pyarrow as pa
    from cachewarm_client.match_rules import MatchRules

    from cachewarm_pipeline.settings import Settings
    from cachewarm_pipeline.storage.datasets import DatasetStore


def limits_of(settings: "Settings", gate: str) -> dict[str, Any]:
    """The settings that a gate judges by: a verdict by others does not count."""
    limits: dict[str, dict[str, Any]] = {
        "quality_threshold": {"floors": settings.floors},
        "no_conflicting_entries": {"judge": settings.judge},
        "volatile_or_personal_share": {"max_unfit_share": settings.max_unfit_share},
        "false_positive_rate": {
            "target": settings.max_wrong_hit_rate,
            "confidence": settings.confidence,
            "judge": [settings.judge, settings.judge_model if settings.judge == "llm" else None],
            "replay_days": settings.replay_days,
        },
    }
    return limits[gate]


def store_verdict(
    datasets: "DatasetStore", gate: str, day: date, plan_hash: str, limits: Mapping[str, Any], verdict: GateVerdict
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
) -> dict[str, str]:
    """Agent types that this gate lets be published for exact hits only, and why.

    Raises CacheError, so that nothing is published, when the gate has not judged exactly this plan by exactly these
    limits, or has failed it.
    """
    row = _read(datasets, gate, day)
    if row["plan_hash"] != plan_hash or row["limits"] != _limits(limits):
        changed = "another plan" if row["plan_hash"] != plan_hash else f"other limits ({row['limits']})"
        raise CacheError(f"{gate}: its verdict of {day} is about {changed}; run the check, then publish again")
    if not row["passed"]:
        raise CacheError(f"{gate}: {row['sentence']}")
    return _withheld(gate, row)


def planned(datasets: "DatasetStore", day: date) -> "tuple[pa.Table, MatchRules]":
    """What a publish of the day would load: the plan's entries with what their rules read of them, and the rules.

    Its ``plan_hash`` is what `false_positive_rate` judges. Raises CacheError where an entry of a learned rule has
    nothing to read: such a generation could not be read.
    """
    import pyarrow as pa

    from cachewarm_pipeline.match_rules.rule_tables import rules_of

    plan, rules = datasets.read("warming_plan", day), rules_of(datasets.read("match_rules", day))
    placed = datasets.read("match_vectors", day)
    places = dict(zip(placed["entry_id"].to_pylist(), placed["rule_vectors"].to_pylist(), strict=True))
    of_entries = [places.get(entry, "") for entry in plan["entry_id"].to_pylist()]
    for agent_type, entry, place in zip(
        plan["agent_type"].to_pylist(), plan["entry_id"].to_pylist(), of_entries, strict=True
    ):
        if rules.for_agent_type(agent_type).model and len(place) != packed_length(rules.space):
            raise CacheError(
                f"entry {entry[:12]} of agent_type {agent_type!r} has no place in the learned space of its match rule: "
                f"materialise match_rules of {day} again"
            )
    return plan.append_column(RULE_VECTORS, pa.array(of_entries, pa.string())), rules


def as_judged(datasets: "DatasetStore", day: date) -> "tuple[pa.Table, MatchRules]":
    """The day's plan and rules as they are published where the stored verdicts still hold: ``planned``, with what they
    withhold. Raises CacheError as ``planned`` does, and where a gate has no verdict."""
    plan, rules = planned(datasets, day)
    withheld: dict[str, str] = {}
    for gate in GATES:
        withheld.update(_withheld(gate, _read(datasets, gate, day)))
    return plan, rules.withhold(withheld)


def _read(datasets: "DatasetStore", gate: str, day: date) -> dict[str, Any]:
    name = f"verdict_{gate}"
    if not datasets.exists(name, day):
        raise CacheError(f"{gate}: it has not judged the plan of {day}; run the check, then publish again")
    row: dict[str, Any] = datasets.read(name, day).to_pylist()[0]
    return row


def _withheld(gate: str, row: Mapping[str, Any]) -> dict[str, str]:
    return dict.fromkeys(row["withheld"], f"withheld by {gate}: {row['sentence']}")


def _limits(limits: Mapping[str, Any]) -> str:
    return json.dumps(limits, sort_keys=True)
