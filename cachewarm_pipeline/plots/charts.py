"""Plots that an asset's page and the report share."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.plots.drawing import line_plot

PlotLine = tuple[Any, Any]
"""x and y, of equal length."""


def gain_curves_plot(plan: PlotLine, frequency: PlotLine, random: PlotLine, stop: tuple[int, float] | None) -> str:
    """Expected hits a day by number of entries, in three orders: the plan and what would come next, golden then by
    frequency, and random. ``stop``: the plan's last point (entries, hits a day). Returns a data URI."""
    name = "plan, by coverage"
    return line_plot(
        {name: plan, "golden, then by frequency": frequency, "random": random},
        title="Expected hits a day by number of entries; the ring marks the end of the plan",
        x_label="entries",
        y_label="hits a day",
        marks={name: stop} if stop else {},
        notes={name: f"ends at {stop[0]:,}: {plural(round(stop[1]), 'hit')}"} if stop else {},
    )


def impact_plot(by_day: Sequence[Mapping[str, Any]]) -> str:
    """Hit rates by day: forecast, warmed arm and holdout, and the lift with its interval. ``by_day``: rows of
    WARMING_IMPACT with the scope ``day``, oldest first. Returns a data URI."""
    columns = {"warmed arm": "hit_rate", "forecast": "forecast_hit_rate", "holdout": "holdout_hit_rate", "lift": "lift"}
    lines, notes = {}, {}
    for name, column in columns.items():
        points = [(_ordinal(row), row[column]) for row in by_day if row[column] is not None]
        if points:
            lines[name] = ([x for x, _ in points], [y for _, y in points])
            notes[name] = f"latest: {points[-1][1]:{'+' if name == 'lift' else ''}.1%}"
    shaded = [row for row in by_day if row["lift_low"] is not None]
    low, high = ([row[end] for row in shaded] for end in ("lift_low", "lift_high"))
    return line_plot(
        lines,
        title="Hit rate by day, forecast and measured, and the lift of each single day",
        x_label="day; shaded: 95% interval of the lift",
        y_label="hits / lookups",
        percent="y",
        days=True,
        notes=notes,
        bands={"lift": ([_ordinal(row) for row in shaded], low, high)} if shaded else {},
    )


def _ordinal(row: Mapping[str, Any]) -> int:
    return date.fromisoformat(row["name"]).toordinal()
