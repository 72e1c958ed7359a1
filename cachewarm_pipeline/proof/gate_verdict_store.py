"""The gates' verdicts, stored with the hash of what was judged. A publish reads them, in whichever run it happens."""

import json
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from cachewarm_client.match_decision import packed_length
from cachewarm_client.redis_search_commands import RULE_VECTORS

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.proof.gate_verdict import GateVerdict
from cachewarm_pipeline.storage.schemas import GATES, VERDICT

if TYPE_CHECKING:
    import pyarrow as pa
    from cachewarm_client.match_rules import MatchRules

    from cachewarm_pipeline.settings import Settings
    from cachewarm_pipeline.storage.datasets import DatasetStore


def gate_limits(settings: "Settings", gate: str) -> dict[str, Any]:
    """The settings that a gate judges by. A verdict under other settings does not count."""
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
    """Stores a gate's verdict on one plan of a day. It replaces an earlier one."""
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
    """The agent types that this gate allows for exact hits only, with the reason.

    Raises CacheError, so that nothing is published, if the gate has not judged exactly this plan under exactly these
    limits, or has failed it.
    """
    row = _read(datasets, gate, day)
    if row["plan_hash"] != plan_hash or row["limits"] != _limits(limits):
        changed = "another plan" if row["plan_hash"] != plan_hash else f"other limits ({row['limits']})"
        raise CacheError(f"{gate}: its verdict on {day} is about {changed}; run the check, then publish again")
    if not row["passed"]:
        raise CacheError(f"{gate}: {row['sentence']}")
    return _withheld(gate, row)


def publishable_plan(datasets: "DatasetStore", day: date) -> "tuple[pa.Table, MatchRules]":
    """What a publish of the day would load: the plan with the column RULE_VECTORS (the entries' positions in the
    learned space), and the match rules.

    `false_positive_rate` judges the ``plan_hash`` of these two. Raises CacheError if an entry of a learned rule has no
    position: readers could not use such a generation.
    """
    import pyarrow as pa

    from cachewarm_pipeline.match_rules.rule_tables import rules_of

    plan, rules = datasets.read("warming_plan", day), rules_of(datasets.read("match_rules", day))
    vectors = datasets.read("match_vectors", day)
    vector_of = dict(zip(vectors["entry_id"].to_pylist(), vectors["rule_vectors"].to_pylist(), strict=True))
    rule_vectors = [vector_of.get(entry, "") for entry in plan["entry_id"].to_pylist()]
    for agent_type, entry, vector in zip(
        plan["agent_type"].to_pylist(), plan["entry_id"].to_pylist(), rule_vectors, strict=True
    ):
        if rules.for_agent_type(agent_type).model and len(vector) != packed_length(rules.space):
            raise CacheError(
                f"entry {entry[:12]} of agent_type {agent_type!r} has no position in the learned space of its match "
                f"rule: materialize match_rules for {day} again"
            )
    return plan.append_column(RULE_VECTORS, pa.array(rule_vectors, pa.string())), rules


def judged_plan(datasets: "DatasetStore", day: date) -> "tuple[pa.Table, MatchRules]":
    """``publishable_plan``, with the rules withheld that the stored verdicts withhold. Raises CacheError as
    ``publishable_plan`` does, and if a gate has no verdict."""
    plan, rules = publishable_plan(datasets, day)
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
