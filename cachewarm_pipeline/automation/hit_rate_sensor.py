"""The sensor that warms again when the hit rate falls, and shows the rate on the page of `live_cache`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import dagster as dg
from cachewarm_client.counters import hour_of
from cachewarm_client.generation_record import GenerationRecord, Pin

from cachewarm_pipeline.automation.catch_up import try_again
from cachewarm_pipeline.automation.hit_rate_alarm import Episode, Policy, look
from cachewarm_pipeline.automation.jobs import warm_cache
from cachewarm_pipeline.automation.run_state import at_work, cache_of, cursor_of, ended_runs, running, why_not
from cachewarm_pipeline.automation.tags import started_by
from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.query_log.mined_days import DAILY, PARTIAL
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.workspace.workspace import Workspace

EPISODE = "cachewarm/episode"
"""Of the runs that one low started: the second and later ones are tries after a failed one."""

EVER = 7 * 24
"""Hours without any count after which nobody counts here: then the log's own `cache_hit` is asked."""

LOG_DAYS = 7
"""Days of the log that are looked at for any hit: a log without one says nothing of the cache."""


@dataclass(frozen=True)
class Rate:
    """Hits of lookups, and of what."""

    hits: int
    lookups: int
    of: str


def measured_rate(workspace: Workspace, cache: CacheStore) -> Rate:
    """Counts of the last hours, of the warmed arm: the holdout never sees what a forecast is about. Where no reader
    counts, those of the log's newest day that was mined."""
    hours, now = workspace.settings.hit_rate_hours, workspace.now()
    stats = cache.stats(hours, now)
    if stats.lookups or cache.stats(EVER, now).lookups:
        return Rate(stats.warmed.hits, stats.warmed.lookups, f"last {hours} h")
    days = [day for day in workspace.datasets.days(DAILY) if day <= workspace.today][-LOG_DAYS:]
    found = {day: workspace.datasets.read(DAILY, day, ["count", "cache_hits"]) for day in days}
    hits = {day: sum(counts["cache_hits"].to_pylist()) for day, counts in found.items()}
    if not any(hits.values()):
        return Rate(0, 0, "no reader counts, and the log knows no cache_hit")
    newest = days[-1]
    first = min((one.published_at for one in cache.generations() if one.published_at), default=None)
    if first is None or newest < first.date():
        return Rate(0, 0, f"the log's newest mined day, {newest}, is from before anything was published")
    return Rate(hits[newest], sum(found[newest]["count"].to_pylist()), f"log of {newest}")


def floor_of(settings: Settings, forecast: float | None) -> float | None:
    """The floor that is set, else a part of the forecast; None where there is neither."""
    if settings.hit_rate_floor is not None:
        return settings.hit_rate_floor
    return None if forecast is None else settings.hit_rate_floor_share * forecast


def policy_of(settings: Settings, floor: float, forecast: float | None) -> Policy:
    """What counts as low by the settings."""
    return Policy(
        floor=floor,
        margin=settings.hit_rate_margin,
        low_for=timedelta(minutes=settings.hit_rate_low_minutes),
        min_lookups=settings.hit_rate_min_lookups,
        cooldown=timedelta(hours=settings.rewarm_cooldown_hours),
        expected=forecast,
    )


def day_to_warm(workspace: Workspace) -> date:
    """The present day, with what is asked today; yesterday until that was mined as a whole, or it would be passed
    over."""
    yesterday = workspace.today - timedelta(days=1)
    mined = workspace.datasets.fingerprint(DAILY, yesterday)
    return workspace.today if mined not in (None, PARTIAL) else yesterday


def hit_rate_sensor(settings: Settings) -> dg.SensorDefinition:
    """One look every ten minutes at most; the cursor is the episode and the hour that was last shown."""

    @dg.sensor(
        name="hit_rate_falls",
        job=warm_cache,
        minimum_interval_seconds=600,
        default_status=running(settings.hit_rate_sensor),
        description="Warms again, with the present day's log, when the hit rate stays low. One run a low.",
    )
    def hit_rate_falls(
        context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            cache = cache_of(workspace)
            live, pin = cache.live(), cache.pinned()
            if live is None:
                return dg.SkipReason("nothing is published yet")
            rate = measured_rate(workspace, cache)
        except CachewarmError as error:
            return why_not(error)
        cursor = cursor_of(context)
        events = list(_observed(cursor, workspace.now(), rate, live, pin))
        floor = floor_of(workspace.settings, live.forecast_hit_rate)
        if floor is None:
            said = f"{rate.hits:,} of {rate.lookups:,} lookups hit, but there is no floor: {live.id} has no forecast"
            return dg.SensorResult(
                skip_reason=f"{said}; set CACHEWARM_HIT_RATE_FLOOR", asset_events=events, cursor=json.dumps(cursor)
            )
        run = at_work(context.instance)
        busy = f"run {run[:8]} is at work" if run else f"{pin.generation} is pinned since {pin.since}" if pin else ""
        found = look(
            Episode.from_json(cursor.get("episode")),
            hits=rate.hits,
            lookups=rate.lookups,
            now=workspace.now(),
            policy=policy_of(workspace.settings, floor, live.forecast_hit_rate),
            busy=busy,
        )
        cursor["episode"] = found.state.to_json()
        sentence, number = f"{found.sentence} ({rate.of})", 0
        if not found.start and found.state.started and not busy:
            ended = ended_runs(context.instance, warm_cache.name, {EPISODE: found.state.name})
            again = try_again("the warming of this low", [one for one, _ in ended], workspace.now())
            number = again.number if again.start else 0
            sentence = f"{sentence}; {again.sentence}"
        if not found.start and not number:
            return dg.SensorResult(skip_reason=sentence, asset_events=events, cursor=json.dumps(cursor))
        request = dg.RunRequest(
            run_key=f"hit_rate:{workspace.settings.name}:{found.state.name}:{number}",
            partition_key=day_to_warm(workspace).isoformat(),
            tags={**started_by("hit rate", sentence), EPISODE: found.state.name},
        )
        return dg.SensorResult(run_requests=[request], asset_events=events, cursor=json.dumps(cursor))

    return hit_rate_falls


def _observed(
    cursor: dict[str, str], now: datetime, rate: Rate, live: GenerationRecord, pin: Pin | None
) -> Iterator[dg.AssetObservation]:
    """Once an hour what is live and its rate as an observation, of which the UI draws the numbers as a history."""
    hour = hour_of(now)
    if cursor.get("shown") == hour:
        return
    cursor["shown"] = hour
    yield dg.AssetObservation(
        "live_cache",
        metadata={
            "generation": live.id,
            "pinned": pin.describe() if pin else "no",
            "entries": live.entries,
            "lookups": rate.lookups,
            "of": rate.of,
            **({"hit_rate": round(rate.hits / rate.lookups, 4)} if rate.lookups else {}),
            **({"forecast_hit_rate": round(live.forecast_hit_rate, 4)} if live.forecast_hit_rate is not None else {}),
        },
    )
