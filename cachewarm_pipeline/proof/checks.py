"""The gates before the cache as asset checks. All of them block: a failure stops the run before it reaches Redis."""

from datetime import date

import dagster as dg

from cachewarm_pipeline.answers.noise_floor import stored_noise
from cachewarm_pipeline.lineage.check_result import check_result
from cachewarm_pipeline.lineage.partitions import daily
from cachewarm_pipeline.planning.warming_plan import plan_hash
from cachewarm_pipeline.proof import plan_gates, wrong_hit_gate
from cachewarm_pipeline.proof.gate_verdict import GateVerdict
from cachewarm_pipeline.proof.gate_verdict_store import gate_limits, publishable_plan, store_verdict
from cachewarm_pipeline.proof.replay_summary import summarise_replay
from cachewarm_pipeline.proof.service import BOOTSTRAP_SEED
from cachewarm_pipeline.workspace.workspace import Workspace


@dg.asset_check(
    asset="embeddings",
    blocking=True,
    partitions_def=daily,
    description="Every vector has the model's number of dimensions, is finite and of unit length.",
)
def embedding_sanity(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> GateVerdict:
        rows = workspace.datasets.read("embeddings", day)
        vectors = workspace.vectors.get(rows["embedding_key"].to_pylist())
        dimensions = rows["dimensions"][0].as_py() if rows.num_rows else 0
        return plan_gates.embedding_sanity(rows["text"].to_pylist(), vectors, dimensions)

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
        verdict = plan_gates.quality_threshold(plan, workspace.settings.floors)
        return _stored(workspace, "quality_threshold", day, plan_hash(plan), verdict)

    return check_result(context, judge)


@dg.asset_check(
    asset="warming_plan",
    blocking=True,
    partitions_def=daily,
    description="No two entries that a lookup cannot tell apart have different answers, and no answer group mixes "
    "answers that contradict each other.",
)
def no_conflicting_entries(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> GateVerdict:
        plan = workspace.datasets.read("warming_plan", day)
        verdict = plan_gates.no_conflicting_entries(
            plan,
            workspace.vectors.get(plan["embedding_key"].to_pylist()),
            workspace.datasets.read("plan_conflicts", day),
            workspace.settings.judge,
        )
        return _stored(workspace, "no_conflicting_entries", day, plan_hash(plan), verdict)

    return check_result(context, judge)


@dg.asset_check(
    asset="warming_plan",
    additional_deps=["frequent_queries"],
    blocking=True,
    partitions_def=daily,
    description="No entry contains personal data or a secret, and the share of frequent demand that is volatile or "
    "personal stays within the limit.",
)
def volatile_or_personal_share(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    def judge(day: date) -> GateVerdict:
        plan = workspace.datasets.read("warming_plan", day)
        verdict = plan_gates.volatile_or_personal_share(
            plan,
            workspace.datasets.read("frequent_queries", day, columns=["demand"]),
            workspace.datasets.read("unfit_queries", day),
            workspace.settings.max_unfit_share,
        )
        return _stored(workspace, "volatile_or_personal_share", day, plan_hash(plan), verdict)

    return check_result(context, judge)


@dg.asset_check(
    asset="replay",
    additional_deps=["match_rules", "warming_plan"],
    blocking=True,
    partitions_def=daily,
    description="Held-out queries bound the wrong-hit rate of every match rule by the target, and the replay of later "
    "days does not contradict the bound. Warns about agent types that have too little evidence and serve exact hits "
    "only.",
)
def false_positive_rate(
    context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
) -> dg.AssetCheckResult:
    settings, datasets = workspace.settings, workspace.datasets

    def judge(day: date) -> GateVerdict:
        plan, rules = publishable_plan(datasets, day)
        decisions = datasets.read("replay_decisions", day)
        rows = datasets.read("replay", day)
        verdict = wrong_hit_gate.false_positive_rate(
            rules,
            datasets.read("match_evidence", day),
            summarise_replay(rows, decisions, delta=settings.delta, seed=BOOTSTRAP_SEED),
            decisions,
            target=settings.max_wrong_hit_rate,
            delta=settings.delta,
            noise=stored_noise(datasets, day),
        )
        return _stored(workspace, "false_positive_rate", day, plan_hash(plan, rules.as_dict()), verdict)

    return check_result(context, judge)


def _stored(workspace: Workspace, gate: str, day: date, plan_hash: str, verdict: GateVerdict) -> GateVerdict:
    """Stores the verdict for the publish, and returns it."""
    store_verdict(workspace.datasets, gate, day, plan_hash, gate_limits(workspace.settings, gate), verdict)
    return verdict
