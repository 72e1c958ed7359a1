"""The shape of the source: log format, names of tables and columns, first day; and the sample."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, Field


class SourceSettings(BaseModel):
    """The shape of the source: log format, names of tables and columns, first day; and the sample."""

    log_format: Literal["own", "litellm", "langfuse", "otel"] = Field(
        "own",
        description="Whose columns the log has: `own`, LiteLLM's SpendLogs, Langfuse's observations or OpenTelemetry's "
        "GenAI spans. See docs/data-sources.md.",
    )
    tables: dict[str, str] = Field(
        default_factory=dict, description='JSON, our table name to yours: {"llm_query_logs": "prod.llm_requests"}.'
    )
    columns: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description='JSON, per table our column name to yours: {"llm_query_logs": {"query": "prompt_text"}}.',
    )
    first_day: date = Field(
        date(2025, 1, 1), description="First daily partition (UTC). Earlier log days cannot be mined until it is moved."
    )
    sample_seed: int = Field(7, description="Seed of the synthetic sample data.")
    sample_rows_per_day: int = Field(2200, ge=1, description="Log rows a day in the sample.")
