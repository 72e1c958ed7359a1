"""The gates as asset checks: the pure verdicts of `proof.plan_gates`, each page one sentence, what to do about it, the
numbers and the worst examples. Blocking checks stop the run before anything reaches Redis."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import dagster as dg
from cachewarm_client.counters import SERVED_SECONDS

from cachewarm_pipeline.lineage.asset_page import records
from cachewarm_pipeline.lineage.partitions import daily, days_of
from cachewarm_pipeline.measurement.entry_payback_service import ENTRY_PAYBACK_ASSET
from cachewarm_pipeline.measurement.serving_counts_service import HITS, HOURS
from cachewarm_pipeline.planning.warming_plan import plan_hash
from cachewarm_pipeline.proof import evidence_gates as proof_gates
from cachewarm_pipeline.proof import gate_remediation as advice
from cachewarm_pipeline.proof import plan_gates as gates
from cachewarm_pipeline.proof.gate_verdict_store import limits_of, planned, store_verdict
from cachewarm_pipeline.proof.plan_gates import Verdict
from cachewarm_pipeline.proof.replay_summary import summary
from cachewarm_pipeline.proof.service import BOOTSTRAP_SEED
from cachewarm_pipeline.workspace.workspace import Workspace


def _result(
    context: dg.AssetCheckExecutionContext, judge: Callable[[date], Verdict], *, every_day_blocks: bool = False
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
    whole = advice.of_days(verdicts)
    if every_day_blocks:
        whole = replace(whole, passed=all(verdict.passed for verdict in verdicts.values()))
    return dg.AssetCheckResult(**_page(check.name, whole))


def _page(gate: str, verdict: Verdict) -> dict[str, Any]:
    """What a check says, in Dagster's words."""
    todo = advice.what_to_do(gate, verdict)
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

    return _result(context, judge, every_day_blocks=True)


@dg.asset_check(
    asset="warming_plan",
    blocking=True,
    partitions_def=daily,
    description="Every entry reaches the quality floor of its source, and the plan is not empty.",
)
def quality_threshold(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> Verdict:
        plan = workspace.datasets.read("warming_plan", day)
        verdict = gates.quality_threshold(plan, workspace.settings.floors)
        return _kept(workspace, "quality_threshold", day, plan_hash(plan), verdict)

    return _result(context, judge)


@dg.asset_check(
    asset="warming_plan",
    blocking=True,
    partitions_def=daily,
    description="No two entries answer what no lookup can tell apart in different ways, and no answer group holds "
    "answers that differ in a number, version, negation or name.",
)
def no_conflicting_entries(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> Verdict:
        plan = workspace.datasets.read("warming_plan", day)
        verdict = proof_gates.no_conflicting_entries(
            plan,
            workspace.vectors.get(plan["embedding_key"].to_pylist()),
            workspace.datasets.read("plan_conflicts", day),
            workspace.settings.judge == "exact",
        )
        return _kept(workspace, "no_conflicting_entries", day, plan_hash(plan), verdict)

    return _result(context, judge)


@dg.asset_check(
    asset="warming_plan",
    additional_deps=["frequent_queries"],
    blocking=True,
    partitions_def=daily,
    description="No entry holds personal data or a secret, and not too much of the frequent demand is volatile or "
    "personal.",
)
def volatile_or_personal_share(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> Verdict:
        plan = workspace.datasets.read("warming_plan", day)
        verdict = proof_gates.volatile_or_personal_share(
            plan,
            workspace.datasets.read("frequent_queries", day, columns=["demand"]),
            workspace.datasets.read("unfit_queries", day),
            workspace.settings.max_unfit_share,
        )
        return _kept(workspace, "volatile_or_personal_share", day, plan_hash(plan), verdict)

    return _result(context, judge)


@dg.asset_check(
    asset="replay",
    additional_deps=["match_rules", "warming_plan"],
    blocking=True,
    partitions_def=daily,
    description="Held-out queries bound the wrong-hit rate of every match rule by the target, and the replay of later "
    "days does not contradict it. A warning: agent types with too little evidence answer exact hits only.",
)
def false_positive_rate(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    settings, datasets = workspace.settings, workspace.datasets

    def judge(day: date) -> Verdict:
        plan, rules = planned(datasets, day)
        decisions = datasets.read("replay_decisions", day)
        verdict = proof_gates.false_positive_rate(
            rules,
            datasets.read("match_evidence", day),
            summary(datasets.read("replay", day), decisions, delta=settings.delta, seed=BOOTSTRAP_SEED),
            decisions,
            target=settings.max_wrong_hit_rate,
            delta=settings.delta,
        )
        return _kept(workspace, "false_positive_rate", day, plan_hash(plan, rules.as_dict()), verdict)

    return _result(context, judge)


def _kept(workspace: Workspace, gate: str, day: date, judged: str, verdict: Verdict) -> Verdict:
    """The verdict, after it was stored for the publish."""
    store_verdict(workspace.datasets, gate, day, judged, limits_of(workspace.settings, gate), verdict)
    return verdict


@dg.asset_check(
    asset="cache_entries",
    partitions_def=daily,
    description="After publishing: the live generation holds exactly the planned entries.",
)
def loaded_equals_planned(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> Verdict:
        cache = workspace.cache
        live, filling, pin = cache.live(), cache.filling(), cache.pinned()
        if pin:
            return Verdict(True, f"{day} was not published: {pin.describe()}.", warning=True)
        if filling or (live is None and workspace.settings.progressive):
            loaded = f"{filling.loaded:,} of {filling.entries:,} of {filling.id}" if filling else "nothing so far"
            return Verdict(True, f"Loading goes on in the off-peak window ({loaded}); until then what was live serves.")
        if live is None:
            return Verdict(False, f"Nothing is live under the name {workspace.settings.name!r}.")
        if live.as_of != day:
            return Verdict(True, f"The live generation is of {live.as_of}; {day} was not published over it.")
        plan = set(workspace.datasets.read("warming_plan", day, columns=["entry_id"])["entry_id"].to_pylist())
        found = cache.entry_ids(live.id)
        if workspace.settings.progressive and len(found) == live.entries and found != plan:
            return Verdict(True, f"{day} was planned again; loading that begins in the off-peak window.")
        return gates.loaded_equals_planned(plan, found)

    return _result(context, judge)


@dg.asset_check(
    asset="entry_payback",
    partitions_def=daily,
    description="What readers counted on the day, and what entries earned by it, is stored. Never stops a run.",
)
def day_is_counted(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> Verdict:
        if workspace.dry:
            return Verdict(True, "A dry run reads no counters.")
        missing = [name for name in (HOURS, HITS, ENTRY_PAYBACK_ASSET) if not workspace.datasets.exists(name, day)]
        if not missing:
            return Verdict(True, f"What readers counted on {day} is stored.")
        if not workspace.settled(day):
            return Verdict(True, f"{day} is not over: its counters are read when it is.")
        if ENTRY_PAYBACK_ASSET not in missing and workspace.today - day > timedelta(seconds=SERVED_SECONDS):
            return Verdict(True, f"{day} was before its counters were read; Redis has them no more.")
        return Verdict(True, f"Measuring of {day} is not whole: no {', '.join(missing)} of it.", warning=True)

    return _result(context, judge)


asset_checks = [
    embedding_sanity,
    quality_threshold,
    no_conflicting_entries,
    volatile_or_personal_share,
    false_positive_rate,
    loaded_equals_planned,
    day_is_counted,
]
