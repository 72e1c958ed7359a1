"""Every knob of the pipeline, typed, with the reason for its default.

Read from the environment (prefix ``CACHEWARM_``) when a run starts; `partitions` reads them when definitions load.
Secrets are ``SecretStr``: they do not show in logs, in the UI or in a traceback.
"""

import difflib
import os
import re
from datetime import date
from pathlib import Path
from typing import Literal, Self

from cachewarm_client.keys import check_name
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.settings.automation import AutomationSettings, Share
from cachewarm_pipeline.settings.measurement import MeasuringSettings
from cachewarm_pipeline.settings.selection_limits import Limits

SAMPLE = "sample"
"""The source URL that asks for the synthetic sample by name."""


class Settings(AutomationSettings, MeasuringSettings, BaseSettings):
    """Settings of one run. ``Settings()`` reads the environment; keyword arguments win over it."""

    model_config = SettingsConfigDict(
        env_prefix="CACHEWARM_",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        allow_inf_nan=False,  # of all fields: no report, no TTL and no wait can be made of an infinite number
    )

    # Where things are
    home: Path = Field(
        Path(".cachewarm"), description="Folder for the embedded servers, the sample, datasets and Dagster's storage."
    )
    name: str = Field(
        "cachewarm", description="Name of the cache: the Redis alias that readers open. `warm` is reserved."
    )
    redis_url: SecretStr | None = Field(
        None, description="Redis 8+ with its query engine. Unset: the embedded server is started."
    )
    source_url: SecretStr | None = Field(
        None,
        description="postgresql://..., spark:///folder, a folder of Parquet, CSV or JSONL, or `sample`. Unset: the "
        "sample, unless CACHEWARM_REDIS_URL is set.",
    )
    dataset_url: str | None = Field(
        None, description="Base URI of the datasets between assets (folder or any fsspec URI). Unset: `<home>/data`."
    )
    dagster_postgres_url: SecretStr | None = Field(
        None, description="Dagster's own storage in Postgres. Unset: SQLite under `<home>/dagster`."
    )

    # The source's shape
    log_format: Literal["own", "litellm", "langfuse", "otel"] = Field(
        "own",
        description="Whose columns the log has: `own`, LiteLLM's SpendLogs, Langfuse's observations or OpenTelemetry's "
        "GenAI spans. See Your own data.",
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

    # Candidates
    min_quality: Share = Field(0.8, description="Golden findings below this confidence are left out; the seed's 0.8.")
    min_entry_quality: Share = Field(
        0.6, description="Floor for log and synthetic entries: under a stable log answer (0.9) and a variant (0.7)."
    )
    golden_max: int = Field(500, ge=0, description="At most so many golden candidates; the seed's 500.")
    lookback_days: int = Field(30, ge=1, le=366, description="Days of log that count as demand; the seed's 30.")
    min_frequency: int = Field(5, ge=1, description="Queries asked less often in the window are noise; the seed's 5.")
    min_users: int = Field(
        2,
        ge=1,
        le=16,
        description="Distinct users a query needs where users are known: one user must not fill a cache.",
    )
    min_stability: Share = Field(
        0.67,
        description="Share of the winning answer below which a query is volatile and left out. A log entry's quality "
        "is 0.9 x this share, so 0.67 is where it reaches 0.6.",
    )

    # Synthetic variants
    llm: Literal["none", "recorded", "openai"] | None = Field(
        None,
        description="What writes variants of base queries: `openai` (any compatible chat server; costs money, so it is "
        "never the default), `recorded` (completions that come with the sample's base queries) or `none`. Unset: "
        "`recorded` for the sample, else `none`.",
    )
    base_queries: Path | None = Field(
        None, description="YAML of base queries by agent_type. Unset: the packaged file, the seed's and the sample's."
    )
    synthetic_top: int = Field(
        20, ge=0, description="So many golden and so many frequent queries an agent_type are bases too, with `openai`."
    )
    variants_per_base: int = Field(8, ge=1, le=100, description="Variants asked of the model for each base.")
    synthetic_responses: Literal["reuse", "generate"] = Field(
        "reuse",
        description="A variant has its base's verified answer. Where there is none: `reuse` leaves it out, `generate` "
        "asks the model for an answer, as the seed does; nobody has verified such an answer.",
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
        0.8, ge=0, le=2, description="Of the variants: under the model's own 1.0, where variants drift from their base."
    )
    llm_batch: bool = Field(
        False, description="Use the Batch API at half the price: one run submits, a later one collects."
    )
    llm_max_usd: float = Field(1.0, ge=0, description="Spend cap for a run; bases over it are written by a later run.")
    llm_max_tokens: int = Field(2_000_000, ge=0, description="Cap on prompt and completion tokens together for a run.")
    llm_usd_per_million_prompt_tokens: float = Field(
        0.40, ge=0, description="Price of llm_model's prompts (gpt-4.1-mini). 0: the spend cap never holds."
    )
    llm_usd_per_million_completion_tokens: float = Field(
        1.60, ge=0, description="Price of llm_model's answers (gpt-4.1-mini)."
    )
    llm_concurrency: int = Field(8, ge=1, le=64, description="Requests for variants under way at once.")
    llm_timeout_seconds: float = Field(60, gt=0, description="A request for variants that takes longer is tried again.")
    llm_max_retries: int = Field(
        5, ge=0, description="Tries of such a request after the first for 408, 409, 429, 5xx and time-outs."
    )

    # The plan
    budget: int = Field(1000, ge=1, description="Entries at most; the seed's 1,000.")
    selection: Literal["coverage", "frequency"] = Field(
        "coverage",
        description="`coverage`: the entries that bring the most hits; `frequency`: golden first, then those asked "
        "most, as the seed orders them.",
    )
    coverage_radius: float = Field(
        0.25,
        gt=0,
        le=2,
        description="Cosine distance up to which an entry is taken to answer a query of the same answer, before there "
        "is a match rule that says how far.",
    )
    min_gain: float = Field(
        0.02,
        ge=0,
        description="Hits a day (of a call of mean cost) that an entry must add to what those before it bring, or it "
        "is not warmed; 0.02: one hit in 50 days.",
    )
    demand_half_life_days: float = Field(
        14, gt=0, description="A look-up so many days ago counts half as much as one of today."
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
        "seen just over its target on real questions, at 0.99 none of 20.",
    )
    labelled_max: int = Field(
        10_000,
        ge=0,
        description="Distinct log queries an agent_type that fit and certify its match rule, those asked last.",
    )
    replay_days: int = Field(
        7, ge=0, le=60, description="Held-out days of the replay, at most a quarter of the log's. 0: no replay."
    )
    max_unfit_share: Share = Field(
        0.5,
        description="Share of frequent demand that may be volatile or personal; more says that the log or the judge is "
        "not what it should be.",
    )
    judge: Literal["exact", "embedding", "llm"] = Field(
        "embedding",
        description="How two responses are held equivalent: `exact` (same JSON or text), `embedding` (near vectors, "
        "same facts) or `llm` (a model has the last word on near ones; costs money, so it is never the default).",
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
        description="Spend cap of the `llm` judge for a run. Pairs over it are held different, which can only lower "
        "the hit rate.",
    )
    judge_usd_per_million_prompt_tokens: float = Field(
        0.40, ge=0, description="Price of judge_model's prompts (gpt-4.1-mini). 0: the cap never holds."
    )
    judge_usd_per_million_completion_tokens: float = Field(
        1.60, ge=0, description="Price of judge_model's answers (gpt-4.1-mini)."
    )
    judge_concurrency: int = Field(8, ge=1, le=64, description="Requests of the `llm` judge under way at once.")
    judge_timeout_seconds: float = Field(30, gt=0, description="A judge's request that takes longer is tried again.")
    judge_max_retries: int = Field(
        5, ge=0, description="Tries of a judge's request after the first for 408, 409, 429, 5xx and time-outs."
    )

    # Entries in Redis
    ttl_days: float = Field(
        7, gt=0, description="Life of an entry. A daily run renews it; if runs stop, stale answers leave by themselves."
    )
    ttl_jitter: Share = Field(0.1, description="TTLs are spread by this share, so that entries do not expire together.")
    allow_rollback: bool = Field(
        False,
        description="Let a plan of an older day replace a newer live generation; a backfill must not by accident.",
    )
    max_response_bytes: int = Field(
        65_536, ge=1, description="Larger responses are left out: they cost memory out of proportion."
    )

    # Embedding
    embedder: Literal["minilm", "openai"] = Field(
        "minilm", description="`minilm` runs on this machine and is free; `openai` is any OpenAI-compatible server."
    )
    embedding_model: str = Field("text-embedding-3-small", description="Model of the `openai` embedder.")
    embedding_dimensions: int | None = Field(
        None, ge=1, description="Shortened vectors for models that offer them. Unset: the model's own."
    )
    embedding_usd_per_million_tokens: float = Field(
        0.02, ge=0, description="Price of embedding_model (text-embedding-3-small)."
    )
    embedding_concurrency: int = Field(4, ge=1, le=64, description="Embedding requests under way at once.")
    embedding_timeout_seconds: float = Field(30, gt=0, description="A request that takes longer is tried again.")
    embedding_max_retries: int = Field(
        5, ge=0, description="Tries after the first for 408, 409, 429, 5xx and time-outs."
    )
    openai_api_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("OPENAI_API_KEY", "openai_api_key"), description="Key of the server."
    )
    openai_base_url: str | None = Field(
        None,
        validation_alias=AliasChoices("OPENAI_BASE_URL", "openai_base_url"),
        description="Any OpenAI-compatible server. Unset: OpenAI.",
    )

    # The sample
    sample_seed: int = Field(7, description="Seed of the synthetic sample data.")
    sample_rows_per_day: int = Field(2200, ge=1, description="Log rows a day in the sample.")

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        try:
            return check_name(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _openai_needs_a_key(self) -> Self:
        if self.embedder == "openai" and not self.openai_api_key:
            raise ValueError("CACHEWARM_EMBEDDER=openai needs OPENAI_API_KEY")
        if self.judge == "llm" and not self.openai_api_key:
            raise ValueError("CACHEWARM_JUDGE=llm needs OPENAI_API_KEY (any text for a server without keys)")
        return self

    @model_validator(mode="after")
    def _variants_have_a_place(self) -> Self:
        least, most = self.variant_min_distance, self.variant_max_distance
        if least >= most:
            raise ValueError(
                f"CACHEWARM_VARIANT_MIN_DISTANCE ({least:g}) must be under CACHEWARM_VARIANT_MAX_DISTANCE ({most:g})"
            )
        return self

    def check_to_warm(self) -> None:
        """What only warming needs, before it begins: nobody wants a key of a chat model to stop a server.

        Raises ConfigurationError: quotas over the budget, no key for `openai` variants, base queries nobody writes of.
        """
        _ = self.limits
        if self.llm == "openai" and not self.openai_api_key:
            raise ConfigurationError("CACHEWARM_LLM=openai needs OPENAI_API_KEY (any text for a server without keys)")
        if self.base_queries and self.llm in (None, "none") and not (self.llm is None and self.is_sample):
            raise ConfigurationError(
                "CACHEWARM_BASE_QUERIES is set, but nothing writes variants of them: set CACHEWARM_LLM=openai too"
            )

    @property
    def api_key(self) -> str:
        """OPENAI_API_KEY; empty where none is set, which whoever needs one refuses."""
        return self.openai_api_key.get_secret_value() if self.openai_api_key else ""

    @property
    def is_sample(self) -> bool:
        """Whether the source is the synthetic sample: none is set, or it is asked for by name."""
        return self.source_url is None or self.source_url.get_secret_value() == SAMPLE

    @property
    def limits(self) -> Limits:
        """What the selection of entries keeps to. Raises ConfigurationError for quotas over the budget."""
        return Limits(self.budget, self.quotas, self.min_gain, self.entry_bytes)

    @property
    def datasets(self) -> str:
        """Base URI of the datasets between assets."""
        return self.dataset_url or str(self.home / "data")

    @property
    def delta(self) -> float:
        """The most that a certificate may be wrong with."""
        return 1 - self.confidence

    @property
    def floors(self) -> dict[str, float]:
        """Lowest quality_score an entry of each source may have."""
        return {"golden": self.min_quality, "query_log": self.min_entry_quality, "synthetic": self.min_entry_quality}


def load_settings() -> Settings:
    """The settings of the environment.

    Raises ConfigurationError with one line a wrong variable; the values of secrets are not in it.
    """
    known = {str(field.validation_alias) for field in Settings.model_fields.values()} | {
        f"CACHEWARM_{name.upper()}" for name in Settings.model_fields
    }
    for variable in sorted(os.environ):
        if variable.upper().startswith("CACHEWARM_") and variable.upper() not in known:
            near = difflib.get_close_matches(variable.upper(), known, 1)
            raise ConfigurationError(f"{variable} is no setting{f'; did you mean {near[0]}?' if near else ''}")
    try:
        return Settings()
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_input=False, include_url=False):
            first, *inside = (str(part) for part in problem["loc"]) if problem["loc"] else ("",)
            first = f"CACHEWARM_{first.upper()}" if first in Settings.model_fields else first
            variable = f"{'.'.join((first, *inside))}: " if first else ""
            problems.append(f"{variable}{problem['msg'].removeprefix('Value error, ')}")
        raise ConfigurationError("; ".join(problems)) from None
    except SettingsError as error:
        named = re.search(r'field "(\w+)"', str(error))
        what = f"CACHEWARM_{named[1].upper()}" if named else str(error)
        raise ConfigurationError(f'{what} is not JSON: write an object, {{"name": value}}') from None
