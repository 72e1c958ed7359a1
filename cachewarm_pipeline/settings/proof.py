"""The wrong-hit target, its confidence, and the evidence for it."""

from pydantic import BaseModel, Field

from cachewarm_pipeline.settings.share import Share


class ProofSettings(BaseModel):
    """The wrong-hit target, its confidence, and the evidence for it."""

    max_wrong_hit_rate: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Target for wrong hits / hits. A match rule serves semantic hits only where held-out queries of "
        "its own agent_type certify it; 0.05 takes 90 of them, 0.02 takes 228.",
    )
    confidence: float = Field(
        0.99,
        gt=0.5,
        lt=1,
        description="Of each certificate: it is wrong with probability 1 - this at most. At 0.95 one cache in five was "
        "measured just over its target on real questions, at 0.99 none of 20.",
    )
    labelled_max: int = Field(
        10_000,
        ge=0,
        description="Distinct log queries an agent_type that fit and certify its match rule, the newest ones.",
    )
    replay_days: int = Field(
        7, ge=0, le=60, description="Held-out days of the replay, at most a quarter of the log's. 0: no replay."
    )
    max_unfit_share: Share = Field(
        0.5,
        description="Share of frequent demand that may be volatile or personal; more says that the log or the judge is "
        "not what it should be.",
    )
