"""Which golden answers and log queries become candidates."""

from pydantic import BaseModel, Field

from cachewarm_pipeline.settings.share import Share


class CandidateSettings(BaseModel):
    """Which golden answers and log queries become candidates."""

    min_quality: Share = Field(
        0.8, description="Golden findings below this confidence are excluded. The confidence becomes the quality_score."
    )
    min_entry_quality: Share = Field(
        0.6, description="Floor for log and synthetic entries: under a stable log answer (0.9) and a variant (0.7)."
    )
    golden_max: int = Field(
        500, ge=0, description="Golden candidates at most, so that the log keeps half of a budget of 1,000."
    )
    lookback_days: int = Field(
        30, ge=1, le=366, description="Days of log that count as demand: a month has each weekday four times."
    )
    min_frequency: int = Field(5, ge=1, description="Queries asked less often in the window are excluded as noise.")
    min_users: int = Field(
        2,
        ge=1,
        le=16,
        description="Distinct users a query needs where users are known: one user must not fill a cache.",
    )
    min_stability: Share = Field(
        0.67,
        description="Probability that the stored answer still serves, below which a query is volatile and excluded. "
        "A log entry's quality is 0.9 x this, so 0.67 is where it reaches 0.6. 1 if answers merely vary. 0 excludes no "
        "query as volatile.",
    )
