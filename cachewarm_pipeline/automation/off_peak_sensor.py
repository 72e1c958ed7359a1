"""The sensor of progressive loading: while the window is open and a plan waits, a run every few minutes loads some of
it. Nothing of it runs, or writes, in peak hours."""

from datetime import date, timedelta
from typing import Any

import dagster as dg
from dagster import DagsterInstance

from cachewarm_pipeline.automation.catch_up import try_again
from cachewarm_pipeline.automation.jobs import load_cache
from cachewarm_pipeline.automation.run_state import at_work, cache_of, ended_runs, running, slot, why_not
from cachewarm_pipeline.automation.tags import started_by
from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.workspace.workspace import Workspace

CACHE_ENTRIES = dg.AssetKey("cache_entries")


def waiting(instance: DagsterInstance, cache: CacheStore) -> tuple[date, str] | None:
    """The day whose plan is to be loaded, and how far it is: the one being filled, else the newest that waits."""
    if filling := cache.filling():
        return filling.as_of, f"{filling.loaded:,} of {filling.entries:,} entries of {filling.id}"
    partitions = instance.get_materialized_partitions(CACHE_ENTRIES)
    if not partitions:
        return None
    newest = max(partitions)
    asked = dg.AssetRecordsFilter(asset_key=CACHE_ENTRIES, asset_partitions=[newest])
    (record,) = instance.fetch_materializations(asked, limit=1).records
    found = record.asset_materialization
    metadata: dict[str, Any] = {name: value.value for name, value in (found.metadata if found else {}).items()}
    if metadata.get("published") or "loaded" not in metadata:
        return None
    return date.fromisoformat(newest), f"{metadata['loaded']:,} of {metadata['of']:,} entries"


def off_peak_sensor(settings: Settings) -> dg.SensorDefinition:
    """Looks every minute; ticks are ``progressive_minutes`` apart by their run_key."""

    @dg.sensor(
        name="load_off_peak",
        job=load_cache,
        minimum_interval_seconds=60,
        default_status=running(settings.progressive),
        description="Progressive loading: in the off-peak window each tick writes its allowance of entries and ends; "
        "a generation is published when it is whole and verified.",
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
            cache = cache_of(workspace)
            found, pin = waiting(context.instance, cache), cache.pinned()
        except CachewarmError as error:
            return why_not(error)
        if found is None:
            return dg.SkipReason("no plan waits to be loaded")
        day, loaded = found
        if pin:
            return dg.SkipReason(f"{loaded} loaded; {pin.describe()}")
        ended = ended_runs(context.instance, load_cache.name, {"dagster/partition": day.isoformat()})
        again = try_again(f"loading {day}", [one for one, _ in ended], now)
        if ended and not ended[-1][0].succeeded and not again.start:
            return dg.SkipReason(f"{loaded} loaded; {again.sentence}")
        if run := at_work(context.instance):
            return dg.SkipReason(f"{loaded} loaded; run {run[:8]} is at work")
        tick = slot(now, timedelta(minutes=own.progressive_minutes))
        return dg.RunRequest(
            run_key=f"load:{own.name}:{tick}",
            partition_key=day.isoformat(),
            tags=started_by("off-peak loading", f"{loaded} loaded"),
        )

    return load_off_peak
