"""The gates as asset checks: the pure verdicts of `core.gates`, each page one sentence, the numbers and the worst
examples. Blocking checks stop the run before anything reaches Redis."""

from collections.abc import Callable
from datetime import date

import dagster as dg

from cachewarm_pipeline.assets.common import records
from cachewarm_pipeline.core import gates
from cachewarm_pipeline.core.gates import Verdict
from cachewarm_pipeline.partitions import daily, days_of
from cachewarm_pipeline.resources.workspace import Workspace


def _result(context: dg.AssetCheckExecutionContext, judge: Callable[[date], Verdict]) -> dg.AssetCheckResult:
    """The verdict of the run's days: the first day that fails, else the last day."""
    verdict = Verdict(True, "no days")
    for day in days_of(context):
        verdict = judge(day)
        if not verdict.passed:
            break
    return dg.AssetCheckResult(
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=verdict.sentence,
        metadata={**verdict.numbers, **({"worst": records(verdict.worst)} if verdict.worst else {})},
    )


@dg.asset_check(
    asset="embeddings",
    blocking=True,
    partitions_def=daily,
    description="Every vector has the model's dimension, is finite and of unit length.",
)
def embedding_sanity(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> Verdict:
        rows = workspace.datasets.read("embeddings", day)
        vectors = workspace.vectors.get(rows["embedding_key"].to_pylist())
        dimensions = rows["dimensions"][0].as_py() if rows.num_rows else 0
        return gates.embedding_sanity(rows["text"].to_pylist(), vectors, dimensions)

    return _result(context, judge)


@dg.asset_check(
    asset="warming_plan",
    blocking=True,
    partitions_def=daily,
    description="Every entry reaches the quality floor of its source, and the plan is not empty.",
)
def quality_threshold(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    floors = workspace.settings.floors
    return _result(context, lambda day: gates.quality_threshold(workspace.datasets.read("warming_plan", day), floors))


@dg.asset_check(
    asset="cache_entries",
    partitions_def=daily,
    description="After publishing: the live generation holds exactly the planned entries.",
)
def loaded_equals_planned(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> Verdict:
        live = workspace.cache.live()
        if live is None:
            return Verdict(False, f"Nothing is live under the name {workspace.settings.name!r}.")
        if live.as_of != day:
            return Verdict(True, f"The live generation is of {live.as_of}; {day} was not published over it.")
        plan = workspace.datasets.read("warming_plan", day, columns=["entry_id"])
        return gates.loaded_equals_planned(set(plan["entry_id"].to_pylist()), workspace.cache.entry_ids(live.id))

    return _result(context, judge)


asset_checks = [embedding_sanity, quality_threshold, loaded_equals_planned]
