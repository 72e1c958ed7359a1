"""A gate's verdict as a Dagster check: one sentence, what to do about it, the numbers and the worst examples."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import dagster as dg

from cachewarm_pipeline.lineage.asset_page import records
from cachewarm_pipeline.lineage.partitions import days_of
from cachewarm_pipeline.proof import gate_remediation
from cachewarm_pipeline.proof.plan_gates import GateVerdict


def check_result(
    context: dg.AssetCheckExecutionContext, judge: Callable[[date], GateVerdict], *, every_day_blocks: bool = False
) -> dg.AssetCheckResult:
    """The verdict of the run's day. A warning does not block.

    In a range each day is judged, has a result of its own as if it were run singly, and the run's result names the days
    that fail. Only the last day is published, so a day before it blocks nothing: one bad day in the past must not hold
    up the rest. With ``every_day_blocks`` it does: where all days share what is judged.
    """
    (check,) = context.check_specs
    verdicts = {day: judge(day) for day in days_of(context)}
    if len(verdicts) == 1:
        (verdict,) = verdicts.values()
        return dg.AssetCheckResult(**_page(check.name, verdict))
    for day, verdict in verdicts.items():
        context.op_execution_context.log_event(
            dg.AssetCheckEvaluation(  # type: ignore[arg-type]  # taken, but left out of the annotation
                asset_key=check.asset_key,
                check_name=check.name,
                blocking=check.blocking,
                partition=day.isoformat(),
                **_page(check.name, verdict),
            )
        )
    whole = gate_remediation.of_days(verdicts)
    if every_day_blocks:
        whole = replace(whole, passed=all(verdict.passed for verdict in verdicts.values()))
    return dg.AssetCheckResult(**_page(check.name, whole))


def _page(gate: str, verdict: GateVerdict) -> dict[str, Any]:
    """What a check says, in Dagster's words."""
    todo = gate_remediation.what_to_do(gate, verdict)
    return {
        "passed": verdict.passed and not verdict.warning,
        "severity": dg.AssetCheckSeverity.WARN if verdict.passed else dg.AssetCheckSeverity.ERROR,
        "description": verdict.sentence,
        "metadata": {
            **({"what_to_do": dg.MetadataValue.text(todo)} if todo else {}),
            **{k: _short(v) for k, v in verdict.numbers.items()},
            **({"by_day" if "days" in verdict.numbers else "worst": records(verdict.worst)} if verdict.worst else {}),
        },
    }


def _short(number: float | int | str) -> float | int | str:
    """As a person reads it; the exact ones are in the datasets."""
    return float(f"{number:.4g}") if isinstance(number, float) else number
