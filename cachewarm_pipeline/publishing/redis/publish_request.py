"""What a publish is given and what it tells. Nothing here reads or writes Redis."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Required, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.embedders.embedder import EmbedderInfo
from cachewarm_client.generation_record import GenerationRecord, State
from cachewarm_client.keys import generation_id
from cachewarm_client.match_rules import MatchRules

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis import verify_generation as cache_verify
from cachewarm_pipeline.publishing.redis.generations import KEEP

logger = logging.getLogger(__name__)


class How(TypedDict, total=False):
    """What a plan is published with, as keyword arguments."""

    as_of: Required[date]
    plan_hash: Required[str]
    embedder: Required[EmbedderInfo]
    rules: Required[MatchRules]
    ttl_days: Required[float]
    """Days that an entry lives, spread by +-``ttl_jitter`` (a share)."""
    ttl_jitter: Required[float]
    now: Required[datetime]
    ttl_days_by_agent: Mapping[str, float] | None
    """Days to live of the agent types that have their own."""
    forecast_hit_rate: float | None
    """Kept in the record: share of lookups that the replay expects it to answer."""
    allow_rollback: bool
    """Whether a plan of an older day may replace a newer one."""
    keep: int
    """Generations kept in all; ``KEEP`` by default."""
    progress: Callable[[str], Any]
    """Told what is done, a line at a time; the log by default."""


@dataclass(frozen=True)
class Published:
    """What a publish did."""

    generation: str
    entries: int
    written: int
    """Entries written by this call; 0 when the same generation was already there."""
    unchanged: bool
    """It was live already and whole: no entry was written."""
    removed: tuple[str, ...]
    """Generations taken away: older ones, and what killed runs left."""
    seconds: float
    ttls_renewed: bool = False
    """The entries were there already and past half of their life: their time to live begins anew."""
    why_not: str = ""
    """Why the plan was not published; the generation named is then the one that stays live, empty where none is.
    Empty: it is live."""
    loaded: int = 0
    """Planned entries that are in Redis; all of them unless they are loaded little by little."""
    of: int = 0
    """Planned entries."""
    waits: bool = False
    """It is being loaded little by little, or comes after the one that is: the next call goes on."""

    @property
    def published(self) -> bool:
        return not self.why_not


@dataclass(frozen=True)
class Wanted:
    """A plan, the generation that it is to become, and how it is to be published."""

    plan: pa.Table
    vectors: np.ndarray
    record: GenerationRecord
    now: datetime
    allow_rollback: bool
    keep: int
    progress: Callable[[str], Any]
    started: float

    @classmethod
    def of(cls, plan: pa.Table, vectors: np.ndarray, how: How, started: float) -> "Wanted":
        """Raises CacheError for a plan that cannot be served."""
        cache_verify.check_plan(plan, vectors)
        by_agent = {name: float(days) for name, days in (how.get("ttl_days_by_agent") or {}).items()}
        if bad := [name for name, days in by_agent.items() if not (math.isfinite(days) and days > 0)]:
            raise CacheError(
                f"the days to live of agent_type {bad[0]!r:.80} are no positive number; nothing was changed"
            )
        own = set(pc.unique(plan["agent_type"]).to_pylist())
        record = GenerationRecord(
            id=generation_id(how["as_of"], how["plan_hash"]),
            state=State.BUILDING,
            entries=plan.num_rows,
            by_source={row["values"]: row["counts"] for row in plan["source"].value_counts().to_pylist()},
            plan_hash=how["plan_hash"],
            as_of=how["as_of"],
            created_at=how["now"],
            embedder={**asdict(how["embedder"]), "dimensions": vectors.shape[1]},
            match_rules=how["rules"],
            ttl_days=how["ttl_days"],
            ttl_jitter=how["ttl_jitter"],
            forecast_hit_rate=how.get("forecast_hit_rate"),
            ttl_days_by_agent={n: days for n, days in by_agent.items() if n in own and days != how["ttl_days"]},
        )
        return cls(
            plan,
            vectors,
            record,
            how["now"],
            how.get("allow_rollback", False),
            how.get("keep", KEEP),
            how.get("progress", logger.info),
            started,
        )
