"""The entries of the day, chosen for the hits that they bring under the budget: golden first, then the log, then
synthetic variants, each only where it earns its place; without duplicates or conflicts, grouped by answer."""

from datetime import date
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from cachewarm_pipeline.freshness.stored_payback import stored_payback, told_idle
from cachewarm_pipeline.lineage.asset_page import (
    OWNERS,
    PAID,
    VERIFICATION,
    judge_metadata,
    paid_days,
    record,
    records,
    table_metadata,
)
from cachewarm_pipeline.lineage.partitions import daily, one_run
from cachewarm_pipeline.planning.gain_curve import curve_table, next_entries
from cachewarm_pipeline.planning.service import Planned, plan_day
from cachewarm_pipeline.plots.charts import curve_plot
from cachewarm_pipeline.plots.drawing import markdown_image
from cachewarm_pipeline.workspace.workspace import Workspace

_IDLE_SHOWN = 10

_CANDIDATES = ("golden_candidates", "frequent_queries", "synthetic_variants")


@dg.asset(
    # The checks are of the weekly run: a plan takes the newest there are.
    deps=[*_CANDIDATES, "labelled_queries", "embeddings", "answer_checks", "entry_payback"],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=VERIFICATION,
    owners=OWNERS,
    kinds={"numpy", "parquet"},
    pool=PAID,
    description=__doc__,
)
def warming_plan(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    settings, datasets = workspace.settings, workspace.datasets
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        candidates = [datasets.read(name, day) for name in _CANDIDATES]
        embedded = set(datasets.read("embeddings", day, columns=["embedding_key"])["embedding_key"].to_pylist())
        labelled = datasets.read("labelled_queries", day)
        planned = plan_day(workspace, day, candidates, labelled, embedded, judge, context.log.info)
        plan, curve = planned.plan, curve_table(planned.curves)
        datasets.write("plan_conflicts", day, plan.conflicts)
        datasets.write("plan_curve", day, curve)
        datasets.write("warming_plan", day, plan.table)
        sources = plan.table["source"].to_pylist()
        record(
            context,
            day,
            {
                **_of_selection(planned, curve),
                **table_metadata(
                    plan.table,
                    plan.left_out,
                    ("rank", "prompt", "agent_type", "source", "gain", "demand", "quality_score"),
                    budget=settings.budget,
                    selection=settings.selection,
                    golden=sources.count("golden"),
                    query_log=sources.count("query_log"),
                    synthetic=sources.count("synthetic"),
                    refreshed=planned.admitted.refreshed,
                    stale=dict(planned.admitted.stale),
                    earned_nothing=_earned_nothing(workspace, day, planned.admitted.idle),
                    answer_groups=len(set(plan.table["answer_group"].to_pylist())),
                    conflicts=records(plan.conflicts.slice(0, 10).drop_columns(["kept_id", "dropped_id"]).to_pylist()),
                    **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
                ),
            },
            spent=workspace.ledger.usd(),
        )


def _earned_nothing(workspace: Workspace, day: date, idle: list[str]) -> dg.MetadataValue:
    """The candidates that earned no hit and are left out for it, those that leave now first."""
    if not idle:
        return dg.MetadataValue.text("none")
    columns = ["entry_id", "prompt", "agent_type", "source", "last_hit"]
    columns += ["idle_days", "average_hits", "left_on", "times_left"]
    known = stored_payback(workspace.datasets, day, columns)
    rows = [row for row in (known.to_pylist() if known else ()) if row["entry_id"] in set(idle)]
    rows.sort(key=lambda row: (-row["left_on"].toordinal(), row["entry_id"]))
    return records([told_idle(row, workspace.settings.idle_days) for row in rows[:_IDLE_SHOWN]])


def _of_selection(planned: Planned, curve: pa.Table) -> dict[str, Any]:
    """The curve as a plot, a table and a sentence; the parts of the budget; what the second pass changed."""
    if planned.curves is None or planned.second is None:
        return {}
    second = planned.second
    return {
        "next_100": next_entries(planned.curves),
        "expected_hits_a_day": planned.curves.hits(planned.curves.entries),
        "expected_hits_a_day_after_first_pass": second.before,
        "second_pass_changed": second.changed,
        "expected_lookups_a_day": planned.curves.lookups,
        "expected_hits": _plot(planned),
        "curve": records(curve.drop_columns(["lookups"]).to_pylist()),
        "places": sum(row["places"] for row in planned.agents),
        "agent_types": records(list(planned.agents)),
        "foreseen_to_answer_by_meaning": ", ".join(second.by_meaning) or "none",
    }


def _plot(planned: Planned) -> dg.MetadataValue:
    found = planned.curves
    if found is None or not len(found.frequency):
        return dg.MetadataValue.text("no candidates")
    until = max(len(found.plan), found.entries + 1)

    def line(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shown = values[:until]
        return np.arange(len(shown) + 1), np.concatenate(([0.0], shown))

    picture = curve_plot(
        line(found.plan), line(found.frequency), line(found.random), (found.entries, found.hits(found.entries))
    )
    return dg.MetadataValue.md(markdown_image(picture, "expected hits a day against entries"))
