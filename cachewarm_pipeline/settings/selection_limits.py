"""Limits of a selection of entries: budget, quotas, least gain, bytes of a place."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cachewarm_pipeline.errors import ConfigurationError


@dataclass(frozen=True)
class Limits:
    """What a selection keeps to."""

    budget: int
    """Places of the budget."""
    quotas: Mapping[str, int] = field(default_factory=dict)
    """Places kept for an agent_type, which are also the most it gets."""
    floor: float = 0.0
    """Hits a day of mean cost that an entry must add for each of its places."""
    entry_bytes: int = 8192
    """Bytes of response that one place pays for."""

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise ConfigurationError(
                f"the budget is {self.budget}; it must be at least 1 entry (CACHEWARM_BUDGET or --budget)"
            )
        wrong = [name for name, quota in self.quotas.items() if quota < 0]
        if wrong:
            raise ConfigurationError(f"CACHEWARM_QUOTAS: {wrong[0]!r} has the quota {self.quotas[wrong[0]]}, below 0")
        if sum(self.quotas.values()) > self.budget:
            raise ConfigurationError(
                f"CACHEWARM_QUOTAS add up to {sum(self.quotas.values())}, over the budget of {self.budget}: lower "
                "them or raise CACHEWARM_BUDGET"
            )
