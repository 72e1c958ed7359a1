"""Per agent_type the rule that decides who may answer a semantic lookup: fitted on one part of the labelled log,
certified on another for the target wrong-hit rate, or exact hits only. Published with the generation as plain data."""

import dagster as dg
import pyarrow.compute as pc

from cachewarm_pipeline.lineage.asset_page import (
    OWNERS,
    PAID,
    VERIFICATION,
    judge_metadata,
    paid_days,
    record,
    table_metadata,
)
from cachewarm_pipeline.lineage.partitions import daily, one_run
from cachewarm_pipeline.match_rules.rule_tables import evidence_table, rules_table, vectors_table
from cachewarm_pipeline.match_rules.service import rules_of_plan
from cachewarm_pipeline.workspace.workspace import Workspace


@dg.asset(
    deps=["warming_plan", "labelled_queries", "embeddings"],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=VERIFICATION,
    owners=OWNERS,
    kinds={"numpy", "parquet"},
    pool=PAID,
    description=__doc__,
)
def match_rules(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    settings, datasets = workspace.settings, workspace.datasets
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        plan, labelled = datasets.read("warming_plan", day), datasets.read("labelled_queries", day)
        logs, learned = rules_of_plan(workspace, plan, labelled, judge, context.log.info)
        table = rules_table(learned.rules)
        evidence = evidence_table(logs, plan, labelled, learned.evidence)
        datasets.write("match_vectors", day, vectors_table(logs, plan, learned.rules, learned.scorers))
        datasets.write("match_evidence", day, evidence)
        datasets.write("match_rules", day, table)
        kinds = table["rule"].to_pylist()[1:]
        record(
            context,
            day,
            table_metadata(
                table,
                examples=("agent_type", "rule", "threshold", "hits", "wrong_hits", "upper", "why"),
                wrong_hit_bound=pc.max(table.filter(table["certified"])["upper"]).as_py() or 0.0,
                target_wrong_hit_rate=settings.max_wrong_hit_rate,
                confidence=settings.confidence,
                certifying_queries=evidence.num_rows,
                **{kind: kinds.count(kind) for kind in ("learned", "distance", "exact_only")},
                **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
            ),
            spent=workspace.ledger.usd(),
        )
