"""What warming brought, measured: the lift of look-ups that may see warmed entries over a cold cache that everybody
fills, by look-ups that may not see them (the holdout), with an interval; the forecast against what came; hits by
source; and the plain rates before and after."""

from collections.abc import Iterable
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from cachewarm_pipeline.lineage.asset_page import MEASUREMENT, OWNERS, never_stops, record, records, table_metadata
from cachewarm_pipeline.lineage.partitions import daily, days_of, one_run
from cachewarm_pipeline.measurement.lift.impact_text import before_after_told, forecast_told, impact_table, lift_told
from cachewarm_pipeline.measurement.lift.measured_impact import Measured
from cachewarm_pipeline.measurement.service import Counted
from cachewarm_pipeline.plots.charts import came_plot
from cachewarm_pipeline.plots.drawing import markdown_image
from cachewarm_pipeline.query_log.service import DAILY
from cachewarm_pipeline.workspace.workspace import Workspace

_EXAMPLES = ("scope", "name", "lookups", "hit_rate", "holdout_hit_rate", "lift", "lift_low", "lift_high", "why")


@dg.asset(
    deps=["serving_counts", "replay", DAILY],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=MEASUREMENT,
    owners=OWNERS,
    kinds={"numpy", "parquet"},
    description=__doc__,
)
def warming_impact(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    counts: Counted | None = None
    for day in days_of(context):
        with never_stops(context, day):
            counts = counts or Counted(workspace.datasets, workspace.settings.impact_days)
            record(context, day, _measure(workspace, counts, day))


def _measure(workspace: Workspace, counts: Counted, day: date) -> dict[str, Any]:
    """Stores the day; what its page shows."""
    found = counts.measured(day)
    before = counts.before(day)
    after = counts.after(day, found)
    table = impact_table(found, before, after)
    workspace.datasets.write("warming_impact", day, table)
    return {
        "measured": lift_told(found),
        "before_and_after": before_after_told(before, after),
        "forecast_and_what_came": forecast_told(found),
        **_numbers(found),
        **({"by_day": _plot(table)} if found.after.lookups else {}),
        "agent_types": _records(table, ("total", "agent_type", "rest")),
        "sources": records(
            [
                {"source": row["name"], "hits": row["hits"], "share of hits": row["share"]}
                for row in _rows(table, ("source",))
                if row["hits"]
            ]
        ),
        **table_metadata(table, examples=_EXAMPLES),
    }


def _numbers(found: Measured) -> dict[str, Any]:
    """Those that Dagster draws as a history."""
    total = found.impact.total
    numbers = {
        "lift": total.lift,
        "lift_low": total.low,
        "lift_high": total.high,
        "hit_rate": found.after.hit_rate,
        "holdout_hit_rate": total.holdout_hit_rate,
        "lookups": found.after.lookups,
        "days": len(found.days),
    }
    return {name: number for name, number in numbers.items() if number is not None}


def _rows(table: pa.Table, scopes: Iterable[str]) -> list[dict[str, Any]]:
    return [row for row in table.to_pylist() if row["scope"] in scopes]


def _records(table: pa.Table, scopes: Iterable[str]) -> dg.MetadataValue:
    return records(
        [
            {
                "agent_type": row["name"]
                or ("all" if row["scope"] == "total" else "those with too few users together"),
                "look-ups": row["lookups"],
                "hit rate": row["hit_rate"],
                "cold cache, by the holdout": row["holdout_hit_rate"],
                "lift": row["lift"],
                "from (95%)": row["lift_low"],
                "to (95%)": row["lift_high"],
                "what is missing": row["why"],
            }
            for row in _rows(table, scopes)
        ]
    )


def _plot(table: pa.Table) -> dg.MetadataValue:
    alt = "hit rate by day: forecast, warmed arm, holdout and lift"
    return dg.MetadataValue.md(markdown_image(came_plot(_rows(table, ("day",))), alt))
