"""What the page of `warming_impact` shows: the lift, forecast and measured hit rate, agent types, sources and days."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from cachewarm_pipeline.lineage.asset_page import PageValue, picture, records, table_metadata
from cachewarm_pipeline.measurement.lift.impact_text import before_after_sentence, forecast_sentence, lift_sentence
from cachewarm_pipeline.measurement.lift.measured_impact import MeasuredImpact, PlainHitRate
from cachewarm_pipeline.plots.charts import impact_plot

_EXAMPLES = ("scope", "name", "lookups", "hit_rate", "holdout_hit_rate", "lift", "lift_low", "lift_high", "why")


def impact_metadata(
    found: MeasuredImpact, before: PlainHitRate, after: PlainHitRate, table: pa.Table
) -> dict[str, Any]:
    """Metadata of the asset; ``table``: WARMING_IMPACT of the day."""
    return {
        "measured": lift_sentence(found),
        "before_and_after": before_after_sentence(before, after),
        "forecast_and_what_came": forecast_sentence(found),
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


def _numbers(found: MeasuredImpact) -> dict[str, Any]:
    """Numbers that Dagster plots as a history over days."""
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


def _records(table: pa.Table, scopes: Iterable[str]) -> PageValue:
    return records(
        [
            {
                "agent_type": row["name"]
                or ("all" if row["scope"] == "total" else "agent types with too few users, together"),
                "lookups": row["lookups"],
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


def _plot(table: pa.Table) -> PageValue:
    alt = "hit rate by day: forecast, warmed arm, holdout and lift"
    return picture(impact_plot(_rows(table, ("day",))), alt)
