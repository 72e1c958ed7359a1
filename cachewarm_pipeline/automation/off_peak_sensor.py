"""The sensor of progressive loading. While the off-peak window is open and a plan is not fully loaded, it requests a
run every few minutes, which loads some entries. In peak hours it requests no run, and nothing is written."""

from datetime import date, timedelta
from typing import Any

import dagster as dg
from dagster import DagsterInstance

from cachewarm_pipeline.automation.catch_up import decide_retry
from cachewarm_pipeline.automation.jobs import load_cache
from cachewarm_pipeline.automation.run_state import (
    default_status,
    existing_cache,
    finished_runs,
    skip_for,
    time_slot,
    unfinished_run,
)
from cachewarm_pipeline.automation.tags import started_by
from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.workspace.workspace import Workspace

CACHE_ENTRIES = dg.AssetKey("cache_entries")


def waiting_plan(instance: DagsterInstance, cache: CacheStore) -> tuple[date, str] | None:
    """The day whose plan is to be loaded and how much of it is loaded: the plan that is being filled, else the newest
    plan. None when that one is published."""
    if filling := cache.filling():
        return filling.as_of, f"{filling.loaded:,} of {filling.entries:,} entries of {filling.id}"
    partitions = instance.get_materialized_partitions(CACHE_ENTRIES)
    if not partitions:
        return None
    newest = max(partitions)
    records_of_day = dg.AssetRecordsFilter(asset_key=CACHE_ENTRIES, asset_partitions=[newest])
    (record,) = instance.fetch_materializations(records_of_day, limit=1).records
    found = record.asset_materialization
    metadata: dict[str, Any] = {name: value.value for name, value in (found.metadata if found else {}).items()}
    if metadata.get("published") or "loaded" not in metadata:
        return None
    return date.fromisoformat(newest), f"{metadata['loaded']:,} of {metadata['of']:,} entries"


def off_peak_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor ``load_off_peak``. It looks every minute; run keys keep runs ``progressive_minutes`` apart."""

    @dg.sensor(
        name="load_off_peak",
        job=load_cache,
        minimum_interval_seconds=60,
        default_status=default_status(settings.progressive),
        description="Progressive loading: in the off-peak window each run loads a limited number of entries. The "
        "generation is verified and published when all its entries are loaded.",
    )
    def load_off_peak(
        context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.RunRequest | dg.SkipReason:
        own, now = workspace.settings, workspace.now()
        if not own.progressive:
            return dg.SkipReason("CACHEWARM_PROGRESSIVE is off: generations are loaded at once")
        if not own.window.contains(now):
            begins = own.window.next_begin(now)
            return dg.SkipReason(f"peak hours: the window ({own.window}) opens at {begins:%Y-%m-%d %H:%M} UTC")
        try:
            cache = existing_cache(workspace)
            plan, pin = waiting_plan(context.instance, cache), cache.pinned()
        except CachewarmError as error:
            return skip_for(error)
        if plan is None:
            return dg.SkipReason("no plan is waiting to be loaded")
        day, loaded = plan
        if pin:
            return dg.SkipReason(f"{loaded} loaded; {pin.describe()}")
        finished = finished_runs(context.instance, load_cache.name, {"dagster/partition": day.isoformat()})
        retry = decide_retry(f"loading {day}", [one for one, _ in finished], now)
        if finished and not finished[-1][0].succeeded and not retry.start:
            return dg.SkipReason(f"{loaded} loaded; {retry.sentence}")
        if run := unfinished_run(context.instance):
            return dg.SkipReason(f"{loaded} loaded; run {run[:8]} is in progress")
        tick = time_slot(now, timedelta(minutes=own.progressive_minutes))
        return dg.RunRequest(
            run_key=f"load:{own.name}:{tick}",
            partition_key=day.isoformat(),
            tags=started_by("off-peak loading", f"{loaded} loaded"),
        )

    return load_off_peak
