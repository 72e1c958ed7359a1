"""What was measured, as Dagster assets: counts of readers, payback of entries, lift and net return."""

from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from cachewarm_pipeline.lineage.asset_page import observe, record
from cachewarm_pipeline.lineage.daily_asset import MEASUREMENT, OWNERS, SOURCES, daily_asset, never_stops
from cachewarm_pipeline.lineage.partitions import days_of, lookback
from cachewarm_pipeline.measurement import net_return as net_returns
from cachewarm_pipeline.measurement.entry_payback_page import payback_metadata
from cachewarm_pipeline.measurement.entry_payback_service import ENTRY_PAYBACK_ASSET, payback_day
from cachewarm_pipeline.measurement.impact_page import impact_metadata
from cachewarm_pipeline.measurement.lift.impact_text import impact_table
from cachewarm_pipeline.measurement.net_return import net_return_table
from cachewarm_pipeline.measurement.net_return_page import net_return_metadata
from cachewarm_pipeline.measurement.net_return_service import known_of
from cachewarm_pipeline.measurement.net_return_text import figures
from cachewarm_pipeline.measurement.service import CountedDays
from cachewarm_pipeline.measurement.serving_counts_page import counts_metadata, tally_of
from cachewarm_pipeline.measurement.serving_counts_service import BUCKETS, HITS, HOURS, hits_of, readable, store
from cachewarm_pipeline.models.usage_ledger import read_usage
from cachewarm_pipeline.query_log.mined_days import DAILY
from cachewarm_pipeline.storage.measurement_schemas import HOUR_COUNTS
from cachewarm_pipeline.workspace.workspace import Workspace

_COUNTERS = {
    "warm:{name}:stats:{hour}": "lookups by arm, outcome (exact, semantic, miss, error) and agent_type, hits by own "
    "entries, would-be hits of the holdout, microseconds; 90 days",
    "warm:{name}:arms:{day}": "lookups by arm, bucket of users, hit or miss, and agent_type; 90 days. A hit of the "
    "holdout: answered, or a cold cache that everybody fills would have; what raised is a miss",
    "warm:{name}:served:{hour}": "hits by warmed entry; 8 days",
}

cache_counters = dg.AssetSpec(
    "cache_counters",
    description="What readers count in Redis, in the same round trip as their lookups. No user id is in it. The row "
    "count is of the lookups of the days that were read last.",
    group_name=SOURCES,
    owners=OWNERS,
    kinds={"redis"},
    metadata={
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(key, "hash of counts", description=what) for key, what in _COUNTERS.items()]
        )
    },
)


@daily_asset(
    deps=["cache_counters"],
    group=MEASUREMENT,
    kinds={"redis", "parquet"},
)
def serving_counts(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """What readers counted on a day, taken out of Redis before it expires there: lookups by arm, bucket of users, hour
    and agent_type, and hits by entry, also of entries without any. A day that is not over is not stored; counts that
    are stored are never replaced by fewer. It does not depend on `cache_entries`: the next plan rests on it."""
    days, lookups = days_of(context), 0
    for day in days:
        with never_stops(context, day):
            lookups += _count(context, workspace, day)
    observe(context, cache_counters.key.to_user_string(), lookups, days, "lookups that readers counted")


def _count(context: dg.AssetExecutionContext, workspace: Workspace, day: date) -> int:
    """Stores the day; its lookups."""
    found = readable(workspace, day)
    if isinstance(found, str):
        context.log.info(f"{day} is not stored: {found}")
        record(context, day, {"stored": "nothing", "why_not": found, **counts_metadata(HOUR_COUNTS.empty_table())})
        return 0
    tables = {HOURS: found.hours, BUCKETS: found.arms, HITS: hits_of(workspace, day, found)}
    kept = list(store(workspace, day, tables))
    for why in kept:
        context.log.warning(why)
    record(context, day, {**figures(tables), **({"kept": kept} if kept else {}), **counts_metadata(found.hours)})
    return tally_of(found.hours).lookups


@daily_asset(
    deps=["serving_counts", DAILY],
    group=MEASUREMENT,
    kinds={"parquet"},
)
def entry_payback(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """What each entry earned in 90 days: hits, dollars, last hit, days without one, and what speaks against it
    (reports, withdrawals, changed answers, rejections in the log). Entries without a hit in CACHEWARM_IDLE_DAYS days
    or more, on which an average entry of their agent_type had 10 hits, leave the next plan, at most 5% of an
    agent_type's live entries a day. They come back when their question is asked again, or after as many days.
    `cachewarm entries` asks this table."""
    for day in days_of(context):
        with never_stops(context, day):
            table, counted_to = payback_day(workspace, day)
            # What it rests on is told by the file itself: a day whose counts came later is no ground to go on from.
            workspace.datasets.write(
                ENTRY_PAYBACK_ASSET, day, table, fingerprint=counted_to.isoformat() if counted_to else ""
            )
            record(context, day, payback_metadata(table, counted_to))


@daily_asset(
    deps=["serving_counts", "replay", DAILY],
    group=MEASUREMENT,
    kinds={"numpy", "parquet"},
)
def warming_impact(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """What warming brought, measured: the lift of lookups that may see warmed entries over a cold cache that everybody
    fills, by lookups that may not see them (the holdout), with an interval; the forecast against what came; hits by
    source; and the plain rates before and after."""
    counts: CountedDays | None = None
    for day in days_of(context):
        with never_stops(context, day):
            counts = counts or CountedDays(workspace.datasets, workspace.settings.impact_days)
            record(context, day, _measure(workspace, counts, day))


def _measure(workspace: Workspace, counts: CountedDays, day: date) -> dict[str, Any]:
    """Stores the day; what its page shows."""
    found = counts.measured_impact(day)
    before = counts.before(day)
    after = counts.after(day, found)
    table = impact_table(found, before, after)
    workspace.datasets.write("warming_impact", day, table)
    return impact_metadata(found, before, after, table)


@daily_asset(
    deps=["warming_impact", "replay", "warming_plan", dg.AssetDep(DAILY, partition_mapping=lookback)],
    group=MEASUREMENT,
    kinds={"numpy", "parquet"},
)
def net_return(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """What warming nets: savings a day = extra right hits x cost of a call - wrong hits x harm - running cost, expected
    by the replay and measured over the holdout; payback, and the harm of a wrong hit at which it stops paying."""
    read: tuple[CountedDays, pa.Table] | None = None
    for day in days_of(context):
        with never_stops(context, day):
            read = read or (
                CountedDays(workspace.datasets, workspace.settings.impact_days),
                read_usage(workspace.usage_folder, date.min, workspace.today),
            )
            record(context, day, _net(workspace, *read, day))


def _net(workspace: Workspace, counts: CountedDays, usage: pa.Table, day: date) -> dict[str, Any]:
    """Stores the day; what its page shows. ``usage``: USAGE, all of it."""
    known = known_of(workspace, day, usage, counts.first_live().plan)
    bases = [net_returns.expected_return(known), net_returns.measured_return(known, counts.measured_impact(day))]
    table = net_return_table(known, bases)
    workspace.datasets.write("net_return", day, table)
    return net_return_metadata(table, known, workspace.settings.prices_as_of)
