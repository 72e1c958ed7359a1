"""What readers counted on a day, taken out of Redis before it expires there: look-ups by arm, bucket of users, hour and
agent_type, and hits by entry, also of entries without any. A day that is not over is not stored; counts that are stored
are never replaced by fewer. It does not depend on `cache_entries`: the next plan rests on it."""

from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.counters import ARMS, HOLDOUT_ARM, WARMED_ARM, Tally

from cachewarm_pipeline.lineage.asset_page import (
    MEASUREMENT,
    OWNERS,
    SOURCES,
    never_stops,
    observe,
    record,
    records,
    table_metadata,
)
from cachewarm_pipeline.lineage.partitions import daily, days_of, one_run
from cachewarm_pipeline.measurement.serving_counts_service import BUCKETS, HITS, HOURS, hits_of, readable, store
from cachewarm_pipeline.plots.drawing import line_plot, markdown_image
from cachewarm_pipeline.storage.measurement_schemas import HOUR_COUNTS
from cachewarm_pipeline.workspace.workspace import Workspace

_COUNTERS = {
    "warm:{name}:stats:{hour}": "look-ups by arm, outcome (exact, semantic, miss, error) and agent_type, hits by own "
    "entries, would-be hits of the holdout, microseconds; 90 days",
    "warm:{name}:arms:{day}": "look-ups by arm, bucket of users, hit or miss, and agent_type; 90 days. A hit of the "
    "holdout: answered, or a cold cache that everybody fills would have; what raised is a miss",
    "warm:{name}:served:{hour}": "hits by warmed entry; 8 days",
}

cache_counters = dg.AssetSpec(
    "cache_counters",
    description="What readers count in Redis, in the same round trip as their look-ups. No user id is in it. The row "
    "count is of the look-ups of the days that were read last.",
    group_name=SOURCES,
    owners=OWNERS,
    kinds={"redis"},
    metadata={
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(key, "hash of counts", description=what) for key, what in _COUNTERS.items()]
        )
    },
)


@dg.asset(
    deps=["cache_counters"],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=MEASUREMENT,
    owners=OWNERS,
    kinds={"redis", "parquet"},
    description=__doc__,
)
def serving_counts(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    days, lookups = days_of(context), 0
    for day in days:
        with never_stops(context, day):
            lookups += _count(context, workspace, day)
    observe(context, cache_counters.key.to_user_string(), lookups, days, "look-ups that readers counted")


def _count(context: dg.AssetExecutionContext, workspace: Workspace, day: date) -> int:
    """Stores the day; its look-ups."""
    found = readable(workspace, day)
    if isinstance(found, str):
        context.log.info(f"{day} is not stored: {found}")
        record(context, day, {"stored": "nothing", "why_not": found, **_page(HOUR_COUNTS.empty_table())})
        return 0
    tables = {HOURS: found.hours, BUCKETS: found.arms, HITS: hits_of(workspace, day, found)}
    kept = list(store(workspace, day, tables))
    for why in kept:
        context.log.warning(why)
    record(context, day, {**_numbers(tables), **({"kept": kept} if kept else {}), **_page(found.hours)})
    return _of(found.hours).lookups


def _numbers(tables: dict[str, pa.Table | None]) -> dict[str, Any]:
    """Numbers that Dagster draws as a history, of what there is, then tables and the plot."""
    hours, hits = tables[HOURS], tables[HITS]
    assert hours is not None
    arms = {arm: _of(hours, arm=arm) for arm in ARMS}
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
        **({"cold_cache_hit_rate": cold} if (cold := arms[HOLDOUT_ARM].would_hit_rate) is not None else {}),
        **({"lookups_that_raised": both.errors} if both.errors else {}),
        **entries,
        **({"agent_types": _agent_types(hours), "hit_rate_by_hour": _plot(hours)} if both.lookups else {}),
    }


def _of(hours: pa.Table, **where: Any) -> Tally:
    """The look-ups of the rows that have these values."""
    for name, value in where.items():
        hours = hours.filter(pc.equal(hours[name], value))
    exact, semantic, misses, hit_s, miss_s, would, errors = (pc.sum(hours[name]).as_py() or 0 for name in _SUMMED)
    us = {"hit_us": round(hit_s * 1e6), "miss_us": round(miss_s * 1e6)}
    return Tally(exact, semantic, misses, **us, would=would, errors=errors)


_SUMMED = ("exact", "semantic", "misses", "hit_seconds", "miss_seconds", "would_hits", "errors")


def _agent_types(hours: pa.Table) -> dg.MetadataValue:
    """The most asked ones, each with the hit rate of both arms."""
    rows = []
    for name in pc.unique(hours["agent_type"]).to_pylist():
        warmed, holdout = (_of(hours, agent_type=name, arm=arm) for arm in (WARMED_ARM, HOLDOUT_ARM))
        rows.append(
            {
                "agent_type": name,
                "lookups": warmed.lookups + holdout.lookups,
                "warmed_hit_rate": warmed.hit_rate,
                "holdout_hit_rate": holdout.hit_rate,
                "cold_cache_hit_rate": holdout.would_hit_rate,
                "hit_ms": warmed.hit_ms,
                "miss_ms": warmed.miss_ms,
            }
        )
    return records(sorted(rows, key=lambda row: -row["lookups"])[:_ROWS])


_ROWS = 20


def _plot(hours: pa.Table) -> dg.MetadataValue:
    begins = sorted(set(hours["hour"].to_pylist()))
    lines = {}
    for arm in ARMS:
        rates = {
            begin.hour: _of(hours, hour=pa.scalar(begin, hours["hour"].type), arm=arm).hit_rate for begin in begins
        }
        known = {hour: rate for hour, rate in rates.items() if rate is not None}
        if known:
            lines[arm] = (list(known), list(known.values()))
    picture = line_plot(
        lines,
        title="Hit rate by hour, of look-ups that may and may not see warmed entries",
        x_label="hour of the day, UTC",
        y_label="hits / look-ups",
        percent="y",
        notes={arm: f"day: {_of(hours, arm=arm).hit_rate:.1%}" for arm in lines},
    )
    return dg.MetadataValue.md(markdown_image(picture, "hit rate by hour and arm"))


def _page(hours: pa.Table) -> dict[str, Any]:
    return table_metadata(hours, examples=_EXAMPLES)


_EXAMPLES = ("hour", "arm", "agent_type", "exact", "semantic", "misses", "warmed_hits", "would_hits", "errors")
