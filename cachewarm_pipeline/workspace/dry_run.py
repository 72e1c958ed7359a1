"""The ports of a dry run: they read what is stored, and write everything new to a scratch folder.

A dry run sends no request to a paid server or to Redis. It notes what it would have asked a paid server, and reports it
as a planned cost.
"""

from collections.abc import Callable, Iterable
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachewarm_client.embedders.embedder import Embedder
from cachewarm_client.embedders.openai import most_tokens
from cachewarm_client.text import embedding_key
from cachewarm_client.wrong_hit_reports import WrongHitReport

from cachewarm_pipeline.answers.judges.judge_question import JudgeModel
from cachewarm_pipeline.answers.judges.open_judge import open_local_judge
from cachewarm_pipeline.answers.judges.response_vectors import response_vectors
from cachewarm_pipeline.candidates.variant_writers.openai_batches import SHARE
from cachewarm_pipeline.candidates.variant_writers.writer_question import WriterModel
from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.models.chat_model import ASKS
from cachewarm_pipeline.models.embedders import open_embedder
from cachewarm_pipeline.models.usage_ledger import FOLDER, Ledger
from cachewarm_pipeline.models.usage_prices import EMBEDDING, GENERATION, JUDGING, Price
from cachewarm_pipeline.planning.planned_cost import (
    PaidStep,
    planned_cost,
    tokens_to_embed,
    tokens_to_judge,
    tokens_to_write,
)
from cachewarm_pipeline.ports import Judge, Llm
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.storage.datasets import DatasetStore
from cachewarm_pipeline.storage.vector_store import VectorStore
from cachewarm_pipeline.storage.vectors import ParquetVectorStore
from cachewarm_pipeline.workspace.dry_run_ports import (
    DryEmbedder,
    DryJudge,
    DryVectors,
    DryVerdicts,
    DryWriter,
    OverlayDatasets,
    with_dimensions,
)
from cachewarm_pipeline.workspace.workspace import Workspace

if TYPE_CHECKING:
    from cachewarm_pipeline.settings import Settings

STAND_IN = "all-MiniLM-L6-v2"
"""The local model that plans when vectors of the paid embedder are missing."""

Progress = Callable[[str], object]


class DryWorkspace(Workspace):
    """Plans with a paid embedder's stored vectors. The first text without one raises MissingVectorsError; then a second
    dry workspace (``after``) plans with the local model as a stand-in."""

    dry = True

    def __init__(self, settings: "Settings", scratch: Path, *, after: "DryWorkspace | None" = None) -> None:
        """``scratch``: a folder of this run. The sample is created there too, unless the home has all of it.

        ``after``: the workspace whose vectors were missing. Its source and mined counts are used again, and the local
        model plans instead of the paid one.
        """
        super().__init__(settings)
        self._scratch, self._after = scratch, after
        self.stand_in = after is not None
        """Whether the local model plans instead of the paid one."""
        self.needs_stand_in = False
        """Whether a stored vector was missing, so that the local model has to plan."""
        self._unjudged_pairs: dict[str, list[tuple[int, int]]] = {}
        self._unwritten_bases: dict[str, tuple[str, int | None, tuple[int, int]]] = {}

    @cached_property
    def datasets(self) -> DatasetStore:
        stored = self._after.datasets if self._after else DatasetStore(self.settings.datasets)
        return OverlayDatasets(stored, DatasetStore(str(self._scratch / "data")))

    def _sample_folder(self) -> Path:
        if self._after:
            return self._after._sample_folder()
        from cachewarm_pipeline.embedded.sample import sample_ready

        own = super()._sample_folder()
        return own if sample_ready(own, **self._sample_options()) else self._scratch / "sample"

    def wrong_hit_reports(self) -> list[WrongHitReport]:
        return []

    @cached_property
    def _settings_embedder(self) -> Embedder:
        """The embedder of the settings."""
        return open_embedder(self.settings)

    @cached_property
    def _stored_vectors(self) -> ParquetVectorStore:
        return ParquetVectorStore(self.folder("vectors"), self._settings_embedder.info.id)

    @cached_property
    def embedder(self) -> Embedder:
        if self.settings.embedder == "minilm":
            return DryEmbedder(self._settings_embedder.info, self._settings_embedder)
        info = self._settings_embedder.info
        if not self.stand_in:
            return DryEmbedder(with_dimensions(info, self._stored_vectors.dimensions), None, self._require_stand_in)
        from cachewarm_client.embedders.minilm import DIMENSIONS, MiniLMEmbedder

        # Under the paid model's id, so that what the plan records about the embedder stays true.
        return DryEmbedder(with_dimensions(info, DIMENSIONS), MiniLMEmbedder())

    def has_no_vectors(self) -> bool:
        """Whether the paid embedder was never used here. Sets ``needs_stand_in`` to the same value."""
        self.needs_stand_in = self.settings.embedder != "minilm" and self._stored_vectors.dimensions is None
        return self.needs_stand_in

    def _require_stand_in(self) -> None:
        self.needs_stand_in = True

    @cached_property
    def vectors(self) -> VectorStore:
        made = ParquetVectorStore(str(self._scratch / "vectors"), self.embedder.info.id)
        return made if self.stand_in else DryVectors(self._stored_vectors, made)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(str(self._scratch / FOLDER), self.now, self.settings.prices_as_of)

    def judge(self, progress: Progress) -> Judge:
        settings = self.settings
        if settings.judge != "llm":
            return super().judge(progress)
        model = JudgeModel(settings.judge_model, api_key=settings.api_key, base_url=settings.openai_base_url)
        verdicts = DryVerdicts(self.folder("verdicts"), model.id)
        local = open_local_judge(self, progress)
        vectors_of = response_vectors(self.embedder, self.vectors, progress, local.usage)
        judge = DryJudge(local, vectors_of, progress, model=model, verdicts=verdicts, spend=self.judge_budget)
        judge.unjudged_pairs = self._unjudged_pairs
        return judge

    def llm(self, progress: Progress, *, batch: bool | None = None) -> Llm | None:
        settings = self.settings
        if settings.llm != "openai":
            return super().llm(progress, batch=batch)
        writer = DryWriter(
            WriterModel(settings.llm_model, api_key=settings.api_key, base_url=settings.openai_base_url),
            self.folder("written"),
            self.llm_budget,
            progress,
            n=settings.variants_per_base,
            temperature=settings.llm_temperature,
        )
        writer.unwritten_bases = self._unwritten_bases
        return writer

    @cached_property
    def redis_url(self) -> str:
        raise CacheError("a dry run does not connect to Redis")

    @cached_property
    def cache(self) -> CacheStore:
        raise CacheError("a dry run does not connect to Redis")

    def match_rules(self, day: date) -> list[dict[str, Any]]:
        """The day's match rules, in the form of the report."""
        from cachewarm_pipeline.match_rules.rule_tables import rules_of

        return rules_of(self.datasets.read("match_rules", day)).describe()

    def planned_cost(self) -> dict[str, Any]:
        """What a real run would pay for the work that this one met; see planning.planned_cost."""
        settings = self.settings
        embedder = self.embedder
        assert isinstance(embedder, DryEmbedder)
        texts = self._without_vector(embedder.texts) if settings.embedder != "minilm" else list(embedder.texts)
        unwritten = list(self._unwritten_bases.values())
        share = SHARE if settings.llm_batch else 1.0
        written = tokens_to_write(unwritten, 1 if settings.llm_batch else ASKS)
        # Texts that are not written yet (variants and answers) will be embedded too. They are as long as the model may
        # write, at most.
        most = most_tokens(texts) + int(written.most_completion)
        own = self._settings_embedder.info
        return planned_cost(
            {
                EMBEDDING: PaidStep(
                    len(texts), tokens_to_embed(texts, most), Price(EMBEDDING, own.model, own.usd_per_million_tokens)
                ),
                GENERATION: PaidStep(
                    len(unwritten),
                    written,
                    Price(
                        GENERATION,
                        settings.llm_model,
                        settings.llm_usd_per_million_prompt_tokens,
                        settings.llm_usd_per_million_completion_tokens,
                    ),
                    share,
                    settings.llm_max_usd,
                ),
                JUDGING: PaidStep(
                    len(self._unjudged_pairs),
                    tokens_to_judge([most for asks in self._unjudged_pairs.values() for most in asks], ASKS),
                    Price(
                        JUDGING,
                        settings.judge_model,
                        settings.judge_usd_per_million_prompt_tokens,
                        settings.judge_usd_per_million_completion_tokens,
                    ),
                    cap=settings.judge_max_usd,
                ),
            },
            prices_as_of=settings.prices_as_of.isoformat(),
            planned_with=STAND_IN if self.stand_in else own.model,
            stand_in=self.stand_in,
            local=settings.embedder == "minilm",
            max_usd=settings.max_usd,
        )

    def _without_vector(self, texts: Iterable[str]) -> list[str]:
        key_of = {embedding_key(self._settings_embedder.info.id, text): text for text in texts}
        missing = self._stored_vectors.missing(key_of)
        return [text for key, text in key_of.items() if key in missing]
