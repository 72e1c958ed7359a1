"""Reads stored counters and forecasts for the assets that measure what warming brought. It never writes."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

import pyarrow.compute as pc

from cachewarm_pipeline.days import window
from cachewarm_pipeline.measurement.lift import Forecast
from cachewarm_pipeline.measurement.lift.measured_impact import (
    DayCounts,
    MeasuredImpact,
    PlainHitRate,
    day_counts,
    days_with_warmed_cache,
    log_hit_rate,
    measured_impact,
    plan_day_of,
)
from cachewarm_pipeline.query_log.mined_days import DAILY, PARTIAL
from cachewarm_pipeline.storage.datasets import DatasetStore

_ENTRIES = ["source", "generation", "whole_day", "hits"]
_HOURS = ["arm", "agent_type", "exact", "semantic", "misses", "warmed_hits"]


class FirstLive(NamedTuple):
    """When warming began; both None if no generation is known to have been live."""

    day: date | None
    """The first day at whose end a generation was live."""
    plan: date | None
    """The day of that generation's plan."""


class CountedDays:
    """The stored counters, each day read once in a run.

    The figures of a day cover the ``days`` calendar days that end with it.
    """

    def __init__(self, datasets: DatasetStore, days: int) -> None:
        self._datasets = datasets
        self._length = days
        self._stored = sorted({*datasets.days("arm_counts")}.intersection(datasets.days("hour_counts")))
        self._by_entry = set(datasets.days("entry_hits"))
        self._log_days = set(datasets.days(DAILY))
        self._live: FirstLive | None = None
        self._read: dict[date, DayCounts] = {}
        self._forecasts: dict[date, Forecast | None] = {}
        self._logged: dict[date, tuple[int, int] | None] = {}

    def measured_impact(self, day: date) -> MeasuredImpact:
        """What warming brought on the whole days of the window that ends with ``day``."""
        start = day - timedelta(days=self._length - 1)
        days = [self._day(one) for one in self._stored if start <= one <= day]
        before = [one for one in self._stored if one < start and one in self._by_entry]
        earlier = bool(before) and self._day(before[-1]).generation is not None
        warmed = days_with_warmed_cache(days, earlier)
        forecasts = {one.day: found for one in warmed if (found := self._forecast(one.generation)) is not None}
        return measured_impact(warmed, forecasts)

    def first_live(self) -> FirstLive:
        """When warming began.

        The day of the oldest plan would be wrong: past plans can be backfilled, and gates may stop the first ones.
        """
        if self._live is None:
            self._live = FirstLive(None, None)
            for day in sorted(self._by_entry):
                names = self._datasets.read("entry_hits", day, ["generation"])["generation"].drop_null()
                if len(names):
                    self._live = FirstLive(day, min(plan_day_of(name) or day for name in names.unique().to_pylist()))
                    break
        return self._live

    def before(self, day: date) -> PlainHitRate:
        """The hit rate by the log in the window that ends before warming began."""
        last = min(self._cold_until() or day, day)
        return log_hit_rate(self._log(lambda one: one <= last, last), "before the first warming")

    def after(self, day: date, found: MeasuredImpact) -> PlainHitRate:
        """The hit rate by the counters, or by the log since warming began if no reader counts."""
        if found.after.lookups:
            return found.after
        first = self.first_live().day or self._cold_until() or day
        return log_hit_rate(self._log(lambda one: one > first, day), "since the first warming")

    def _cold_until(self) -> date | None:
        """The last day without a warmed entry. If it is not known when a generation was live, the day of the oldest
        plan: a plan is published on the day after its own. None without any plan."""
        live = self.first_live().day
        plans = self._datasets.days("warming_plan")
        return live - timedelta(days=1) if live else plans[0] if plans else None

    def _log(self, wanted: Callable[[date], bool], last: date) -> list[tuple[int, int]]:
        days = [one for one in window(last, self._length) if one in self._log_days and wanted(one)]
        return [found for one in days if (found := self._logged_day(one)) is not None]

    def _logged_day(self, day: date) -> tuple[int, int] | None:
        """(rows served by a cache, rows); None for a day whose log was read before the day was over."""
        if day not in self._logged:
            partial = self._datasets.fingerprint(DAILY, day) == PARTIAL
            rows = self._datasets.read(DAILY, day, ["cache_hits", "count"])
            sums = (pc.sum(rows["cache_hits"]).as_py() or 0, pc.sum(rows["count"]).as_py() or 0)
            self._logged[day] = None if partial else sums
        return self._logged[day]

    def _day(self, day: date) -> DayCounts:
        if day not in self._read:
            arms, hours = self._datasets.read("arm_counts", day), self._datasets.read("hour_counts", day, _HOURS)
            entries = self._datasets.read("entry_hits", day, _ENTRIES) if day in self._by_entry else None
            self._read[day] = day_counts(day, arms, hours, entries)
        return self._read[day]

    def _forecast(self, generation: str | None) -> Forecast | None:
        """What the replay behind a generation expected; None if no replay is stored."""
        plan_day = plan_day_of(generation or "")
        if plan_day is None:
            return None
        if plan_day not in self._forecasts:
            self._forecasts[plan_day] = None
            if self._datasets.exists("replay", plan_day):
                rows = self._datasets.read("replay", plan_day, ["lookups", "warmed_hits", "cold_hits"])
                lookups, warmed, cold = (pc.sum(rows[name]).as_py() or 0 for name in rows.column_names)
                self._forecasts[plan_day] = Forecast(warmed / lookups, cold / lookups) if lookups else None
        return self._forecasts[plan_day]
