"""What the pages of `embeddings` and `warming_plan` show."""

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from cachewarm_pipeline.freshness.stored_payback import idle_entry_row, stored_payback
from cachewarm_pipeline.lineage.asset_page import PageValue, judge_metadata, picture, records, table_metadata, text
from cachewarm_pipeline.planning.embedding_service import EmbeddedDay
from cachewarm_pipeline.planning.gain_curves import next_entries_sentence
from cachewarm_pipeline.planning.service import PlannedDay
from cachewarm_pipeline.plots.charts import gain_curves_plot
from cachewarm_pipeline.ports import Judge
from cachewarm_pipeline.workspace.workspace import Workspace

_IDLE_SHOWN = 10


def embeddings_metadata(workspace: Workspace, embedded: EmbeddedDay) -> dict[str, Any]:
    """The page of `embeddings`: texts embedded and reused, tokens and dollars."""
    info, result = workspace.embedder.info, embedded.result
    return table_metadata(
        embedded.table,
        examples=("text", "embedding_key", "dimensions"),
        model=info.id,
        embedded=result.embedded,
        reused=result.reused,
        tokens=result.tokens,
        usd=result.tokens * info.usd_per_million_tokens / 1e6,
        seconds=result.seconds,
    )


def plan_metadata(
    workspace: Workspace, day: date, planned: PlannedDay, curve: pa.Table, judge: Judge
) -> dict[str, Any]:
    """The page of `warming_plan`: the selection, then the entries by source, conflicts and exclusions.

    ``curve``: PLAN_CURVE.
    """
    plan, settings = planned.plan, workspace.settings
    sources = plan.table["source"].to_pylist()
    return {
        **selection_metadata(planned, curve),
        **table_metadata(
            plan.table,
            plan.excluded,
            ("rank", "prompt", "agent_type", "source", "gain", "demand", "quality_score"),
            budget=settings.budget,
            selection=settings.selection,
            golden=sources.count("golden"),
            query_log=sources.count("query_log"),
            synthetic=sources.count("synthetic"),
            refreshed=planned.admitted.refreshed,
            stale=dict(planned.admitted.stale),
            earned_nothing=idle_entries_table(workspace, day, planned.admitted.idle),
            answer_groups=len(set(plan.table["answer_group"].to_pylist())),
            conflicts=records(plan.conflicts.slice(0, 10).drop_columns(["kept_id", "dropped_id"]).to_pylist()),
            **judge_metadata(judge, workspace.embedder.info.usd_per_million_tokens),
        ),
    }


def idle_entries_table(workspace: Workspace, day: date, idle: list[str]) -> PageValue:
    """The candidates that are excluded because they earned no hit, the most recently excluded first."""
    if not idle:
        return text("none")
    columns = ["entry_id", "prompt", "agent_type", "source", "last_hit"]
    columns += ["idle_days", "average_hits", "left_on", "times_left"]
    known = stored_payback(workspace.datasets, day, columns)
    rows = [row for row in (known.to_pylist() if known else ()) if row["entry_id"] in set(idle)]
    rows.sort(key=lambda row: (-row["left_on"].toordinal(), row["entry_id"]))
    return records([idle_entry_row(row, workspace.settings.idle_days) for row in rows[:_IDLE_SHOWN]])


def selection_metadata(planned: PlannedDay, curve: pa.Table) -> dict[str, Any]:
    """The curves as a plot, a table and a sentence; the budget by agent_type; what the second pass changed.

    ``curve``: PLAN_CURVE.
    """
    if planned.curves is None or planned.second_pass is None:
        return {}
    second_pass = planned.second_pass
    return {
        "next_100": next_entries_sentence(planned.curves),
        "expected_hits_a_day": planned.curves.hits(planned.curves.entries),
        "expected_hits_a_day_after_first_pass": second_pass.first_pass_hits,
        "second_pass_changed": second_pass.new_entries,
        "expected_lookups_a_day": planned.curves.lookups,
        "expected_hits": _plot(planned),
        "curve": records(curve.drop_columns(["lookups"]).to_pylist()),
        "places": sum(row["places"] for row in planned.agent_rows),
        "agent_types": records(list(planned.agent_rows)),
        "foreseen_to_answer_by_meaning": ", ".join(second_pass.semantic_agent_types) or "none",
    }


def _plot(planned: PlannedDay) -> PageValue:
    found = planned.curves
    if found is None or not len(found.frequency):
        return text("no candidates")
    until = max(len(found.plan), found.entries + 1)

    def line(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shown = values[:until]
        return np.arange(len(shown) + 1), np.concatenate(([0.0], shown))

    plot = gain_curves_plot(
        line(found.plan), line(found.frequency), line(found.random), (found.entries, found.hits(found.entries))
    )
    return picture(plot, "expected hits a day by number of entries")
