"""What Redis stores about each generation: one JSON record, read by the publisher and by every reader."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from cachewarm_client.errors import CacheError
from cachewarm_client.match_rules import MatchRules

SCHEMA_VERSION = 1
"""Version of the entries' fields and of this record; a reader refuses any other version."""

LIVE_FIELD = "live"
"""Field of the generations hash with the live generation's id, beside one record per generation."""

PINNED_FIELD = "pinned"
"""Field of the generations hash that exists while a generation is pinned: a ``Pin`` as JSON."""


class State(StrEnum):
    """State of a generation. Only ``live`` is served; ``previous`` is complete and kept for a rollback; ``filling`` is
    loaded step by step over many runs."""

    BUILDING = "building"
    FILLING = "filling"
    READY = "ready"
    LIVE = "live"
    PREVIOUS = "previous"


@dataclass(frozen=True)
class Pin:
    """A rollback keeps a generation live: until it is released, no other generation may become live."""

    generation: str
    """Id of the generation that stays live."""
    since: datetime
    why: str = ""
    """The reason that the operator gave."""

    def describe(self) -> str:
        """The pin in words, for the message of a publish that it stops."""
        why = f" ({self.why})" if self.why else ""
        since = self.since.isoformat(timespec="seconds")
        return (
            f"pinned to generation {self.generation} since {since}{why}: `cachewarm release` lets new ones be published"
        )

    def to_json(self) -> str:
        """JSON form; ``from_json`` reads it back."""
        return json.dumps({**asdict(self), "since": self.since.isoformat()}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Pin":
        """The pin of its JSON form.

        Raises CacheError for other text: a publish must never undo a rollback by mistake.
        """
        try:
            data = json.loads(text)
            return cls(str(data["generation"]), datetime.fromisoformat(data["since"]), str(data.get("why", "")))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CacheError(
                f"the pin in Redis is damaged ({error!r}): `cachewarm release` removes it, then publish again"
            ) from None


@dataclass(frozen=True)
class GenerationRecord:
    """One generation: what it contains, what made it and how it is read."""

    id: str
    state: State
    entries: int
    """Planned entries; a complete generation contains exactly this many until they expire."""
    by_source: dict[str, int]
    """Planned entries by source: golden, query_log, synthetic."""
    plan_hash: str
    as_of: date
    """The last day of the log that the plan was made from."""
    created_at: datetime
    embedder: dict[str, Any]
    """EmbedderInfo as a dict, with the dimensions that the vectors have."""
    match_rules: MatchRules
    ttl_days: float
    """Days that an entry lives, before jitter."""
    ttl_jitter: float
    """Entries live up to this share (0 to 1) longer or shorter."""
    published_at: datetime | None = None
    """When it last became live."""
    renewed_at: datetime | None = None
    """When its entries' time to live was last restarted."""
    loaded: int = 0
    """Of a ``filling`` generation: how many planned entries were written, in the order of the plan."""
    filled_at: datetime | None = None
    """Of a generation loaded step by step: when entries were last written."""
    forecast_hit_rate: float | None = None
    """Share of lookups, 0 to 1, that the replay expects it to answer; None without a forecast."""
    ttl_days_by_agent: dict[str, float] = field(default_factory=dict)
    """Days to live of the agent types with a setting of their own; the others use ``ttl_days``."""
    schema_version: int = field(default=SCHEMA_VERSION)

    @property
    def dimensions(self) -> int:
        """Dimensions of the generation's vectors."""
        return int(self.embedder["dimensions"])

    @property
    def partial(self) -> bool:
        """Whether it was made before its UTC day was over."""
        return self.created_at.astimezone(UTC).date() <= self.as_of

    def ttl_of(self, agent_type: str) -> float:
        """Days that entries of this agent_type live, before jitter."""
        return self.ttl_days_by_agent.get(agent_type, self.ttl_days)

    def past_half_life(self, now: datetime) -> bool:
        """Whether more than half of the shortest time to live has passed."""
        shortest = min([self.ttl_days, *self.ttl_days_by_agent.values()])
        return now - (self.renewed_at or self.created_at) > timedelta(days=shortest) / 2

    def same_content(self, other: "GenerationRecord") -> bool:
        """Whether both generations would write the same entries to Redis, read in the same way."""
        same = ("plan_hash", "as_of", "entries", "embedder", "ttl_days", "ttl_jitter", "ttl_days_by_agent")
        return (
            all(getattr(self, name) == getattr(other, name) for name in same)
            and self.match_rules.to_json() == other.match_rules.to_json()
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON form; dates are ISO 8601."""
        return {
            **asdict(self),
            "state": str(self.state),
            "as_of": self.as_of.isoformat(),
            "created_at": self.created_at.isoformat(),
            "published_at": self.published_at and self.published_at.isoformat(),
            "renewed_at": self.renewed_at and self.renewed_at.isoformat(),
            "filled_at": self.filled_at and self.filled_at.isoformat(),
            "match_rules": self.match_rules.as_dict(),
        }

    def to_json(self) -> str:
        """``as_dict`` as text; ``from_json`` reads it back."""
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "GenerationRecord":
        """The record of its JSON form; unknown fields are ignored.

        Raises CacheError for another schema or rules version (upgrade the reader) and for damaged text.
        """
        try:
            data = json.loads(text)
            version = data["schema_version"]
            if version != SCHEMA_VERSION:
                raise CacheError(
                    f"generation {data['id']} has schema version {version}, this reader knows {SCHEMA_VERSION}: "
                    "upgrade cachewarm-client where this cache is read"
                )
            published, renewed, filled = (data.get(name) for name in ("published_at", "renewed_at", "filled_at"))
            forecast = data.get("forecast_hit_rate")
            return cls(
                id=data["id"],
                state=State(data["state"]),
                entries=int(data["entries"]),
                by_source={str(k): int(v) for k, v in data["by_source"].items()},
                plan_hash=data["plan_hash"],
                as_of=date.fromisoformat(data["as_of"]),
                created_at=datetime.fromisoformat(data["created_at"]),
                embedder={**data["embedder"], "dimensions": int(data["embedder"]["dimensions"])},
                match_rules=MatchRules.from_dict(data["match_rules"]),
                ttl_days=float(data["ttl_days"]),
                ttl_jitter=float(data["ttl_jitter"]),
                published_at=published and datetime.fromisoformat(published),
                renewed_at=renewed and datetime.fromisoformat(renewed),
                loaded=int(data.get("loaded", 0)),
                filled_at=filled and datetime.fromisoformat(filled),
                forecast_hit_rate=None if forecast is None else float(forecast),
                ttl_days_by_agent={str(k): float(v) for k, v in data.get("ttl_days_by_agent", {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CacheError(f"the record of a generation in Redis is damaged ({error!r}): {text[:80]!r}") from None


def parse_generations(fields: dict[str, str]) -> tuple[str | None, dict[str, GenerationRecord]]:
    """The live generation's id (None when nothing is published) and all records of a generations hash, by id.

    Raises CacheError for a record that cannot be read, and when the live generation has no record.
    """
    records = {
        name: GenerationRecord.from_json(text)
        for name, text in fields.items()
        if name not in (LIVE_FIELD, PINNED_FIELD)
    }
    live = parse_live(fields)
    return (live.id if live else None), records


def parse_live(fields: dict[str, str]) -> GenerationRecord | None:
    """The live generation's record; None when nothing is published. Other records are not read, so they may have
    unknown versions.

    Raises CacheError when ``live`` names a generation without a record: something else wrote to the hash.
    """
    live = fields.get(LIVE_FIELD)
    if live is None:
        return None
    if live not in fields:
        raise CacheError(
            f"the live generation {live} has no record in Redis: delete the field 'live' of the generations hash and "
            "publish again"
        )
    return GenerationRecord.from_json(fields[live])


def parse_pin(fields: dict[str, str]) -> Pin | None:
    """The pin of a generations hash; None without one. Raises CacheError for a pin that cannot be read."""
    return Pin.from_json(fields[PINNED_FIELD]) if PINNED_FIELD in fields else None
