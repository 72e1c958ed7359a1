"""What the page of `warming_plan` shows: the curve of expected hits, the parts of the budget, idle entries."""

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from cachewarm_pipeline.freshness.stored_payback import idle_entry_row, stored_payback
from cachewarm_pipeline.lineage.asset_page import PageValue, picture, records, text
from cachewarm_pipeline.planning.gain_curve import next_entries
from cachewarm_pipeline.planning.service import Planned
from cachewarm_pipeline.plots.charts import curve_plot
from cachewarm_pipeline.workspace.workspace import Workspace

_IDLE_SHOWN = 10


def idle_entries_table(workspace: Workspace, day: date, idle: list[str]) -> PageValue:
    """The candidates that earned no hit and are left out for it, those that leave now first."""
    if not idle:
        return text("none")
    columns = ["entry_id", "prompt", "agent_type", "source", "last_hit"]
    columns += ["idle_days", "average_hits", "left_on", "times_left"]
    known = stored_payback(workspace.datasets, day, columns)
    rows = [row for row in (known.to_pylist() if known else ()) if row["entry_id"] in set(idle)]
    rows.sort(key=lambda row: (-row["left_on"].toordinal(), row["entry_id"]))
    return records([idle_entry_row(row, workspace.settings.idle_days) for row in rows[:_IDLE_SHOWN]])


def selection_metadata(planned: Planned, curve: pa.Table) -> dict[str, Any]:
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


def _plot(planned: Planned) -> PageValue:
    found = planned.curves
    if found is None or not len(found.frequency):
        return text("no candidates")
    until = max(len(found.plan), found.entries + 1)

    def line(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shown = values[:until]
        return np.arange(len(shown) + 1), np.concatenate(([0.0], shown))

    drawn = curve_plot(
        line(found.plan), line(found.frequency), line(found.random), (found.entries, found.hits(found.entries))
    )
    return picture(drawn, "expected hits a day against entries")
