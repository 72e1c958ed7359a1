"""Every knob of the pipeline, typed, with the reason for its default.

Read from the environment (prefix ``CACHEWARM_``) when a run starts; `partitions` reads them when definitions load.
Secrets are ``SecretStr``: they do not show in logs, in the UI or in a traceback.
"""

import difflib
import os
import re
from typing import Self

from cachewarm_client.keys import check_name
from pydantic import ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.settings.answers import AnswerSettings
from cachewarm_pipeline.settings.automation import AutomationSettings
from cachewarm_pipeline.settings.candidates import CandidateSettings
from cachewarm_pipeline.settings.embedding import EmbeddingSettings
from cachewarm_pipeline.settings.measurement import MeasurementSettings
from cachewarm_pipeline.settings.places import PlaceSettings
from cachewarm_pipeline.settings.planning import PlanningSettings
from cachewarm_pipeline.settings.proof import ProofSettings
from cachewarm_pipeline.settings.publishing import PublishingSettings
from cachewarm_pipeline.settings.selection_limits import Limits
from cachewarm_pipeline.settings.source import SourceSettings
from cachewarm_pipeline.settings.variants import VariantSettings

SAMPLE = "sample"
"""The source URL that asks for the synthetic sample by name."""


class Settings(
    AutomationSettings,
    MeasurementSettings,
    EmbeddingSettings,
    PublishingSettings,
    ProofSettings,
    PlanningSettings,
    AnswerSettings,
    VariantSettings,
    CandidateSettings,
    SourceSettings,
    PlaceSettings,
    BaseSettings,
):
    """Settings of one run. ``Settings()`` reads the environment; keyword arguments win over it."""

    model_config = SettingsConfigDict(
        env_prefix="CACHEWARM_",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        allow_inf_nan=False,  # of all fields: no report, no TTL and no wait can be made of an infinite number
    )

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
