"""Hits and misses: how they are counted in Redis and what the counts add up to. No Redis here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

LookupOutcome = Literal["exact", "semantic", "miss", "error"]
"""How a lookup ended; ``error``: it raised before it was decided, or was given up (the embedder or Redis failed)."""

WARMED_ARM = "warmed"
"""The arm of lookups that may see warmed entries."""

HOLDOUT_ARM = "holdout"
"""The arm of lookups that see the application's own entries only."""

ARMS = (WARMED_ARM, HOLDOUT_ARM)

KEEP_SECONDS = 90 * 86_400
"""Counters of an hour live 90 days: a quarter to compare, and no growth after it."""

SERVED_SECONDS = 8 * 86_400
"""Hits of single entries live a day longer than entries do: they are stored every night, and 20,000 entries that were
hit in every hour of 90 days would take gigabytes."""

OWN, HIT_US, MISS_US, WOULD = "own", "hit_us", "miss_us", "would"
"""Beside the outcomes: hits by entries of the application's own, where the arm sees others too; microseconds; and what
the holdout was not served though a cold cache that everybody fills would hold it
(cachewarm_client.cold_cache_shadow)."""


def hour_of(now: datetime) -> str:
    """The UTC hour that a lookup counts in: ``YYYYMMDDHH``."""
    return f"{now.astimezone(UTC):%Y%m%d%H}"


def last_hours(now: datetime, hours: int) -> list[str]:
    """The last ``hours`` hours, the current one included, newest first."""
    return [hour_of(now - timedelta(hours=back)) for back in range(hours)]


def day_of(now: datetime) -> str:
    """The UTC day that a lookup counts in: ``YYYYMMDD``."""
    return f"{now.astimezone(UTC):%Y%m%d}"


def counter(arm: str, what: str, agent_type: str) -> str:
    """Field of one counter of an hour; ``what``: an outcome, OWN, HIT_US, MISS_US or WOULD. The agent_type comes last:
    it may hold any character."""
    return f"{arm}:{what}:{agent_type}"


def bucket_counter(arm: str, bucket: int, hit: bool, agent_type: str) -> str:
    """Field of one counter of a day. ``hit``: answered, or in the holdout WOULD. A lookup that raised is no hit: who
    asked got no answer. Left out, it would take misses from both arms, most from the holdout, which embeds more."""
    return f"{arm}:{bucket}:{'hit' if hit else 'miss'}:{agent_type}"


@dataclass
class Tally:
    """Lookups by outcome. What they took in time is no part of what makes two equal."""

    exact: int = 0
    semantic: int = 0
    misses: int = 0
    own: int = field(default=0, compare=False)
    """Of the hits, by entries of the application's own; counted where warmed ones are seen too."""
    hit_us: int = field(default=0, compare=False)
    """Microseconds of all hits together, from the call until they were decided."""
    miss_us: int = field(default=0, compare=False)
    would: int = 0
    """Of the holdout: not served, though a cold cache that everybody fills would have answered."""
    errors: int = 0
    """Lookups that raised; neither hits nor misses."""

    @property
    def hits(self) -> int:
        return self.exact + self.semantic

    @property
    def lookups(self) -> int:
        """Those that were decided."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float | None:
        """Hits / lookups; None without lookups."""
        return self.hits / self.lookups if self.lookups else None

    @property
    def would_hit_rate(self) -> float | None:
        """Of the holdout: what a cold cache that everybody fills would answer, of the lookups that were decided."""
        return min(1.0, (self.hits + self.would) / self.lookups) if self.lookups else None

    @property
    def hit_ms(self) -> float | None:
        """Mean milliseconds of a hit; None where none was timed."""
        return self.hit_us / self.hits / 1000 if self.hits and self.hit_us else None

    @property
    def miss_ms(self) -> float | None:
        """Mean milliseconds of a miss; None where none was timed."""
        return self.miss_us / self.misses / 1000 if self.misses and self.miss_us else None

    def add(self, what: str, number: int) -> None:
        """Counts ``number`` of what a counter's field names; what is not known counts nowhere."""
        if what == "miss":
            self.misses += number
        elif what == "error":
            self.errors += number
        elif what in ("exact", "semantic", OWN, HIT_US, MISS_US, WOULD):
            setattr(self, what, getattr(self, what) + number)

    def include(self, other: "Tally") -> None:
        """Add another one's counts."""
        for what in _SUMMED:
            setattr(self, what, getattr(self, what) + getattr(other, what))

    def as_dict(self) -> dict[str, Any]:
        return {
            "lookups": self.lookups,
            "hits": self.hits,
            "exact": self.exact,
            "semantic": self.semantic,
            "misses": self.misses,
            "hit_rate": self.hit_rate,
            "hit_ms": self.hit_ms,
            "miss_ms": self.miss_ms,
            "would_hits": self.would,
            "errors": self.errors,
        }


@dataclass
class CacheStats(Tally):
    """What the cache's readers counted in the last hours, all processes together.

    The counts and ``agent_types`` are of both arms together: what users got. ``arms`` tells them apart: what compares
    with a forecast is the warmed one, since the holdout sees no warmed entry.
    """

    hours: int = 0
    agent_types: dict[str, Tally] = field(default_factory=dict)
    generation: str | None = None
    total_entries: int = 0
    """Entries that a lookup can find now: the live generation's and the application's own."""
    arms: dict[str, Tally] = field(default_factory=lambda: {arm: Tally() for arm in ARMS})

    @property
    def warmed(self) -> Tally:
        """The lookups that could see warmed entries."""
        return self.arms[WARMED_ARM]

    def as_dict(self) -> dict[str, Any]:
        """JSON form, agent types by name."""
        return {
            "hours": self.hours,
            "generation": self.generation,
            "total_entries": self.total_entries,
            **super().as_dict(),
            "agent_types": {name: self.agent_types[name].as_dict() for name in sorted(self.agent_types)},
            "arms": {name: tally.as_dict() for name, tally in self.arms.items()},
        }


def tallies(fields: Mapping[str, str]) -> dict[tuple[str, str], Tally]:
    """Counts of one hour's hash by (arm, agent_type). A field or number that is not ours counts nowhere."""
    found: dict[tuple[str, str], Tally] = {}
    for name, value in fields.items():
        arm, _, rest = name.partition(":")
        what, colon, agent_type = rest.partition(":")
        if arm in ARMS and colon and what in _COUNTED and is_count(value):
            found.setdefault((arm, agent_type), Tally()).add(what, int(value))
    return found


def is_count(value: str) -> bool:
    """Whether a field holds a number that a counter of ours can have come to."""
    return value.isascii() and value.isdigit() and len(value) <= _DIGITS


_SUMMED = ("exact", "semantic", "misses", OWN, HIT_US, MISS_US, WOULD, "errors")

_COUNTED = {"exact", "semantic", "miss", "error", OWN, HIT_US, MISS_US, WOULD}

_DIGITS = 15
"""Microseconds of thirty years: sums of a day stay within 64 bits."""


def add_up(hours: Iterable[Mapping[str, str]], count: int, generation: str | None, total_entries: int) -> CacheStats:
    """Totals over the counters of ``count`` hours. A field or number that is not ours counts nowhere."""
    stats = CacheStats(hours=count, generation=generation, total_entries=total_entries)
    for fields in hours:
        for (arm, agent_type), tally in tallies(fields).items():
            for into in (stats, stats.arms[arm], stats.agent_types.setdefault(agent_type, Tally())):
                into.include(tally)
    return stats
