"""What a publish gets and what it returns: options, request and result. Nothing here reads or writes Redis."""

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
from cachewarm_pipeline.publishing.redis.generation_lifecycle import KEEP
from cachewarm_pipeline.publishing.redis.verify_generation import check_plan

logger = logging.getLogger(__name__)


class PublishOptions(TypedDict, total=False):
    """Keyword arguments of ``publish`` and ``publish_some``: what a plan is published with."""

    as_of: Required[date]
    """Day of the plan."""
    plan_hash: Required[str]
    """Hash of the plan and its match rules; part of the generation's id."""
    embedder: Required[EmbedderInfo]
    """Embedder of the vectors."""
    rules: Required[MatchRules]
    """Match rules that readers apply."""
    ttl_days: Required[float]
    """Days that an entry lives, before jitter."""
    ttl_jitter: Required[float]
    """Share by which an entry's TTL is spread up and down."""
    now: Required[datetime]
    """The present, in UTC."""
    ttl_days_by_agent: Mapping[str, float] | None
    """Days to live of the agent types that have their own."""
    forecast_hit_rate: float | None
    """Share of lookups that the replay expects the plan to answer; kept in the record."""
    allow_rollback: bool
    """Whether a plan of an older day may replace a newer one; no by default."""
    keep: int
    """Generations kept in all; ``KEEP`` by default."""
    progress: Callable[[str], Any]
    """Receives progress lines; the log by default."""


@dataclass(frozen=True)
class PublishResult:
    """What a publish did."""

    generation: str
    """Id of the live generation; empty when nothing is live."""
    entries: int
    """Planned entries of the live generation."""
    written: int
    """Entries written by this call; 0 when the same generation was in Redis already."""
    unchanged: bool
    """Whether the plan was live and whole already, so that no entry was written."""
    removed: tuple[str, ...]
    """Generations removed: older ones, and leftovers of killed runs."""
    seconds: float
    """Duration of the call."""
    ttls_renewed: bool = False
    """Whether the entries were in Redis already, past half of their life, and had their TTLs restarted."""
    why_not: str = ""
    """Why the plan was not published; empty when it is live."""
    loaded: int = 0
    """Planned entries that are in Redis; all of them unless they are loaded progressively."""
    planned: int = 0
    """Planned entries."""
    waits: bool = False
    """Whether another call is needed: the plan is being loaded progressively, or waits for another one that is."""

    @property
    def published(self) -> bool:
        """Whether the plan is live."""
        return not self.why_not


@dataclass(frozen=True)
class PublishRequest:
    """A plan, the record of the generation that it is to become, and how to publish it."""

    plan: pa.Table
    """A WARMING_PLAN table."""
    vectors: np.ndarray
    """float32 (rows of the plan, dimensions), of unit length, in the plan's order."""
    record: GenerationRecord
    """The record of the new generation, in state ``building``."""
    now: datetime
    """The present, in UTC."""
    allow_rollback: bool
    """Whether a plan of an older day may replace a newer one."""
    keep: int
    """Generations kept in all."""
    progress: Callable[[str], Any]
    """Receives progress lines."""
    started: float
    """Reading of the monotonic clock when the call began."""

    @classmethod
    def of(cls, plan: pa.Table, vectors: np.ndarray, options: PublishOptions, started: float) -> "PublishRequest":
        """Raises CacheError for a plan that cannot be served and for a TTL that is not a positive number."""
        check_plan(plan, vectors)
        by_agent = {name: float(days) for name, days in (options.get("ttl_days_by_agent") or {}).items()}
        if bad := [name for name, days in by_agent.items() if not (math.isfinite(days) and days > 0)]:
            raise CacheError(
                f"the days to live of agent_type {bad[0]!r:.80} are not a positive number; nothing was changed"
            )
        planned_types = set(pc.unique(plan["agent_type"]).to_pylist())
        record = GenerationRecord(
            id=generation_id(options["as_of"], options["plan_hash"]),
            state=State.BUILDING,
            entries=plan.num_rows,
            by_source={row["values"]: row["counts"] for row in plan["source"].value_counts().to_pylist()},
            plan_hash=options["plan_hash"],
            as_of=options["as_of"],
            created_at=options["now"],
            embedder={**asdict(options["embedder"]), "dimensions": vectors.shape[1]},
            match_rules=options["rules"],
            ttl_days=options["ttl_days"],
            ttl_jitter=options["ttl_jitter"],
            forecast_hit_rate=options.get("forecast_hit_rate"),
            ttl_days_by_agent={
                name: days for name, days in by_agent.items() if name in planned_types and days != options["ttl_days"]
            },
        )
        return cls(
            plan,
            vectors,
            record,
            options["now"],
            options.get("allow_rollback", False),
            options.get("keep", KEEP),
            options.get("progress", logger.info),
            started,
        )
