"""Hits and misses: how they are counted in Redis and what the counts add up to. No Redis here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

Outcome = Literal["exact", "semantic", "miss"]

WARMED_ARM = "warmed"
"""The arm of lookups that may see warmed entries."""

KEEP_SECONDS = 90 * 86_400
"""Counters of an hour live 90 days: a quarter to compare, and no growth after it."""


def hour_of(now: datetime) -> str:
    """The UTC hour that a lookup counts in: ``YYYYMMDDHH``."""
    return f"{now.astimezone(UTC):%Y%m%d%H}"


def last_hours(now: datetime, hours: int) -> list[str]:
    """The last ``hours`` hours, the current one included, newest first."""
    return [hour_of(now - timedelta(hours=back)) for back in range(hours)]


def counter(arm: str, outcome: Outcome, agent_type: str) -> str:
    """Field of one counter. The agent_type comes last: it may hold any character."""
    return f"{arm}:{outcome}:{agent_type}"


@dataclass
class Tally:
    """Lookups by outcome."""

    exact: int = 0
    semantic: int = 0
    misses: int = 0

    @property
    def hits(self) -> int:
        return self.exact + self.semantic

    @property
    def lookups(self) -> int:
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float | None:
        """Hits / lookups; None without lookups."""
        return self.hits / self.lookups if self.lookups else None

    def add(self, outcome: str, number: int) -> None:
        """Counts ``number`` lookups of an outcome; an unknown outcome counts nowhere."""
        if outcome == "exact":
            self.exact += number
        elif outcome == "semantic":
            self.semantic += number
        elif outcome == "miss":
            self.misses += number

    def as_dict(self) -> dict[str, Any]:
        return {
            "lookups": self.lookups,
            "hits": self.hits,
            "exact": self.exact,
            "semantic": self.semantic,
            "misses": self.misses,
            "hit_rate": self.hit_rate,
        }


@dataclass
class CacheStats(Tally):
    """What the cache's readers counted in the last hours, all processes together."""

    hours: int = 0
    agent_types: dict[str, Tally] = field(default_factory=dict)
    generation: str | None = None
    total_entries: int = 0
    """Entries that a lookup can find now: the live generation's and the application's own."""

    def as_dict(self) -> dict[str, Any]:
        """JSON form, agent types by name."""
        return {
            "hours": self.hours,
            "generation": self.generation,
            "total_entries": self.total_entries,
            **super().as_dict(),
            "agent_types": {name: self.agent_types[name].as_dict() for name in sorted(self.agent_types)},
        }


def add_up(hours: Iterable[Mapping[str, str]], count: int, generation: str | None, total_entries: int) -> CacheStats:
    """Totals over the counters of ``count`` hours. A field or number that is not ours counts nowhere."""
    stats = CacheStats(hours=count, generation=generation, total_entries=total_entries)
    for fields in hours:
        for name, value in fields.items():
            arm, _, rest = name.partition(":")
            outcome, colon, agent_type = rest.partition(":")
            if arm and colon and value.isascii() and value.isdigit():
                stats.add(outcome, int(value))
                stats.agent_types.setdefault(agent_type, Tally()).add(outcome, int(value))
    return stats
