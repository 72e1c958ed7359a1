"""The gates before the cache as asset checks. Blocking ones stop the run before anything reaches Redis."""

from datetime import date

import dagster as dg

from cachewarm_pipeline.lineage.check_result import check_result
from cachewarm_pipeline.lineage.partitions import daily
from cachewarm_pipeline.planning.warming_plan import plan_hash
from cachewarm_pipeline.proof import evidence_gates as proof_gates
from cachewarm_pipeline.proof import plan_gates as gates
from cachewarm_pipeline.proof.gate_verdict_store import limits_of, planned, store_verdict
from cachewarm_pipeline.proof.plan_gates import GateVerdict
from cachewarm_pipeline.proof.replay_summary import summary
from cachewarm_pipeline.proof.service import BOOTSTRAP_SEED
from cachewarm_pipeline.workspace.workspace import Workspace


@dg.asset_check(
    asset="embeddings",
    blocking=True,
    partitions_def=daily,
    description="Every vector has the model's dimension, is finite and of unit length.",
)
def embedding_sanity(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> GateVerdict:
        rows = workspace.datasets.read("embeddings", day)
        vectors = workspace.vectors.get(rows["embedding_key"].to_pylist())
        dimensions = rows["dimensions"][0].as_py() if rows.num_rows else 0
        return gates.embedding_sanity(rows["text"].to_pylist(), vectors, dimensions)

    return check_result(context, judge, every_day_blocks=True)


@dg.asset_check(
    asset="warming_plan",
    blocking=True,
    partitions_def=daily,
    description="Every entry reaches the quality floor of its source, and the plan is not empty.",
)
def quality_threshold(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> GateVerdict:
        plan = workspace.datasets.read("warming_plan", day)
        verdict = gates.quality_threshold(plan, workspace.settings.floors)
        return _kept(workspace, "quality_threshold", day, plan_hash(plan), verdict)

    return check_result(context, judge)


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
    def judge(day: date) -> GateVerdict:
        plan = workspace.datasets.read("warming_plan", day)
        verdict = proof_gates.no_conflicting_entries(
            plan,
            workspace.vectors.get(plan["embedding_key"].to_pylist()),
            workspace.datasets.read("plan_conflicts", day),
            workspace.settings.judge == "exact",
        )
        return _kept(workspace, "no_conflicting_entries", day, plan_hash(plan), verdict)

    return check_result(context, judge)


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
    def judge(day: date) -> GateVerdict:
        plan = workspace.datasets.read("warming_plan", day)
        verdict = proof_gates.volatile_or_personal_share(
            plan,
            workspace.datasets.read("frequent_queries", day, columns=["demand"]),
            workspace.datasets.read("unfit_queries", day),
            workspace.settings.max_unfit_share,
        )
        return _kept(workspace, "volatile_or_personal_share", day, plan_hash(plan), verdict)

    return check_result(context, judge)


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

    def judge(day: date) -> GateVerdict:
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

    return check_result(context, judge)


def _kept(workspace: Workspace, gate: str, day: date, judged: str, verdict: GateVerdict) -> GateVerdict:
    """The verdict, after it was stored for the publish."""
    store_verdict(workspace.datasets, gate, day, judged, limits_of(workspace.settings, gate), verdict)
    return verdict
