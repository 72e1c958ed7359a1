"""The judge of equivalent answers."""

from typing import Literal

from pydantic import BaseModel, Field, field_validator


class JudgeSettings(BaseModel):
    """The judge of equivalent answers."""

    judge: Literal["exact", "local", "llm", "embedding"] = Field(
        "local",
        description="How two responses are judged equivalent: `exact` (same JSON or text), `local` (a small model on "
        "this machine, and no contradiction) or `llm` (a chat model decides where `local` is not certain; costs money, "
        "so it is never the default). `embedding` is the old name of `local`.",
    )
    judge_model: str = Field(
        "gpt-4.1-mini",
        min_length=1,
        description="Chat model of the `llm` judge, on the server of OPENAI_BASE_URL: one that takes temperature 0 and "
        "strict JSON schemas.",
    )
    judge_max_usd: float = Field(
        1.0,
        ge=0,
        description="Spend cap of the `llm` judge for a run. Pairs over it count as different, which can only lower "
        "the hit rate; whether an answer is a withdrawn one is then decided by `local`.",
    )
    judge_usd_per_million_prompt_tokens: float = Field(
        0.40, ge=0, description="Price of judge_model's prompts (gpt-4.1-mini). 0: the cap has no effect."
    )
    judge_usd_per_million_completion_tokens: float = Field(
        1.60, ge=0, description="Price of judge_model's answers (gpt-4.1-mini)."
    )
    judge_concurrency: int = Field(8, ge=1, le=64, description="Requests of the `llm` judge under way at once.")
    judge_timeout_seconds: float = Field(
        30, gt=0, description="A judge's request that takes longer is attempted again."
    )
    judge_max_retries: int = Field(
        5, ge=0, description="Further attempts at a judge's request after 408, 409, 429, 5xx and time-outs."
    )

    @field_validator("judge")
    @classmethod
    def _judge(cls, value: str) -> str:
        return "local" if value == "embedding" else value
