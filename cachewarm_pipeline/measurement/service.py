"""Reads what readers counted, and what was forecast for it, for the assets that say what warming brought."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

import pyarrow.compute as pc

from cachewarm_pipeline.days import window
from cachewarm_pipeline.measurement.lift import Forecast
from cachewarm_pipeline.measurement.lift.measured_impact import (
    DayCounts,
    Measured,
    Plain,
    counted,
    day_counts,
    made_of,
    measured_impact,
    of_log,
)
from cachewarm_pipeline.query_log.mined_days import DAILY, PARTIAL
from cachewarm_pipeline.storage.datasets import DatasetStore

_ENTRIES = ["source", "generation", "whole_day", "hits"]
_HOURS = ["arm", "agent_type", "exact", "semantic", "misses", "warmed_hits"]


class FirstLive(NamedTuple):
    """The first day at whose end a generation was live, and the day whose plan that was. Both None: none is known."""

    day: date | None
    plan: date | None


class CountedDays:
    """The stored counts, each day read once a run. A day's own figures are of ``days`` calendar days that end there."""

    def __init__(self, datasets: DatasetStore, days: int) -> None:
        self._datasets = datasets
        self._length = days
        self._stored = sorted({*datasets.days("arm_counts")}.intersection(datasets.days("hour_counts")))
        self._by_entry = set(datasets.days("entry_hits"))
        self._mined = set(datasets.days(DAILY))
        self._live: FirstLive | None = None
        self._read: dict[date, DayCounts] = {}
        self._forecasts: dict[date, Forecast | None] = {}
        self._logged: dict[date, tuple[int, int] | None] = {}

    def measured_impact(self, day: date) -> Measured:
        """What the whole days of the window brought."""
        start = day - timedelta(days=self._length - 1)
        days = [self._day(one) for one in self._stored if start <= one <= day]
        before = [one for one in self._stored if one < start and one in self._by_entry]
        earlier = bool(before) and self._day(before[-1]).generation is not None
        there = counted(days, earlier)
        forecasts = {one.day: found for one in there if (found := self._forecast(one.generation)) is not None}
        return measured_impact(there, forecasts)

    def first_live(self) -> FirstLive:
        """When warming began. Not when the oldest plan was made: plans of the past may be backfilled, and gates may
        stop the first ones."""
        if self._live is None:
            self._live = FirstLive(None, None)
            for day in sorted(self._by_entry):
                names = self._datasets.read("entry_hits", day, ["generation"])["generation"].drop_null()
                if len(names):
                    self._live = FirstLive(day, min(made_of(name) or day for name in names.unique().to_pylist()))
                    break
        return self._live

    def before(self, day: date) -> Plain:
        """The log's own hit rate in the window that ends before warming began."""
        last = min(self._cold_until() or day, day)
        return of_log(self._log(lambda one: one <= last, last), "before the first warming")

    def after(self, day: date, found: Measured) -> Plain:
        """The hit rate of the counters, or where nobody counts of the log since warming began."""
        if found.after.lookups:
            return found.after
        first = self.first_live().day or self._cold_until() or day
        return of_log(self._log(lambda one: one > first, day), "since the first warming")

    def _cold_until(self) -> date | None:
        """The last day without a warmed entry; the oldest plan's where it is not known when one was live: a plan is
        published on the day after its own. None: without either."""
        live = self.first_live().day
        plans = self._datasets.days("warming_plan")
        return live - timedelta(days=1) if live else plans[0] if plans else None

    def _log(self, wanted: Callable[[date], bool], last: date) -> list[tuple[int, int]]:
        days = [one for one in window(last, self._length) if one in self._mined and wanted(one)]
        return [found for one in days if (found := self._logged_day(one)) is not None]

    def _logged_day(self, day: date) -> tuple[int, int] | None:
        """(rows served by a cache, rows); None for a day that was mined before it was over."""
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
        """What the replay behind a generation expected; None where it is not stored."""
        made = made_of(generation or "")
        if made is None:
            return None
        if made not in self._forecasts:
            self._forecasts[made] = None
            if self._datasets.exists("replay", made):
                rows = self._datasets.read("replay", made, ["lookups", "warmed_hits", "cold_hits"])
                lookups, warmed, cold = (pc.sum(rows[name]).as_py() or 0 for name in rows.column_names)
                self._forecasts[made] = Forecast(warmed / lookups, cold / lookups) if lookups else None
        return self._forecasts[made]
