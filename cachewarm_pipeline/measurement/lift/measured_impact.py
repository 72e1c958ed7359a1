"""What warming brought over some days, from what readers counted: the lift, the plain rates before and after, the
forecast against what came, and hits by source."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.counters import WARMED_ARM

from cachewarm_pipeline.measurement.lift.arm_counts import Count
from cachewarm_pipeline.measurement.lift.forecast_comparison import DayCompared, Forecast, compare_days
from cachewarm_pipeline.measurement.lift.holdout_lift import Impact, impact

APPLICATION = "application"
"""Source of the hits that the application's own entries answered."""

UNKNOWN = "unknown"
"""Source of hits of warmed entries that are not known any more."""

NO_READER = "no reader counted a lookup: open the cache with WarmedSemanticCache"
NO_HOLDOUT = (
    "no reader has a holdout, so nothing tells what the hit rate would be without warming: set holdout=0.05 and a "
    "holdout_key where the cache is opened"
)
NO_EFFECT = (
    "not the effect of warming: all else that changed in the meantime is in the difference; the lift compares both "
    "arms at the same time"
)


class Asked(NamedTuple):
    """Lookups, and how many were answered, by anything and by a warmed entry."""

    hits: int
    lookups: int
    warmed_hits: int


@dataclass(frozen=True)
class DayCounts:
    """What is kept of a whole day's counters.

    ``counts``: of readers with a holdout, by bucket. ``asked``: of all readers, by (arm, agent_type). ``sources``: hits
    of warmed entries by source. ``generation``: live at the end of the day, None where nothing was. ``from_begin``:
    whether some entry was live from the day's beginning. ``entries``: whether hits by entry are known; those of a day
    that is read late are not, and then neither is what was live.
    """

    day: date
    counts: list[Count]
    asked: dict[tuple[str, str], Asked]
    sources: Counter[str]
    generation: str | None
    from_begin: bool
    entries: bool = True


def day_counts(day: date, arms: pa.Table, hours: pa.Table, entries: pa.Table | None) -> DayCounts:
    """``arms``: ARM_COUNTS, ``hours``: HOUR_COUNTS, ``entries``: source, generation, whole_day and hits of ENTRY_HITS
    or None, all of that day."""
    slot = f"{day:%Y%m%d}"
    counts = [
        Count(row["arm"], slot, row["agent_type"], row["hits"], row["lookups"], row["bucket"])
        for row in arms.to_pylist()
    ]
    asked: dict[tuple[str, str], Asked] = {}
    for row in hours.to_pylist():
        key, hits = (row["arm"], row["agent_type"]), row["exact"] + row["semantic"]
        new = Asked(hits, hits + row["misses"], row["warmed_hits"])
        asked[key] = _sum((asked.get(key, Asked(0, 0, 0)), new))
    if entries is None:
        return DayCounts(day, counts, asked, Counter(), None, False, entries=False)
    sources: Counter[str] = Counter()
    for source, hits in zip(entries["source"].to_pylist(), entries["hits"].to_pylist(), strict=True):
        sources[source or UNKNOWN] += hits
    live = Counter(name for name in entries["generation"].to_pylist() if name)
    generation = min(live, key=lambda name: (-live[name], name)) if live else None
    return DayCounts(day, counts, asked, sources, generation, bool(pc.any(entries["whole_day"]).as_py()))


def counted(days: Sequence[DayCounts], earlier: bool) -> list[DayCounts]:
    """Those days on which warmed entries could be hit, oldest first.

    Left out: days at whose end nothing was live, and a day after one of these that did not begin with a warmed cache:
    both would make the lift look smaller. Where it is not known what was live, it is taken to be as on the day before.
    ``earlier``: whether something was live at the end of the last day before these of which it is known.
    """
    found = []
    for one in sorted(days, key=lambda one: one.day):
        if not one.entries:
            found += [one] if earlier else []
            continue
        if one.generation is not None and (earlier or one.from_begin):
            found.append(one)
        earlier = one.generation is not None
    return found


def made_of(generation: str) -> date | None:
    """The day whose plan a generation holds, by its id; None for an id of another form."""
    try:
        return date.fromisoformat(generation[:8])
    except ValueError:
        return None


@dataclass(frozen=True)
class Plain:
    """Answered lookups of ``days`` days, whoever asked and whatever answered. ``why``: why the hits are not known,
    and then ``hit_rate`` is None."""

    hits: int
    lookups: int
    days: int
    why: str = ""

    @property
    def hit_rate(self) -> float | None:
        return self.hits / self.lookups if self.lookups and not self.why else None


def of_log(days: Sequence[tuple[int, int]], when: str) -> Plain:
    """Of days of the log, each (rows served by a cache, rows). Without any served row nothing tells whether the log
    writes it down, so the rate is not known."""
    hits, lookups = sum(day[0] for day in days), sum(day[1] for day in days)
    why = "" if hits else f"the log has no rows {when}" if not lookups else f"the log has no cache_hit {when}"
    return Plain(hits, lookups, len(days), why)


@dataclass(frozen=True)
class Measured:
    """What ``days`` brought. ``compared``: the forecast against what came, a row for each of them. ``asked`` and
    ``sources``: their sums. ``why``: why there is no lift, or what it lacks; empty: nothing."""

    days: list[DayCounts]
    impact: Impact
    compared: list[DayCompared]
    asked: dict[tuple[str, str], Asked]
    sources: Counter[str]
    why: str

    def of(self, arm: str | None = None, agent_type: str | None = None) -> Asked:
        """Sums over all readers; None: every arm, every agent_type."""
        return _sum(
            one for (of_arm, name), one in self.asked.items() if arm in (None, of_arm) and agent_type in (None, name)
        )

    @property
    def agent_types(self) -> list[str]:
        return sorted({name for _, name in self.asked} | set(self.impact.agent_types))

    @property
    def after(self) -> Plain:
        every = self.of()
        return Plain(every.hits, every.lookups, len(self.days), "" if every.lookups else NO_READER)

    def served_hits(self, agent_type: str) -> float:
        """Hits a day by warmed entries in the lookups that the lift is of: where only some readers have a holdout, as
        large a part of the hits as of the lookups."""
        every, lift = self.of(WARMED_ARM, agent_type), self.impact.agent_types.get(agent_type)
        if lift is None or not every.lookups:
            return 0.0
        part = min(1.0, lift.warmed_lookups / every.lookups)
        return part * every.warmed_hits / max(1, self.impact.days)


def measured_impact(days: Sequence[DayCounts], forecasts: Mapping[date, Forecast]) -> Measured:
    """What those days brought, oldest first (see ``counted``). ``forecasts``: what was expected of them, if known."""
    counts = [count for one in days for count in one.counts]
    asked: dict[tuple[str, str], Asked] = {}
    sources: Counter[str] = Counter()
    for one in days:
        sources += one.sources
        for key, new in one.asked.items():
            asked[key] = _sum((asked.get(key, Asked(0, 0, 0)), new))
    none = Forecast(None, None)
    rows = compare_days(counts, {one.day: forecasts.get(one.day, none) for one in days})
    found = impact(counts)
    why = found.total.why
    if not counts:
        why = NO_HOLDOUT if any(one.lookups for one in asked.values()) else NO_READER
    return Measured(
        list(days),
        found,
        [_of_all_readers(row, one) for row, one in zip(rows, days, strict=True)],
        asked,
        sources,
        why,
    )


def _sum(parts: Iterable[Asked]) -> Asked:
    hits = lookups = warmed = 0
    for part in parts:
        hits, lookups, warmed = hits + part.hits, lookups + part.lookups, warmed + part.warmed_hits
    return Asked(hits, lookups, warmed)


def _of_all_readers(row: DayCompared, day: DayCounts) -> DayCompared:
    """Where no reader has a holdout the hit rate is known all the same."""
    every = _sum(one for (arm, _), one in day.asked.items() if arm == WARMED_ARM)
    if row.hit_rate is not None or not every.lookups:
        return row
    rate = every.hits / every.lookups
    off = None if row.forecast_hit_rate is None else rate - row.forecast_hit_rate
    return replace(row, lookups=every.lookups, hit_rate=rate, off=off)
