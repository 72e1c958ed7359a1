"""Which candidates become entries: budget, coverage, quotas."""

from typing import Literal

from pydantic import BaseModel, Field


class PlanningSettings(BaseModel):
    """Which candidates become entries: budget, coverage, quotas."""

    budget: int = Field(1000, ge=1, description="Entries at most. 1,000 entries load in under a second.")
    selection: Literal["coverage", "frequency"] = Field(
        "coverage",
        description="`coverage`: the entries that bring the most hits; `frequency`: golden first, then those asked "
        "most.",
    )
    coverage_radius: float = Field(
        0.25,
        gt=0,
        le=2,
        description="Cosine distance up to which an entry is assumed to answer a query with the same answer, before "
        "a match rule decides.",
    )
    min_gain: float = Field(
        0.02,
        ge=0,
        description="Hits a day (of a call of mean cost) that an entry must add to what those before it bring, or it "
        "is not warmed; 0.02: one hit in 50 days.",
    )
    demand_half_life_days: float = Field(
        14, gt=0, description="A lookup this many days ago counts half as much as one of today."
    )
    quotas: dict[str, int] = Field(
        default_factory=dict,
        description='JSON, agent_type to entries kept for it and at most for it: {"billing": 100}. The others share '
        "the rest of the budget, and what it leaves free.",
    )
    entry_bytes: int = Field(
        8192,
        ge=1,
        description="Bytes of response that one place of the budget pays for; a larger response takes several.",
    )
