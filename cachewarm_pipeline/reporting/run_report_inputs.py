"""What the report of a day is made from: stored rows, and the settings that it names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa

from cachewarm_pipeline.answers.noise_floor import NoiseFloors
from cachewarm_pipeline.reporting.stored_rows import (
    ImpactRow,
    MatchRuleRow,
    NetReturnRow,
    PaybackRow,
    ReplaySummary,
    VerdictRow,
)


@dataclass(frozen=True)
class Stored:
    """What is stored for a day; None or empty if it is not."""

    day: date
    plan: pa.Table
    """WARMING_PLAN."""
    curve: pa.Table | None
    """PLAN_CURVE."""
    match_rules: Sequence[MatchRuleRow]
    verdicts: Sequence[VerdictRow]
    replay: ReplaySummary | None
    replay_days: int
    """Held-out days of ``replay``."""
    impact: Sequence[ImpactRow]
    returns: Sequence[NetReturnRow]
    payback: Sequence[PaybackRow]
    of: Mapping[str, date]
    """Day of the rows in ``impact``, ``returns`` and ``payback``, by dataset: the newest up to ``day``."""
    usage: pa.Table
    """USAGE, all rows."""
    noise: NoiseFloors = field(default_factory=NoiseFloors)
    """The judge's; none for a day of a version that did not measure it."""


@dataclass(frozen=True)
class Terms:
    """Settings that the report names or compares figures with."""

    name: str
    target: float
    """The highest share of hits that may be wrong."""
    confidence: float
    """Of the bound on wrong hits."""
    wrong_hit_usd: float | None
    """Harm of a wrong hit; None if it is not set."""
    idle_days: int
    """Counted days without a hit after which an entry is excluded from plans; 0: never."""
    sample: bool
    """Whether the data are the synthetic sample."""
