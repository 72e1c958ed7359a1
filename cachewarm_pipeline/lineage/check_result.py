"""A gate's verdict as a Dagster check result: one sentence, the remediation, the numbers and the worst examples."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import dagster as dg

from cachewarm_pipeline.lineage.asset_page import records
from cachewarm_pipeline.lineage.partitions import days_of
from cachewarm_pipeline.proof.gate_remediation import remediation
from cachewarm_pipeline.proof.gate_verdict import GateVerdict, range_verdict


def check_result(
    context: dg.AssetCheckExecutionContext, judge: Callable[[date], GateVerdict], *, every_day_blocks: bool = False
) -> dg.AssetCheckResult:
    """The check result of the run's day, by ``judge``. A warning does not block.

    In a run over a range, each day is judged and gets its own result, as if it had been run alone, and the result of
    the run names the days that fail. Only the last day is published, so only its verdict blocks: one bad day in the
    past must not stop the rest. With ``every_day_blocks`` each failed day blocks; use it where all days share what is
    judged.
    """
    (check,) = context.check_specs
    verdicts = {day: judge(day) for day in days_of(context)}
    if len(verdicts) == 1:
        (verdict,) = verdicts.values()
        return dg.AssetCheckResult(**_page(check.name, verdict))
    for day, verdict in verdicts.items():
        context.op_execution_context.log_event(
            dg.AssetCheckEvaluation(  # type: ignore[arg-type]  # accepted, but missing in Dagster's annotation
                asset_key=check.asset_key,
                check_name=check.name,
                blocking=check.blocking,
                partition=day.isoformat(),
                **_page(check.name, verdict),
            )
        )
    of_range = range_verdict(verdicts)
    if every_day_blocks:
        of_range = replace(of_range, passed=all(verdict.passed for verdict in verdicts.values()))
    return dg.AssetCheckResult(**_page(check.name, of_range))


def _page(gate: str, verdict: GateVerdict) -> dict[str, Any]:
    """The fields that a check result and a check evaluation of Dagster share."""
    todo = remediation(gate, verdict)
    return {
        "passed": verdict.passed and not verdict.warning,
        "severity": dg.AssetCheckSeverity.WARN if verdict.passed else dg.AssetCheckSeverity.ERROR,
        "description": verdict.sentence,
        "metadata": {
            **({"what_to_do": dg.MetadataValue.text(todo)} if todo else {}),
            **{name: _rounded(number) for name, number in verdict.numbers.items()},
            **({"by_day" if "days" in verdict.numbers else "worst": records(verdict.worst)} if verdict.worst else {}),
        },
    }


def _rounded(number: float | int | str) -> float | int | str:
    """Four significant digits for the page; the datasets have the exact numbers."""
    return float(f"{number:.4g}") if isinstance(number, float) else number
