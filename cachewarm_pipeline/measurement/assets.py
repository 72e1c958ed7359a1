"""The measurements as Dagster assets: readers' counts, payback of entries, lift and net return."""

from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from cachewarm_pipeline.lineage.asset_page import observe_source, record_day
from cachewarm_pipeline.lineage.daily_asset import (
    MEASUREMENT_GROUP,
    OWNERS,
    SOURCES_GROUP,
    daily_asset,
    log_failure_and_go_on,
)
from cachewarm_pipeline.lineage.partitions import days_of, lookback
from cachewarm_pipeline.measurement.entry_payback_page import entry_payback_metadata
from cachewarm_pipeline.measurement.entry_payback_service import ENTRY_PAYBACK_ASSET, compute_entry_payback
from cachewarm_pipeline.measurement.impact_page import impact_metadata
from cachewarm_pipeline.measurement.impact_service import CountedDays
from cachewarm_pipeline.measurement.lift.impact_table import impact_table
from cachewarm_pipeline.measurement.net_return import net_return as net_returns
from cachewarm_pipeline.measurement.net_return.net_return import net_return_table
from cachewarm_pipeline.measurement.net_return.net_return_service import read_return_inputs
from cachewarm_pipeline.measurement.net_return_page import net_return_metadata
from cachewarm_pipeline.measurement.serving_counts_page import counts_metadata, day_figures, tally_of
from cachewarm_pipeline.measurement.serving_counts_service import (
    ARM_BUCKETS,
    HITS,
    HOURS,
    day_counters_or_reason,
    entry_hits_of_day,
    store_counts,
)
from cachewarm_pipeline.models.usage_ledger import read_usage
from cachewarm_pipeline.query_log.mined_days import DAILY
from cachewarm_pipeline.storage.measurement_schemas import HOUR_COUNTS
from cachewarm_pipeline.workspace.workspace import Workspace

_COUNTERS = {
    "warm:{name}:stats:{hour}": "lookups by arm, outcome (exact, semantic, miss, error) and agent_type; hits by app "
    "entries; would-be hits of the holdout; microseconds. Kept for 90 days",
    "warm:{name}:arms:{day}": "lookups by arm, bucket of users, hit or miss, and agent_type. A holdout lookup counts "
    "as a hit if it was answered, or a cold cache that all users fill would have answered it; an error counts as a "
    "miss. Kept for 90 days",
    "warm:{name}:served:{hour}": "hits by warmed entry. Kept for 8 days",
}

cache_counters = dg.AssetSpec(
    "cache_counters",
    description="The counters that readers update in Redis, in the same round trip as their lookups. They contain no "
    "user ids. `serving_counts` reads them before they expire. The row count is the number of lookups on the days of "
    "the latest run.",
    group_name=SOURCES_GROUP,
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
    group=MEASUREMENT_GROUP,
    kinds={"redis", "parquet"},
)
def serving_counts(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """What readers counted on a day: lookups by arm, bucket of users, hour and agent_type, and hits by entry, zeros
    included. They are copied from Redis once the day is over, before they expire there, and stored counts are never
    replaced by smaller ones. The asset does not depend on `cache_entries`, because the next plan uses these counts."""
    days, lookups = days_of(context), 0
    for day in days:
        with log_failure_and_go_on(context, day):
            lookups += _count(context, workspace, day)
    observe_source(context, cache_counters.key.to_user_string(), lookups, days, "lookups that readers counted")


def _count(context: dg.AssetExecutionContext, workspace: Workspace, day: date) -> int:
    """Stores the counts of the day. Returns its number of lookups."""
    found = day_counters_or_reason(workspace, day)
    if isinstance(found, str):
        context.log.info(f"{day} is not stored: {found}")
        record_day(context, day, {"stored": "nothing", "why_not": found, **counts_metadata(HOUR_COUNTS.empty_table())})
        return 0
    tables = {HOURS: found.hours, ARM_BUCKETS: found.arms, HITS: entry_hits_of_day(workspace, day, found)}
    kept = list(store_counts(workspace, day, tables))
    for why in kept:
        context.log.warning(why)
    record_day(
        context, day, {**day_figures(tables), **({"kept": kept} if kept else {}), **counts_metadata(found.hours)}
    )
    return tally_of(found.hours).lookups


@daily_asset(
    deps=["serving_counts", DAILY],
    group=MEASUREMENT_GROUP,
    kinds={"parquet"},
)
def entry_payback(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """What each entry earned in 90 days: hits, dollars, last hit, days without a hit, and evidence against it (reports,
    withdrawals, changed answers, rejections in the log). An entry without a hit in at least CACHEWARM_IDLE_DAYS days,
    in which the average entry of its agent_type had 10 hits, is excluded from the next plan: at most 5% of an
    agent_type's live entries a day, and only until its question is asked again or as many days have passed. Query this
    table with `cachewarm entries`."""
    for day in days_of(context):
        with log_failure_and_go_on(context, day):
            table, counted_to = compute_entry_payback(workspace, day)
            # The fingerprint records up to which day the counts reach, so that a later day can tell whether to build
            # on this table.
            workspace.datasets.write(
                ENTRY_PAYBACK_ASSET, day, table, fingerprint=counted_to.isoformat() if counted_to else ""
            )
            record_day(context, day, entry_payback_metadata(table, counted_to))


@daily_asset(
    deps=["serving_counts", "replay", DAILY],
    group=MEASUREMENT_GROUP,
    kinds={"numpy", "parquet"},
)
def warming_impact(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """What warming brought, measured from `serving_counts`: the lift of lookups that may see warmed entries over the
    holdout, lookups that may not, which stands for a cold cache that all users fill. The page shows the lift with its
    interval, the forecast against the measurement, hits by source, and the hit rates before and after warming."""
    counts: CountedDays | None = None
    for day in days_of(context):
        with log_failure_and_go_on(context, day):
            counts = counts or CountedDays(workspace.datasets, workspace.settings.impact_days)
            record_day(context, day, _measure(workspace, counts, day))


def _measure(workspace: Workspace, counts: CountedDays, day: date) -> dict[str, Any]:
    """Stores the impact of the day. Returns the metadata of its page."""
    found = counts.measured_impact(day)
    before = counts.before(day)
    after = counts.after(day, found)
    table = impact_table(found, before, after)
    workspace.datasets.write("warming_impact", day, table)
    return impact_metadata(found, before, after, table)


@daily_asset(
    deps=["warming_impact", "replay", "warming_plan", dg.AssetDep(DAILY, partition_mapping=lookback)],
    group=MEASUREMENT_GROUP,
    kinds={"numpy", "parquet"},
)
def net_return(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """The net savings of warming: extra right hits x cost of a call - wrong hits x harm - running cost, per day. It is
    computed twice: as expected from the `replay`, and as measured against the holdout. The page also shows the payback
    time, and the harm per wrong hit at which warming stops paying."""
    read: tuple[CountedDays, pa.Table] | None = None
    for day in days_of(context):
        with log_failure_and_go_on(context, day):
            read = read or (
                CountedDays(workspace.datasets, workspace.settings.impact_days),
                read_usage(workspace.usage_folder, date.min, workspace.today),
            )
            record_day(context, day, _net(workspace, *read, day))


def _net(workspace: Workspace, counts: CountedDays, usage: pa.Table, day: date) -> dict[str, Any]:
    """Stores the net return of the day. Returns the metadata of its page. ``usage``: the whole USAGE ledger."""
    known = read_return_inputs(workspace, day, usage, counts.first_live().plan)
    bases = [net_returns.expected_return(known), net_returns.measured_return(known, counts.measured_impact(day))]
    table = net_return_table(known, bases)
    workspace.datasets.write("net_return", day, table)
    return net_return_metadata(table, known, workspace.settings.prices_as_of)
