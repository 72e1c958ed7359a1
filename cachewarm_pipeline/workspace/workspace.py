"""What one run has open: every port, built from the settings on first use."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachewarm_client.embedders.embedder import Embedder
from cachewarm_client.urls import redact_url
from cachewarm_client.wrong_hit_reports import WrongHitReport

from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.models.usage_prices import EMBEDDING, GENERATION, JUDGING, Price, totals
from cachewarm_pipeline.ports import Judge, Llm, Source
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.query_log.service import PARTIAL
from cachewarm_pipeline.settings import SAMPLE, Settings, load_settings
from cachewarm_pipeline.storage.datasets import DatasetStore
from cachewarm_pipeline.storage.files import below
from cachewarm_pipeline.storage.vector_store import VectorStore

if TYPE_CHECKING:
    from cachewarm_pipeline.models.budgets import Meter, ModelBudget, RunBudget
    from cachewarm_pipeline.models.usage_ledger import Ledger


SETTLED = timedelta(minutes=15)
"""After its end a day's log is taken for complete: applications write in batches."""


class Workspace:
    """Opens each port once and keeps it for the run. ``settings`` defaults to the environment's; ``now`` gives the
    present in UTC, tests pass their own."""

    dry = False
    """Whether nothing may be asked of Redis and nothing be paid (workspace/dry_run)."""

    def __init__(
        self, settings: Settings | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.settings = settings or load_settings()
        self.now = now

    @cached_property
    def today(self) -> date:
        """The present UTC day; it stays that for the run, should midnight come."""
        return self.now().date()

    @cached_property
    def source_url(self) -> str:
        """The source, after the sample was made ready where no source is set."""
        url = self.settings.source_url.get_secret_value() if self.settings.source_url else None
        if url and url != SAMPLE:
            return url
        if url is None and self.settings.redis_url is not None:
            raise ConfigurationError(
                "CACHEWARM_REDIS_URL is set and no source is: the synthetic sample would be published to it; set "
                f"CACHEWARM_SOURCE_URL (or --source), to '{SAMPLE}' if the sample is what you want there"
            )
        from cachewarm_pipeline.embedded.sample import ensure_sample

        return str(ensure_sample(self._sample_folder(), **self._sample()))

    def _sample_folder(self) -> Path:
        return self.settings.home / "sample"

    def _sample(self) -> dict[str, Any]:
        """Which sample, as ``ensure_sample`` is told."""
        settings = self.settings
        return {
            "seed": settings.sample_seed,
            "last_day": self.today - timedelta(days=1),
            "rows_per_day": settings.sample_rows_per_day,
        }

    @cached_property
    def source(self) -> Source:
        from cachewarm_pipeline.query_log.sources import open_source

        return open_source(
            self.source_url,
            tables=self.settings.tables,
            columns=self.settings.columns,
            max_response_bytes=self.settings.max_response_bytes,
            log_format=self.settings.log_format,
        )

    def counts_fingerprint(self, day: date) -> str:
        """What counts of the day are stored under: counts with another one are mined again.

        Those of a day that is not over, or not for SETTLED, are partial: late rows are still to come.
        """
        return self.source.fingerprint(day) if self.settled(day) else PARTIAL

    def settled(self, day: date) -> bool:
        """Whether the UTC day is over, and the last rows of its log had time to be written."""
        return self.now() >= end_of(day) + SETTLED

    @cached_property
    def datasets(self) -> DatasetStore:
        return DatasetStore(self.settings.datasets)

    @cached_property
    def embedder(self) -> Embedder:
        from cachewarm_pipeline.models.embedders import open_embedder

        settings = self.settings
        if settings.embedder == "minilm":
            return open_embedder(settings)
        meter = self.meter(EMBEDDING, settings.embedding_model, settings.embedding_usd_per_million_tokens)
        return open_embedder(settings, meter, self.run_budget)

    @cached_property
    def vectors(self) -> VectorStore:
        from cachewarm_pipeline.storage.vectors import ParquetVectorStore

        return ParquetVectorStore(self.folder("vectors"), self.embedder.info.id)

    @property
    def usage_folder(self) -> str:
        """URI of the folder of the usage ledger."""
        from cachewarm_pipeline.models.usage_ledger import FOLDER

        return self.folder(FOLDER)

    def folder(self, name: str) -> str:
        """URI of a folder beside the datasets."""
        return below(self.settings.datasets, name)

    @cached_property
    def ledger(self) -> "Ledger":
        """What this run's models used, as they reported it; where they did not, the most that it can be."""
        from cachewarm_pipeline.models.usage_ledger import Ledger

        return Ledger(self.usage_folder, self.now, self.settings.prices_as_of)

    def meter(self, purpose: str, model: str, prompt_price: float, completion_price: float = 0.0) -> "Meter":
        """What notes the usage of a model in the ledger; prices in USD per million tokens."""
        from cachewarm_pipeline.models.budgets import Meter

        return Meter(self.ledger, Price(purpose, model, prompt_price, completion_price))

    @cached_property
    def run_budget(self) -> "RunBudget":
        """What this run may spend on all models together."""
        from cachewarm_pipeline.models.budgets import RunBudget

        return RunBudget(self.settings.max_usd)

    def begin(self, run_id: str, asset: str, day: date) -> None:
        """What models are paid for from here on. Where another process of the run has spent already, or set money aside
        for a batch, that counts against the caps: steps of one pool follow each other, and write it down before they
        end. What a batch brings does not count: it was set aside in the run that submitted it.

        Raises ConfigurationError for prices of a day to come.
        """
        self.check_prices()
        settings = self.settings
        paid = settings.embedder == "openai" or settings.judge == "llm" or settings.llm == "openai"
        if paid and run_id != self.ledger.run_id:
            from cachewarm_pipeline.candidates.variant_writers.open_writer import batch_reservations
            from cachewarm_pipeline.models.budgets import ModelCost
            from cachewarm_pipeline.models.usage_ledger import read_run

            spent = totals(row for row in read_run(self.usage_folder, run_id).to_pylist() if row["share"] == 1)
            batches = batch_reservations(self, run_id)
            usd, tokens = sum(cost.usd for cost in batches), sum(cost.tokens for cost in batches)
            judged, wrote = spent[JUDGING], spent[GENERATION]
            self.run_budget.start(sum(total.usd for total in spent.values()) + usd)
            self.judge_budget.start(ModelCost(judged.usd, judged.tokens))
            self.llm_budget.start(ModelCost(wrote.usd + usd, wrote.tokens + tokens))
        self.ledger.begin(run_id, asset, day)

    def check_prices(self) -> None:
        """Raises ConfigurationError where CACHEWARM_PRICES_AS_OF is set to a day to come, wherever one is on earth."""
        settings = self.settings
        if "prices_as_of" in settings.model_fields_set and settings.prices_as_of > self.today + timedelta(days=1):
            raise ConfigurationError(
                f"CACHEWARM_PRICES_AS_OF={settings.prices_as_of} is after today, {self.today} (UTC): set the day on "
                "which you looked the prices up"
            )

    def judge(self, progress: Callable[[str], object]) -> Judge:
        """What holds two responses equivalent; each call gives a judge with a usage of its own."""
        from cachewarm_pipeline.answers.judges import open_judge

        return open_judge(self, progress)

    @cached_property
    def judge_budget(self) -> "ModelBudget":
        """What this run's judges may pay a model together."""
        from cachewarm_pipeline.models.budgets import ModelBudget

        settings = self.settings
        return ModelBudget(
            settings.judge_max_usd,
            settings.judge_usd_per_million_prompt_tokens,
            settings.judge_usd_per_million_completion_tokens,
            run_budget=self.run_budget,
        )

    def llm(self, progress: Callable[[str], object], *, batch: bool | None = None) -> Llm | None:
        """What writes variants of base queries, None for none; each call gives one with a usage of its own.

        ``batch`` wins over the settings': what is needed in this very run is not submitted for a later one.
        """
        from cachewarm_pipeline.candidates.variant_writers.open_writer import open_writer

        return open_writer(self, progress, batch=batch)

    @cached_property
    def llm_budget(self) -> "ModelBudget":
        """What this run may pay the model that writes, for variants and answers together."""
        from cachewarm_pipeline.models.budgets import ModelBudget

        settings = self.settings
        return ModelBudget(
            settings.llm_max_usd,
            settings.llm_usd_per_million_prompt_tokens,
            settings.llm_usd_per_million_completion_tokens,
            settings.llm_max_tokens,
            self.run_budget,
        )

    @cached_property
    def redis_url(self) -> str:
        """The cache's server, after the embedded one was started where none is set."""
        if self.settings.redis_url is not None:
            return self.settings.redis_url.get_secret_value()
        from cachewarm_pipeline.embedded.redis_server import ensure_redis

        return ensure_redis(self.settings.home)

    @cached_property
    def cache(self) -> CacheStore:
        from cachewarm_pipeline.publishing.redis.connect import connect

        return CacheStore(connect(self.redis_url), self.settings.name)

    def wrong_hit_reports(self) -> list[WrongHitReport]:
        """What applications reported as wrong; none in a dry run, which asks no Redis."""
        return self.cache.wrong_hit_reports()

    def where(self) -> dict[str, str]:
        """Where this run reads and writes, without secrets."""
        return {
            "source": "sample (synthetic)" if self.settings.is_sample else redact_url(self.source_url),
            "redis": redact_url(self.redis_url),
            "datasets": redact_url(self.settings.datasets),
            "name": self.settings.name,
        }
