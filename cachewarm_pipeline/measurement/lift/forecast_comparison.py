"""The forecast against what came, day by day. Tables, no plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from cachewarm_pipeline.measurement.lift.arm_counts import Count
from cachewarm_pipeline.measurement.lift.holdout_lift import impact


@dataclass(frozen=True)
class Forecast:
    """What the replay behind a day's plan expected, shares of lookups; None where it held nothing out."""

    hit_rate: float | None
    cold_hit_rate: float | None

    @property
    def lift(self) -> float | None:
        if self.hit_rate is None or self.cold_hit_rate is None:
            return None
        return self.hit_rate - self.cold_hit_rate


@dataclass(frozen=True)
class DayCompared:
    """One day. ``hit_rate``: of the warmed arm, as it came; ``off``: hit_rate - forecast_hit_rate. ``lift`` with
    ``low`` and ``high``: of that day alone. ``inside``: whether forecast_lift lies in that interval. All None where not
    known. ``why``: what the day's lift lacks.

    ``forecast_hit_rate`` is what the warmed arm should have. Both lifts are over a cold cache that all traffic fills;
    the replay's begins empty on its first held-out day and forgets nothing. The one that is measured has long been
    filled, and forgets as the application's own entries do: expect less lift than forecast where these outlive the
    held-out days, more where they do not.
    """

    day: date
    lookups: int
    forecast_hit_rate: float | None
    hit_rate: float | None
    off: float | None
    forecast_lift: float | None
    lift: float | None
    low: float | None
    high: float | None
    inside: bool | None
    why: str


def compare_days(counts: Sequence[Count], forecasts: Mapping[date, Forecast]) -> list[DayCompared]:
    """A row for every day that was counted or forecast, oldest first. ``forecasts``: by the day that they are for.

    Raises ValueError as ``impact`` does, and for a slot that is no date.
    """
    by_day: dict[date, list[Count]] = {day: [] for day in forecasts}
    for count in counts:
        by_day.setdefault(_day(count), []).append(count)
    return [_compared(day, by_day[day], forecasts.get(day, Forecast(None, None))) for day in sorted(by_day)]


def _compared(day: date, counts: Sequence[Count], expected: Forecast) -> DayCompared:
    came = impact(counts).total
    hit_rate, lift = came.warmed_hit_rate, expected.lift
    return DayCompared(
        day=day,
        lookups=came.warmed_lookups + came.holdout_lookups,
        forecast_hit_rate=expected.hit_rate,
        hit_rate=hit_rate,
        off=None if hit_rate is None or expected.hit_rate is None else hit_rate - expected.hit_rate,
        forecast_lift=lift,
        lift=came.lift,
        low=came.low,
        high=came.high,
        inside=None if lift is None or came.low is None or came.high is None else came.low <= lift <= came.high,
        why=came.why,
    )


def _day(count: Count) -> date:
    try:
        return date.fromisoformat(count.slot[:8])
    except ValueError:
        raise ValueError(f"impact: {count} has the slot {count.slot!r}, which is no date") from None
