"""Synthetic variants: what writes them, which are kept, what they may cost."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field


class VariantSettings(BaseModel):
    """Synthetic variants: what writes them, which are kept, what they may cost."""

    llm: Literal["none", "recorded", "openai"] | None = Field(
        None,
        description="What writes variants of base queries: `openai` (any compatible chat server; costs money, so it is "
        "never the default), `recorded` (completions that come with the sample's base queries) or `none`. Unset: "
        "`recorded` for the sample, else `none`.",
    )
    base_queries: Path | None = Field(
        None, description="YAML of base queries by agent_type. Unset: the packaged file, for the sample."
    )
    synthetic_top: int = Field(
        20,
        ge=0,
        description="With `openai`, this many golden and this many frequent queries of each agent_type are base "
        "queries too.",
    )
    variants_per_base: int = Field(8, ge=1, le=100, description="Variants asked of the model for each base.")
    synthetic_responses: Literal["reuse", "generate"] = Field(
        "reuse",
        description="A variant has its base's verified answer. Where there is none: `reuse` excludes it, `generate` "
        "asks the model for an answer, which nobody has verified.",
    )
    variant_min_distance: float = Field(
        0.03,
        ge=0,
        le=2,
        description="Cosine distance to its base, or to a kept variant of it, under which a variant adds nothing. The "
        "number is for all-MiniLM-L6-v2; another embedding model has another scale.",
    )
    variant_max_distance: float = Field(
        0.45,
        ge=0,
        le=2,
        description="Cosine distance to its base over which a variant is another question. The number is for "
        "all-MiniLM-L6-v2; another embedding model has another scale.",
    )
    llm_model: str = Field(
        "gpt-4.1-mini", min_length=1, description="Chat model that writes variants: one that keeps strict JSON schemas."
    )
    llm_temperature: float = Field(
        0.8,
        ge=0,
        le=2,
        description="Temperature of the variants. At the model's own 1.0 they drift from their base query.",
    )
    llm_batch: bool = Field(
        False, description="Use the Batch API at half the price: one run submits, a later one collects."
    )
    llm_max_usd: float = Field(1.0, ge=0, description="Spend cap for a run; bases over it are written by a later run.")
    llm_max_tokens: int = Field(2_000_000, ge=0, description="Cap on prompt and completion tokens together for a run.")
    llm_usd_per_million_prompt_tokens: float = Field(
        0.40, ge=0, description="Price of llm_model's prompts (gpt-4.1-mini). 0: the spend cap has no effect."
    )
    llm_usd_per_million_completion_tokens: float = Field(
        1.60, ge=0, description="Price of llm_model's answers (gpt-4.1-mini)."
    )
    llm_concurrency: int = Field(8, ge=1, le=64, description="Requests for variants under way at once.")
    llm_timeout_seconds: float = Field(
        60, gt=0, description="A request for variants that takes longer is attempted again."
    )
    llm_max_retries: int = Field(
        5, ge=0, description="Further attempts at such a request after 408, 409, 429, 5xx and time-outs."
    )
