"""Forecast and measured hit rate and lift, side by side for each day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from cachewarm_pipeline.measurement.lift.arm_counts import ArmCount
from cachewarm_pipeline.measurement.lift.holdout_lift import impact


@dataclass(frozen=True)
class Forecast:
    """Hit rates that the replay expected of a day's plan, as shares of lookups; None if it had no lookups."""

    hit_rate: float | None
    cold_hit_rate: float | None

    @property
    def lift(self) -> float | None:
        if self.hit_rate is None or self.cold_hit_rate is None:
            return None
        return self.hit_rate - self.cold_hit_rate


@dataclass(frozen=True)
class DayCompared:
    """Forecast and measurement of one day; a figure is None if it is not known.

    Both lifts are over a cold cache that all traffic fills, but the two cold caches differ. The replay's starts empty
    on the first held-out day and forgets nothing. The measured one was filled long before, and forgets as app entries
    expire. So expect a measured lift below the forecast if app entries outlive the held-out days, and above it if they
    do not.
    """

    day: date
    lookups: int
    """Of both arms."""
    forecast_hit_rate: float | None
    """Expected of the warmed arm."""
    hit_rate: float | None
    """Measured in the warmed arm."""
    off: float | None
    """hit_rate - forecast_hit_rate."""
    forecast_lift: float | None
    lift: float | None
    """Measured on this day alone."""
    low: float | None
    """Low end of the 95% interval of ``lift``."""
    high: float | None
    """High end of that interval."""
    inside: bool | None
    """Whether ``forecast_lift`` lies in the interval."""
    why: str
    """Why the lift or its interval is missing; empty if nothing is."""


def compare_days(counts: Sequence[ArmCount], forecasts: Mapping[date, Forecast]) -> list[DayCompared]:
    """One row for each day that has counts or a forecast, oldest first. ``forecasts``: by the day they are for.

    Raises ValueError as ``impact`` does, and for a slot that is not a date.
    """
    by_day: dict[date, list[ArmCount]] = {day: [] for day in forecasts}
    for count in counts:
        by_day.setdefault(_day(count), []).append(count)
    return [_compared(day, by_day[day], forecasts.get(day, Forecast(None, None))) for day in sorted(by_day)]


def _compared(day: date, counts: Sequence[ArmCount], expected: Forecast) -> DayCompared:
    measured = impact(counts).total
    hit_rate, lift = measured.warmed_hit_rate, expected.lift
    return DayCompared(
        day=day,
        lookups=measured.warmed_lookups + measured.holdout_lookups,
        forecast_hit_rate=expected.hit_rate,
        hit_rate=hit_rate,
        off=None if hit_rate is None or expected.hit_rate is None else hit_rate - expected.hit_rate,
        forecast_lift=lift,
        lift=measured.lift,
        low=measured.low,
        high=measured.high,
        inside=None
        if lift is None or measured.low is None or measured.high is None
        else measured.low <= lift <= measured.high,
        why=measured.why,
    )


def _day(count: ArmCount) -> date:
    try:
        return date.fromisoformat(count.slot[:8])
    except ValueError:
        raise ValueError(f"impact: {count} has the slot {count.slot!r}, which is not a date") from None
