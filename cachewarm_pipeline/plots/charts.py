"""Plots that both an asset's page and the report show."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from cachewarm_pipeline.plots.drawing import line_plot

PlotLine = tuple[Any, Any]
"""x and y, of equal length."""


def gain_curves_plot(plan: PlotLine, frequency: PlotLine, drawn: PlotLine, stop: tuple[int, float] | None) -> str:
    """Expected hits a day against entries: the plan and what would come next, the seed's order, a random one. ``stop``:
    where the plan ends."""
    name = "plan, by coverage"
    return line_plot(
        {name: plan, "golden, then by frequency": frequency, "random": drawn},
        title="Hits expected a day, by entries; the ring is where the plan stops",
        x_label="entries",
        y_label="hits a day",
        marks={name: stop} if stop else {},
        notes={name: f"stops at {stop[0]:,}: {stop[1]:,.0f} hits"} if stop else {},
    )


def impact_plot(by_day: Sequence[Mapping[str, Any]]) -> str:
    """Hit rates of each day: forecast, warmed arm, holdout, and the lift with its interval. ``by_day``: rows of
    WARMING_IMPACT of scope ``day``, oldest first."""
    columns = {"warmed arm": "hit_rate", "forecast": "forecast_hit_rate", "holdout": "holdout_hit_rate", "lift": "lift"}
    lines, notes = {}, {}
    for name, column in columns.items():
        there = [(_ordinal(row), row[column]) for row in by_day if row[column] is not None]
        if there:
            lines[name] = ([x for x, _ in there], [y for _, y in there])
            notes[name] = f"latest: {there[-1][1]:{'+' if name == 'lift' else ''}.1%}"
    shaded = [row for row in by_day if row["lift_low"] is not None]
    low, high = ([row[end] for row in shaded] for end in ("lift_low", "lift_high"))
    return line_plot(
        lines,
        title="What was forecast and what came: hit rate by day, and the lift of that day alone",
        x_label="day; shaded: 95% interval of the lift",
        y_label="hits / lookups",
        percent="y",
        days=True,
        notes=notes,
        bands={"lift": ([_ordinal(row) for row in shaded], low, high)} if shaded else {},
    )


def _ordinal(row: Mapping[str, Any]) -> int:
    return date.fromisoformat(row["name"]).toordinal()
