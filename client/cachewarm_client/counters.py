"""Hits and misses: how readers count them, and what the counts add up to. No Redis here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

LookupOutcome = Literal["exact", "semantic", "miss", "error"]
"""How a lookup ended. ``error``: it raised before it was decided, or was abandoned (the embedder or Redis failed)."""

WARMED_ARM = "warmed"
"""The arm of lookups that may see warmed entries."""

HOLDOUT_ARM = "holdout"
"""The arm of lookups that see app entries only."""

ARMS = (WARMED_ARM, HOLDOUT_ARM)

KEEP_SECONDS = 90 * 86_400
"""Counters of an hour live 90 days: long enough to compare a quarter, and no growth after it."""

SERVED_SECONDS = 8 * 86_400
"""Hits of single entries live a day longer than entries do. The pipeline copies them every night, and 20,000 entries
that were hit in every hour of 90 days would take gigabytes."""

APP_HITS, HIT_US, MISS_US, COLD_CACHE_HITS = "own", "hit_us", "miss_us", "would"
"""What is counted beside the outcomes: hits by app entries, in the arm that also sees warmed ones; microseconds of hits
and of misses; and misses of the holdout that a cold cache filled by all users would have answered
(cachewarm_client.cold_cache_shadow). The values are part of field names in Redis."""


def hour_of(now: datetime) -> str:
    """The UTC hour that a lookup counts in: ``YYYYMMDDHH``."""
    return f"{now.astimezone(UTC):%Y%m%d%H}"


def last_hours(now: datetime, hours: int) -> list[str]:
    """The last ``hours`` hours, the current one included, newest first."""
    return [hour_of(now - timedelta(hours=back)) for back in range(hours)]


def day_of(now: datetime) -> str:
    """The UTC day that a lookup counts in: ``YYYYMMDD``."""
    return f"{now.astimezone(UTC):%Y%m%d}"


def counter_field(arm: str, what: str, agent_type: str) -> str:
    """Field of one counter of an hour. ``what``: an outcome, APP_HITS, HIT_US, MISS_US or COLD_CACHE_HITS. The
    agent_type comes last, since it may contain any character."""
    return f"{arm}:{what}:{agent_type}"


def bucket_field(arm: str, bucket: int, hit: bool, agent_type: str) -> str:
    """Field of one counter of a day.

    ``hit``: the lookup was answered, or a cold cache would have answered it in the holdout. A lookup that raised is not
    a hit, since the user got no answer. Not counting it would remove misses from both arms, and more from the holdout,
    which embeds more.
    """
    return f"{arm}:{bucket}:{'hit' if hit else 'miss'}:{agent_type}"


@dataclass
class Tally:
    """Lookups by outcome. Two tallies are equal when their outcomes are; times and app hits are not compared."""

    exact: int = 0
    """Exact hits."""
    semantic: int = 0
    """Semantic hits."""
    misses: int = 0
    app_hits: int = field(default=0, compare=False)
    """Hits by app entries; counted in the arm that also sees warmed entries."""
    hit_us: int = field(default=0, compare=False)
    """Microseconds of all hits together, each from the call until it was decided."""
    miss_us: int = field(default=0, compare=False)
    """Microseconds of all misses together."""
    cold_cache_hits: int = 0
    """Misses of the holdout that a cold cache filled by all users would have answered."""
    errors: int = 0
    """Lookups that raised; neither hits nor misses."""

    @property
    def hits(self) -> int:
        """Exact and semantic hits."""
        return self.exact + self.semantic

    @property
    def lookups(self) -> int:
        """Lookups that were decided: hits and misses."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float | None:
        """Hits / lookups; None without lookups."""
        return self.hits / self.lookups if self.lookups else None

    @property
    def cold_cache_hit_rate(self) -> float | None:
        """Of the holdout: share of lookups that a cold cache filled by all users would answer; None without lookups."""
        return min(1.0, (self.hits + self.cold_cache_hits) / self.lookups) if self.lookups else None

    @property
    def hit_ms(self) -> float | None:
        """Mean milliseconds of a hit; None where none was timed."""
        return self.hit_us / self.hits / 1000 if self.hits and self.hit_us else None

    @property
    def miss_ms(self) -> float | None:
        """Mean milliseconds of a miss; None where none was timed."""
        return self.miss_us / self.misses / 1000 if self.misses and self.miss_us else None

    def add(self, what: str, number: int) -> None:
        """Add ``number`` to what a counter's field names; an unknown name is ignored."""
        if what in _ATTRIBUTES:
            attribute = _ATTRIBUTES[what]
            setattr(self, attribute, getattr(self, attribute) + number)

    def include(self, other: "Tally") -> None:
        """Add the counts of another tally."""
        for attribute in _ATTRIBUTES.values():
            setattr(self, attribute, getattr(self, attribute) + getattr(other, attribute))

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "lookups": self.lookups,
            "hits": self.hits,
            "exact": self.exact,
            "semantic": self.semantic,
            "misses": self.misses,
            "hit_rate": self.hit_rate,
            "hit_ms": self.hit_ms,
            "miss_ms": self.miss_ms,
            "would_hits": self.cold_cache_hits,
            "errors": self.errors,
        }


@dataclass
class CacheStats(Tally):
    """What the cache's readers counted in the last hours, all processes together.

    The counts and ``agent_types`` are of both arms together: what users got. Compare a forecast with the warmed arm of
    ``arms``, since the holdout sees no warmed entry.
    """

    hours: int = 0
    """How many hours were added up, the current one included."""
    agent_types: dict[str, Tally] = field(default_factory=dict)
    generation: str | None = None
    """Id of the live generation; None when nothing is published."""
    total_entries: int = 0
    """Entries that a lookup can find now: the live generation's and app entries."""
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
    """Counts of one hour's hash by (arm, agent_type). Unknown fields and unusable numbers are ignored."""
    found: dict[tuple[str, str], Tally] = {}
    for name, value in fields.items():
        arm, _, rest = name.partition(":")
        what, colon, agent_type = rest.partition(":")
        if arm in ARMS and colon and what in _ATTRIBUTES and is_count(value):
            found.setdefault((arm, agent_type), Tally()).add(what, int(value))
    return found


def is_count(value: str) -> bool:
    """Whether a field contains a number that a counter can have reached."""
    return value.isascii() and value.isdigit() and len(value) <= _DIGITS


_ATTRIBUTES = {
    "exact": "exact",
    "semantic": "semantic",
    "miss": "misses",
    "error": "errors",
    APP_HITS: "app_hits",
    HIT_US: "hit_us",
    MISS_US: "miss_us",
    COLD_CACHE_HITS: "cold_cache_hits",
}
"""What a counter's field names, and the attribute of a Tally that counts it."""

_DIGITS = 15
"""Digits of thirty years in microseconds: sums of a day stay within 64 bits."""


def add_up(hours: Iterable[Mapping[str, str]], count: int, generation: str | None, total_entries: int) -> CacheStats:
    """Totals over the counters of ``count`` hours. Unknown fields and unusable numbers are ignored."""
    stats = CacheStats(hours=count, generation=generation, total_entries=total_entries)
    for fields in hours:
        for (arm, agent_type), tally in tallies(fields).items():
            for tally_of in (stats, stats.arms[arm], stats.agent_types.setdefault(agent_type, Tally())):
                tally_of.include(tally)
    return stats
