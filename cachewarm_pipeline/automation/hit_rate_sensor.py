"""The sensor that warms again when the hit rate stays low, and shows the rate on the page of `live_cache`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import dagster as dg
from cachewarm_client.counters import hour_of
from cachewarm_client.generation_record import GenerationRecord, Pin

from cachewarm_pipeline.automation.catch_up import decide_retry
from cachewarm_pipeline.automation.hit_rate_alarm import AlarmPolicy, Episode, check_hit_rate
from cachewarm_pipeline.automation.jobs import warm_cache
from cachewarm_pipeline.automation.run_state import (
    default_status,
    existing_cache,
    finished_runs,
    read_cursor,
    skip_for,
    unfinished_run,
)
from cachewarm_pipeline.automation.tags import EPISODE, started_by
from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.query_log.mined_days import DAILY, PARTIAL
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.workspace.workspace import Workspace

NO_READER_HOURS = 7 * 24
"""Hours without any reader count after which the log's own `cache_hit` column is used instead."""

CACHE_HIT_DAYS = 7
"""Days of the log that are searched for a cache hit. A log without one contains no information about the cache."""


@dataclass(frozen=True)
class MeasuredRate:
    """A measured hit rate."""

    hits: int
    """Lookups that hit."""
    lookups: int
    """Lookups."""
    basis: str
    """What was measured, or why nothing was."""


def measured_rate(workspace: Workspace, cache: CacheStore) -> MeasuredRate:
    """Hits and lookups of the last ``hit_rate_hours`` hours, of the warmed arm only, because the forecast is not about
    the holdout. When no reader counts, those of the newest mined day of the log."""
    hours, now = workspace.settings.hit_rate_hours, workspace.now()
    stats = cache.stats(hours, now)
    if stats.lookups or cache.stats(NO_READER_HOURS, now).lookups:
        return MeasuredRate(stats.warmed.hits, stats.warmed.lookups, f"last {hours} h")
    days = [day for day in workspace.datasets.days(DAILY) if day <= workspace.today][-CACHE_HIT_DAYS:]
    found = {day: workspace.datasets.read(DAILY, day, ["count", "cache_hits"]) for day in days}
    hits = {day: sum(counts["cache_hits"].to_pylist()) for day, counts in found.items()}
    if not any(hits.values()):
        newest_days = plural(len(days), "mined day")
        return MeasuredRate(0, 0, f"no reader counts lookups, and the log has no cache_hit in {newest_days}")
    newest = days[-1]
    first = min((one.published_at for one in cache.generations() if one.published_at), default=None)
    if first is None or newest < first.date():
        return MeasuredRate(0, 0, f"the newest mined day of the log, {newest}, is before the first publish")
    return MeasuredRate(hits[newest], sum(found[newest]["count"].to_pylist()), f"log of {newest}")


def floor_of(settings: Settings, forecast: float | None) -> float | None:
    """The floor of the settings, else a share of the forecast; None when there is neither."""
    if settings.hit_rate_floor is not None:
        return settings.hit_rate_floor
    return None if forecast is None else settings.hit_rate_floor_share * forecast


def policy_of(settings: Settings, floor: float, forecast: float | None) -> AlarmPolicy:
    """The alarm's policy by the settings."""
    return AlarmPolicy(
        floor=floor,
        margin=settings.hit_rate_margin,
        low_for=timedelta(minutes=settings.hit_rate_low_minutes),
        min_lookups=settings.hit_rate_min_lookups,
        cooldown=timedelta(hours=settings.rewarm_cooldown_hours),
        expected=forecast,
    )


def day_to_warm(workspace: Workspace) -> date:
    """Today, so that today's questions are warmed; yesterday until it is fully mined, because the daily run for it
    would be skipped otherwise."""
    yesterday = workspace.today - timedelta(days=1)
    mined = workspace.datasets.fingerprint(DAILY, yesterday)
    return workspace.today if mined not in (None, PARTIAL) else yesterday


def hit_rate_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor ``hit_rate_falls``, which looks every ten minutes.

    Its cursor has the episode (``episode``) and the hour of the last observation (``shown``).
    """

    @dg.sensor(
        name="hit_rate_falls",
        job=warm_cache,
        minimum_interval_seconds=600,
        default_status=default_status(settings.hit_rate_sensor),
        description="Warms again, with today's log, when the hit rate stays low: once, until it has recovered.",
    )
    def hit_rate_falls(
        context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            cache = existing_cache(workspace)
            live, pin = cache.live(), cache.pinned()
            if live is None:
                return dg.SkipReason("nothing is published yet")
            rate = measured_rate(workspace, cache)
        except CachewarmError as error:
            return skip_for(error)
        cursor = read_cursor(context)
        events = list(_observations(cursor, workspace.now(), rate, live, pin))
        floor = floor_of(workspace.settings, live.forecast_hit_rate)
        if floor is None:
            numbers = f"{plural(rate.hits, 'hit')} in {plural(rate.lookups, 'lookup')}"
            why = f"{numbers}, but there is no floor: {live.id} has no forecast; set CACHEWARM_HIT_RATE_FLOOR"
            return dg.SensorResult(skip_reason=why, asset_events=events, cursor=json.dumps(cursor))
        run = unfinished_run(context.instance)
        busy = f"{pin.generation} is pinned since {pin.since}" if pin else ""
        busy = f"run {run[:8]} is in progress" if run else busy
        decision = check_hit_rate(
            Episode.from_json(cursor.get("episode")),
            hits=rate.hits,
            lookups=rate.lookups,
            now=workspace.now(),
            policy=policy_of(workspace.settings, floor, live.forecast_hit_rate),
            busy=busy,
        )
        cursor["episode"] = decision.state.to_json()
        sentence, number = f"{decision.sentence} ({rate.basis})", 0
        if not decision.start and decision.state.started and not busy:
            finished = finished_runs(context.instance, warm_cache.name, {EPISODE: decision.state.name})
            retry = decide_retry("the warming of this episode", [one for one, _ in finished], workspace.now())
            number = retry.number if retry.start else 0
            sentence = f"{sentence}; {retry.sentence}"
        if not decision.start and not number:
            return dg.SensorResult(skip_reason=sentence, asset_events=events, cursor=json.dumps(cursor))
        request = dg.RunRequest(
            run_key=f"hit_rate:{workspace.settings.name}:{decision.state.name}:{number}",
            partition_key=day_to_warm(workspace).isoformat(),
            tags={**started_by("hit rate", sentence), EPISODE: decision.state.name},
        )
        return dg.SensorResult(run_requests=[request], asset_events=events, cursor=json.dumps(cursor))

    return hit_rate_falls


def _observations(
    cursor: dict[str, str], now: datetime, rate: MeasuredRate, live: GenerationRecord, pin: Pin | None
) -> Iterator[dg.AssetObservation]:
    """Once an hour, an observation of what is live and its hit rate. The UI plots the numbers of observations."""
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
            "of": rate.basis,
            **({"hit_rate": round(rate.hits / rate.lookups, 4)} if rate.lookups else {}),
            **({"forecast_hit_rate": round(live.forecast_hit_rate, 4)} if live.forecast_hit_rate is not None else {}),
        },
    )
