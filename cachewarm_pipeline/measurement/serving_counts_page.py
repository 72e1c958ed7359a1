"""What the page of `serving_counts` shows: rates by arm and agent_type, and the hit rate by hour."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.counters import ARMS, HOLDOUT_ARM, WARMED_ARM, Tally

from cachewarm_pipeline.lineage.asset_page import PageValue, picture, records, table_metadata
from cachewarm_pipeline.measurement.serving_counts_service import HITS, HOURS
from cachewarm_pipeline.plots.drawing import line_plot

_SUMMED = ("exact", "semantic", "misses", "hit_seconds", "miss_seconds", "would_hits", "errors")


_ROWS = 20


_EXAMPLES = ("hour", "arm", "agent_type", "exact", "semantic", "misses", "warmed_hits", "would_hits", "errors")


def day_figures(tables: dict[str, pa.Table | None]) -> dict[str, Any]:
    """Numbers that Dagster draws as a history, of what there is, then tables and the plot."""
    hours, hits = tables[HOURS], tables[HITS]
    assert hours is not None
    arms = {arm: tally_of(hours, arm=arm) for arm in ARMS}
    both = Tally()
    for tally in arms.values():
        both.include(tally)
    rates = {f"{arm}_hit_rate": tally.hit_rate for arm, tally in arms.items()}
    latencies = {"hit_ms": both.hit_ms, "miss_ms": both.miss_ms}
    entries: dict[str, Any] = {}
    if hits is not None:
        live = hits.filter(pc.is_valid(hits["generation"]))
        entries = {
            "entries_live": live.num_rows,
            "entries_live_all_day": pc.sum(hits["whole_day"]).as_py() or 0,
            "entries_hit": pc.sum(pc.greater(hits["hits"], 0)).as_py() or 0,
            "hits_by_warmed_entries": pc.sum(hits["hits"]).as_py() or 0,
        }
    return {
        "lookups": both.lookups,
        **({"holdout_share": arms[HOLDOUT_ARM].lookups / both.lookups} if both.lookups else {}),
        **{name: value for name, value in {**rates, **latencies}.items() if value is not None},
        **({"cold_cache_hit_rate": cold} if (cold := arms[HOLDOUT_ARM].cold_cache_hit_rate) is not None else {}),
        **({"lookups_that_raised": both.errors} if both.errors else {}),
        **entries,
        **({"agent_types": _agent_types(hours), "hit_rate_by_hour": _plot(hours)} if both.lookups else {}),
    }


def tally_of(hours: pa.Table, **where: Any) -> Tally:
    """The lookups of the rows that have these values."""
    for name, value in where.items():
        hours = hours.filter(pc.equal(hours[name], value))
    exact, semantic, misses, hit_s, miss_s, cold, errors = (pc.sum(hours[name]).as_py() or 0 for name in _SUMMED)
    us = {"hit_us": round(hit_s * 1e6), "miss_us": round(miss_s * 1e6)}
    return Tally(exact, semantic, misses, **us, cold_cache_hits=cold, errors=errors)


def _agent_types(hours: pa.Table) -> PageValue:
    """The most asked ones, each with the hit rate of both arms."""
    rows = []
    for name in pc.unique(hours["agent_type"]).to_pylist():
        warmed, holdout = (tally_of(hours, agent_type=name, arm=arm) for arm in (WARMED_ARM, HOLDOUT_ARM))
        rows.append(
            {
                "agent_type": name,
                "lookups": warmed.lookups + holdout.lookups,
                "warmed_hit_rate": warmed.hit_rate,
                "holdout_hit_rate": holdout.hit_rate,
                "cold_cache_hit_rate": holdout.cold_cache_hit_rate,
                "hit_ms": warmed.hit_ms,
                "miss_ms": warmed.miss_ms,
            }
        )
    return records(sorted(rows, key=lambda row: -row["lookups"])[:_ROWS])


def _plot(hours: pa.Table) -> PageValue:
    begins = sorted(set(hours["hour"].to_pylist()))
    lines = {}
    for arm in ARMS:
        rates = {
            begin.hour: tally_of(hours, hour=pa.scalar(begin, hours["hour"].type), arm=arm).hit_rate for begin in begins
        }
        known = {hour: rate for hour, rate in rates.items() if rate is not None}
        if known:
            lines[arm] = (list(known), list(known.values()))
    drawn = line_plot(
        lines,
        title="Hit rate by hour, of lookups that may and may not see warmed entries",
        x_label="hour of the day, UTC",
        y_label="hits / lookups",
        percent="y",
        notes={arm: f"day: {tally_of(hours, arm=arm).hit_rate:.1%}" for arm in lines},
    )
    return picture(drawn, "hit rate by hour and arm")


def counts_metadata(hours: pa.Table) -> dict[str, Any]:
    return table_metadata(hours, examples=_EXAMPLES)
