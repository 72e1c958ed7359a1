"""What warming brought in a window of days, from stored counters: the lift, the plain hit rates before and after, the
forecast against the measured rates, and hits by source."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.counters import WARMED_ARM

from cachewarm_pipeline.measurement.lift.arm_counts import ArmCount
from cachewarm_pipeline.measurement.lift.forecast_comparison import DayCompared, Forecast, compare_days
from cachewarm_pipeline.measurement.lift.holdout_lift import Impact, impact

APPLICATION = "application"
"""Source of hits by app entries: those that the application stored itself."""

UNKNOWN = "unknown"
"""Source of hits by warmed entries that are in no stored plan or generation any more."""

NO_READER = "no lookups were counted: open the cache with WarmedSemanticCache"
NO_HOLDOUT = (
    "no reader has a holdout, so the hit rate without warming is not known: open the cache with holdout=0.05 and pass "
    "a holdout_key to its lookups"
)
NO_EFFECT = (
    "not the effect of warming: the difference includes everything else that changed in the meantime; the lift "
    "compares both arms at the same time"
)


class LookupCounts(NamedTuple):
    """Lookups of some readers and their hits."""

    hits: int
    """By any entry."""
    lookups: int
    warmed_hits: int
    """By warmed entries."""


@dataclass(frozen=True)
class DayCounts:
    """The counters of one whole day."""

    day: date
    counts: list[ArmCount]
    """By bucket, of readers with a holdout."""
    lookups: dict[tuple[str, str], LookupCounts]
    """By (arm, agent_type), of all readers."""
    sources: Counter[str]
    """Hits by warmed entries, by source of the entry."""
    generation: str | None
    """Live at the end of the day; None if none was."""
    live_from_start: bool
    """Whether an entry was live from the beginning of the day."""
    entry_hits_known: bool = True
    """False if the day was read after its hits by entry had expired in Redis: then it is not known either what was
    live."""


def day_counts(day: date, arms: pa.Table, hours: pa.Table, entries: pa.Table | None) -> DayCounts:
    """The counters of a day, from its tables: ``arms`` is ARM_COUNTS, ``hours`` is HOUR_COUNTS, ``entries`` is source,
    generation, whole_day and hits of ENTRY_HITS, or None if none is stored."""
    slot = f"{day:%Y%m%d}"
    counts = [
        ArmCount(row["arm"], slot, row["agent_type"], row["hits"], row["lookups"], row["bucket"])
        for row in arms.to_pylist()
    ]
    lookups: dict[tuple[str, str], LookupCounts] = {}
    for row in hours.to_pylist():
        key, hits = (row["arm"], row["agent_type"]), row["exact"] + row["semantic"]
        new = LookupCounts(hits, hits + row["misses"], row["warmed_hits"])
        lookups[key] = _sum((lookups.get(key, LookupCounts(0, 0, 0)), new))
    if entries is None:
        return DayCounts(day, counts, lookups, Counter(), None, False, entry_hits_known=False)
    sources: Counter[str] = Counter()
    for source, hits in zip(entries["source"].to_pylist(), entries["hits"].to_pylist(), strict=True):
        sources[source or UNKNOWN] += hits
    live = Counter(name for name in entries["generation"].to_pylist() if name)
    generation = min(live, key=lambda name: (-live[name], name)) if live else None
    return DayCounts(day, counts, lookups, sources, generation, bool(pc.any(entries["whole_day"]).as_py()))


def days_with_warmed_cache(days: Sequence[DayCounts], earlier: bool) -> list[DayCounts]:
    """The days on which warmed entries could be hit, oldest first.

    Two kinds of days would dilute the lift and are excluded: a day at whose end nothing was live, and a day that
    follows such a day and did not begin with a warmed cache. If it is not known what was live on a day, the day is
    treated as the day before it. ``earlier``: whether something was live at the end of the last known day before these.
    """
    found = []
    for one in sorted(days, key=lambda one: one.day):
        if not one.entry_hits_known:
            found += [one] if earlier else []
            continue
        if one.generation is not None and (earlier or one.live_from_start):
            found.append(one)
        earlier = one.generation is not None
    return found


def plan_day_of(generation: str) -> date | None:
    """The day of a generation's plan, from the generation's id; None for an id of another form."""
    try:
        return date.fromisoformat(generation[:8])
    except ValueError:
        return None


@dataclass(frozen=True)
class PlainHitRate:
    """Hits and lookups of some days, of all users and by any entry."""

    hits: int
    lookups: int
    days: int
    why: str = ""
    """Why the hits are not known; empty if they are."""

    @property
    def hit_rate(self) -> float | None:
        """hits / lookups; None without lookups, and if the hits are not known."""
        return self.hits / self.lookups if self.lookups and not self.why else None


def log_hit_rate(days: Sequence[tuple[int, int]], when: str) -> PlainHitRate:
    """The hit rate of days of the log; ``days``: for each day (rows served by a cache, rows).

    If no row was served by a cache, the log may just not record cache hits, so the rate is not known.
    """
    hits, lookups = sum(day[0] for day in days), sum(day[1] for day in days)
    why = "" if hits else f"the log has no rows {when}" if not lookups else f"the log records no cache_hit {when}"
    return PlainHitRate(hits, lookups, len(days), why)


@dataclass(frozen=True)
class MeasuredImpact:
    """What warming brought on ``days``."""

    days: list[DayCounts]
    impact: Impact
    compared: list[DayCompared]
    """Forecast and measurement, one row for each of ``days``."""
    lookups: dict[tuple[str, str], LookupCounts]
    """By (arm, agent_type), of all readers, summed over ``days``."""
    sources: Counter[str]
    """Hits by warmed entries, by source, summed over ``days``."""
    why: str
    """Why the lift or its interval is missing; empty if nothing is."""

    def counts_of(self, arm: str | None = None, agent_type: str | None = None) -> LookupCounts:
        """Sums over all readers; None stands for every arm and every agent_type."""
        return _sum(
            one for (of_arm, name), one in self.lookups.items() if arm in (None, of_arm) and agent_type in (None, name)
        )

    @property
    def agent_types(self) -> list[str]:
        """Those with lookups, sorted."""
        return sorted({name for _, name in self.lookups} | set(self.impact.agent_types))

    @property
    def after(self) -> PlainHitRate:
        """The plain hit rate by the counters of all readers."""
        every = self.counts_of()
        return PlainHitRate(every.hits, every.lookups, len(self.days), "" if every.lookups else NO_READER)

    def served_hits(self, agent_type: str) -> float:
        """Hits a day by warmed entries, in the lookups that the lift covers. If only some readers have a holdout, the
        lift covers the same share of the hits as of the lookups."""
        every, lift = self.counts_of(WARMED_ARM, agent_type), self.impact.agent_types.get(agent_type)
        if lift is None or not every.lookups:
            return 0.0
        part = min(1.0, lift.warmed_lookups / every.lookups)
        return part * every.warmed_hits / max(1, self.impact.days)


def measured_impact(days: Sequence[DayCounts], forecasts: Mapping[date, Forecast]) -> MeasuredImpact:
    """What warming brought on ``days`` (see ``days_with_warmed_cache``), oldest first. ``forecasts``: those known."""
    counts = [count for one in days for count in one.counts]
    lookups: dict[tuple[str, str], LookupCounts] = {}
    sources: Counter[str] = Counter()
    for one in days:
        sources += one.sources
        for key, new in one.lookups.items():
            lookups[key] = _sum((lookups.get(key, LookupCounts(0, 0, 0)), new))
    none = Forecast(None, None)
    rows = compare_days(counts, {one.day: forecasts.get(one.day, none) for one in days})
    found = impact(counts)
    why = found.total.why
    if not counts:
        why = NO_HOLDOUT if any(one.lookups for one in lookups.values()) else NO_READER
    return MeasuredImpact(
        list(days),
        found,
        [_of_all_readers(row, one) for row, one in zip(rows, days, strict=True)],
        lookups,
        sources,
        why,
    )


def _sum(parts: Iterable[LookupCounts]) -> LookupCounts:
    hits = lookups = warmed = 0
    for part in parts:
        hits, lookups, warmed = hits + part.hits, lookups + part.lookups, warmed + part.warmed_hits
    return LookupCounts(hits, lookups, warmed)


def _of_all_readers(row: DayCompared, day: DayCounts) -> DayCompared:
    """``row`` with the hit rate of all readers if no reader has a holdout: only the lift needs one."""
    every = _sum(one for (arm, _), one in day.lookups.items() if arm == WARMED_ARM)
    if row.hit_rate is not None or not every.lookups:
        return row
    rate = every.hits / every.lookups
    off = None if row.forecast_hit_rate is None else rate - row.forecast_hit_rate
    return replace(row, lookups=every.lookups, hit_rate=rate, off=off)
