"""All settings of the pipeline: environment variables come in, one typed ``Settings`` object goes out.

Each class holds the settings of one stage, each with the reason for its default: ``places``, ``source``,
``candidates``, ``variants``, ``judge``, ``planning``, ``proof``, ``publishing``, ``embedding``,
``measurement``, ``automation``. ``selection_limits`` and ``off_peak_window`` are values that settings parse to;
``share`` is a number from 0 to 1. docs/settings.md is made from these classes.

Settings are read from the environment (prefix ``CACHEWARM_``) when a run starts; ``lineage.partitions`` reads them when
definitions load. Secrets are ``SecretStr``: they do not show in logs, in the UI or in a traceback.
"""

import difflib
import os
import re
from typing import Self

from cachewarm_client.keys import check_name
from pydantic import ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.settings.automation import AutomationSettings
from cachewarm_pipeline.settings.candidates import CandidateSettings
from cachewarm_pipeline.settings.embedding import EmbeddingSettings
from cachewarm_pipeline.settings.judge import JudgeSettings
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
    JudgeSettings,
    VariantSettings,
    CandidateSettings,
    SourceSettings,
    PlaceSettings,
    BaseSettings,
):
    """Settings of one run. ``Settings()`` reads the environment; keyword arguments override it."""

    model_config = SettingsConfigDict(
        env_prefix="CACHEWARM_",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        allow_inf_nan=False,  # of all fields: an infinite number makes no report, no TTL and no wait
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
        """Check what only warming needs; other commands work without it.

        Raises ConfigurationError for quotas over the budget, a missing key for `openai` variants, and base queries
        without a writer.
        """
        _ = self.limits
        if self.llm == "openai" and not self.openai_api_key:
            raise ConfigurationError("CACHEWARM_LLM=openai needs OPENAI_API_KEY (any text for a server without keys)")
        if self.base_queries and self.llm in (None, "none") and not (self.llm is None and self.is_sample):
            raise ConfigurationError(
                "CACHEWARM_BASE_QUERIES is set, but no model writes variants of them: set CACHEWARM_LLM=openai too"
            )

    @property
    def api_key(self) -> str:
        """OPENAI_API_KEY; empty if it is not set."""
        return self.openai_api_key.get_secret_value() if self.openai_api_key else ""

    @property
    def is_sample(self) -> bool:
        """Whether the source is the synthetic sample: no source is set, or it is requested by name."""
        return self.source_url is None or self.source_url.get_secret_value() == SAMPLE

    @property
    def limits(self) -> Limits:
        """The limits of the selection. Raises ConfigurationError for quotas over the budget."""
        return Limits(self.budget, self.quotas, self.min_gain, self.entry_bytes)

    @property
    def datasets(self) -> str:
        """Base URI of the datasets between assets."""
        return self.dataset_url or str(self.home / "data")

    @property
    def delta(self) -> float:
        """Largest probability that a certificate is wrong."""
        return 1 - self.confidence

    @property
    def floors(self) -> dict[str, float]:
        """Lowest quality_score of an entry, by source."""
        return {"golden": self.min_quality, "query_log": self.min_entry_quality, "synthetic": self.min_entry_quality}


def load_settings() -> Settings:
    """The settings of the environment.

    Raises ConfigurationError that names each wrong variable; it never contains the value of a secret.
    """
    known = {str(field.validation_alias) for field in Settings.model_fields.values()} | {
        f"CACHEWARM_{name.upper()}" for name in Settings.model_fields
    }
    for variable in sorted(os.environ):
        if variable.upper().startswith("CACHEWARM_") and variable.upper() not in known:
            near = difflib.get_close_matches(variable.upper(), known, 1)
            raise ConfigurationError(f"{variable} is not a setting{f'; did you mean {near[0]}?' if near else ''}")
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
