"""The labelled log and the match rules as Dagster assets."""

from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.answers.noise_floor import NoiseFloors, stored_noise
from cachewarm_pipeline.lineage.asset_page import judge_metadata, record_day, records, table_metadata, text
from cachewarm_pipeline.lineage.daily_asset import (
    CANDIDATES_GROUP,
    PAID_POOL,
    VERIFICATION_GROUP,
    daily_asset,
    paid_days,
)
from cachewarm_pipeline.lineage.partitions import days_of, lookback
from cachewarm_pipeline.match_rules.labelled_queries import PARTS
from cachewarm_pipeline.match_rules.rule_tables import evidence_table, rules_table, vectors_table
from cachewarm_pipeline.match_rules.service import labelled_of_days, rules_of_plan
from cachewarm_pipeline.ports import Judge
from cachewarm_pipeline.query_log.mined_days import DAILY, mined_days
from cachewarm_pipeline.workspace.workspace import Workspace


@daily_asset(
    deps=[dg.AssetDep(DAILY, partition_mapping=lookback)],
    group=CANDIDATES_GROUP,
    kinds={"pyarrow", "parquet"},
)
def labelled_queries(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """The distinct queries of the lookback window, each with its own logged answer, from `daily_query_counts`. Match
    rules are fitted and certified on them. A hash assigns each query permanently to one of three parts: choose, fit or
    certify, so that no query is used for two purposes."""
    for day in days_of(context):
        days = mined_days(workspace, day, workspace.settings.lookback_days)
        table, excluded = labelled_of_days(workspace, days)
        workspace.datasets.write("labelled_queries", day, table)
        record_day(
            context,
            day,
            table_metadata(
                table,
                excluded,
                ("prompt", "agent_type", "frequency", "part", "response"),
                **{f"{part}_queries": pc.sum(pc.equal(table["part"], part)).as_py() or 0 for part in PARTS},
            ),
        )


@daily_asset(
    deps=["warming_plan", "labelled_queries", "embeddings"],
    group=VERIFICATION_GROUP,
    kinds={"numpy", "parquet"},
    pool=PAID_POOL,
)
def match_rules(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """For each agent_type, the rule that decides whether the nearest entry may answer a lookup. A rule is fitted on one
    part of the labelled log and certified on another for the target wrong-hit rate; without enough evidence it allows
    exact hits only. The rules are published with the generation; the page shows the evidence and what is missing."""
    datasets = workspace.datasets
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        plan, labelled = datasets.read("warming_plan", day), datasets.read("labelled_queries", day)
        noise = stored_noise(datasets, day)
        logs, learned = rules_of_plan(workspace, plan, labelled, judge, context.log.info, noise)
        table = rules_table(learned.rules)
        evidence = evidence_table(logs, plan, labelled, learned.evidence)
        datasets.write("match_vectors", day, vectors_table(logs, plan, learned.rules, learned.scorers))
        datasets.write("match_evidence", day, evidence)
        datasets.write("match_rules", day, table)
        metadata = _rules_metadata(workspace, table, evidence, judge, noise)
        record_day(context, day, metadata, spent=workspace.ledger.usd())


_SHOWN = ("agent_type", "rule", "threshold", "hits", "wrong_hits", "upper", "why")


def noise_metadata(table: pa.Table, noise: NoiseFloors) -> dict[str, Any]:
    """What the page of match_rules says about the judge's noise; nothing where it was not measured. ``table``:
    MATCH_RULES."""
    if noise.pooled is None:
        return {}
    hits, wrong = (pc.sum(table[name]).as_py() or 0 for name in ("hits", "wrong_hits"))
    rows = [
        {**row, "judge noise": noise.by_agent_type.get(row["agent_type"])}
        for row in table.select(_SHOWN).slice(1).to_pylist()
    ]
    return {
        "judge_noise": text(noise.sentence(wrong / hits if hits else None, "held-out hits")),
        "agent_types": records(rows),
    }


def _rules_metadata(
    workspace: Workspace, table: pa.Table, evidence: pa.Table, judge: Judge, noise: NoiseFloors
) -> dict[str, Any]:
    """``table``: MATCH_RULES, its first row not of an agent_type; ``evidence``: MATCH_EVIDENCE."""
    kinds = table["rule"].to_pylist()[1:]
    return table_metadata(
        table,
        examples=_SHOWN,
        wrong_hit_bound=pc.max(table.filter(table["certified"])["upper"]).as_py() or 0.0,
        target_wrong_hit_rate=workspace.settings.max_wrong_hit_rate,
        confidence=workspace.settings.confidence,
        certifying_queries=evidence.num_rows,
        **noise_metadata(table, noise),
        **{kind: kinds.count(kind) for kind in ("learned", "distance", "exact_only")},
        **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
    )
