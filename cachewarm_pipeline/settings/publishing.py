"""Entries in Redis: how long they live, what may replace them."""

from pydantic import BaseModel, Field

from cachewarm_pipeline.settings.share import Share


class PublishingSettings(BaseModel):
    """Entries in Redis: how long they live, what may replace them."""

    ttl_days: float = Field(
        7, gt=0, description="Life of an entry. A daily run renews it; if runs stop, stale answers expire."
    )
    ttl_jitter: Share = Field(0.1, description="TTLs are spread by this share, so that entries do not expire together.")
    allow_rollback: bool = Field(
        False,
        description="Let a plan of an older day replace a newer live generation; a backfill must not by accident.",
    )
    max_response_bytes: int = Field(
        65_536, ge=1, description="Larger responses are excluded: they take too much memory."
    )
