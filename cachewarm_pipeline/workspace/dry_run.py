"""What a dry run has open: everything that is stored is read, and whatever is made goes into a scratch folder.

No paid server and no Redis is asked. What would be asked of a paid one is noted instead, and given as a planned cost.
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
from cachewarm_pipeline.candidates.variant_writers.openai_batches import SHARE
from cachewarm_pipeline.candidates.variant_writers.writer_question import WriterModel
from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.models.chat_model import ASKS
from cachewarm_pipeline.models.embedders import open_embedder
from cachewarm_pipeline.models.usage_ledger import FOLDER, Ledger
from cachewarm_pipeline.models.usage_prices import EMBEDDING, GENERATION, JUDGING, Price
from cachewarm_pipeline.planning.planned_cost import Step, of_bases, of_pairs, of_texts, planned_cost
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
    Overlay,
    sized,
)
from cachewarm_pipeline.workspace.workspace import Workspace

if TYPE_CHECKING:
    from cachewarm_pipeline.settings import Settings

STAND_IN = "all-MiniLM-L6-v2"
"""The local model that plans where a paid one's vectors are not all there."""

Progress = Callable[[str], object]


class DryWorkspace(Workspace):
    """``scratch``: a folder of this run; the sample is made there too where the home has not all of it. A paid
    embedder's stored vectors are taken, and the first text without one raises VectorsLackError; unless the local model
    is the ``stand_in``."""

    dry = True

    def __init__(self, settings: "Settings", scratch: Path, *, after: "DryWorkspace | None" = None) -> None:
        """``after``: the workspace that lacked vectors; its source and what it mined are taken, and the local model
        stands in."""
        super().__init__(settings)
        self._scratch, self._after = scratch, after
        self.stand_in = after is not None
        self.lacking = False
        """Whether a stored vector was looked for in vain."""
        self._pairs: dict[str, tuple[int, int]] = {}
        self._bases: dict[str, tuple[str, int | None, tuple[int, int]]] = {}

    @cached_property
    def datasets(self) -> DatasetStore:
        stored = self._after.datasets if self._after else DatasetStore(self.settings.datasets)
        return Overlay(stored, DatasetStore(str(self._scratch / "data")))

    def _sample_folder(self) -> Path:
        if self._after:
            return self._after._sample_folder()
        from cachewarm_pipeline.embedded.sample import sample_ready

        own = super()._sample_folder()
        return own if sample_ready(own, **self._sample()) else self._scratch / "sample"

    def wrong_hit_reports(self) -> list[WrongHitReport]:
        return []

    @cached_property
    def _own(self) -> Embedder:
        """The embedder of the settings."""
        return open_embedder(self.settings)

    @cached_property
    def _stored(self) -> ParquetVectorStore:
        return ParquetVectorStore(self.folder("vectors"), self._own.info.id)

    @cached_property
    def embedder(self) -> Embedder:
        if self.settings.embedder == "minilm":
            return DryEmbedder(self._own.info, self._own)
        info = self._own.info
        if not self.stand_in:
            return DryEmbedder(sized(info, self._stored.dimensions), None, self._lacks)
        from cachewarm_client.embedders.minilm import DIMENSIONS, MiniLMEmbedder

        # Under the paid model's id: what the plan knows of its entries' embedder stays true.
        return DryEmbedder(sized(info, DIMENSIONS), MiniLMEmbedder())

    def has_no_vectors(self) -> bool:
        """Whether a paid embedder was never used here: then it is ``lacking`` before anything is tried."""
        self.lacking = self.settings.embedder != "minilm" and self._stored.dimensions is None
        return self.lacking

    def _lacks(self) -> None:
        self.lacking = True

    @cached_property
    def vectors(self) -> VectorStore:
        made = ParquetVectorStore(str(self._scratch / "vectors"), self.embedder.info.id)
        return made if self.stand_in else DryVectors(self._stored, made)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(str(self._scratch / FOLDER), self.now, self.settings.prices_as_of)

    def judge(self, progress: Progress) -> Judge:
        settings = self.settings
        if settings.judge != "llm":
            return super().judge(progress)
        model = JudgeModel(settings.judge_model, api_key=settings.api_key, base_url=settings.openai_base_url)
        verdicts = DryVerdicts(self.folder("verdicts"), model.id)
        judge = DryJudge(self.embedder, self.vectors, progress, model=model, verdicts=verdicts, spend=self.judge_budget)
        judge.open_pairs = self._pairs
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
        writer.open_bases = self._bases
        return writer

    @cached_property
    def redis_url(self) -> str:
        raise CacheError("a dry run asks no Redis")

    @cached_property
    def cache(self) -> CacheStore:
        raise CacheError("a dry run asks no Redis")

    def match_rules(self, day: date) -> list[dict[str, Any]]:
        """The day's match rules, as the report has them."""
        from cachewarm_pipeline.match_rules.rule_tables import rules_of

        return rules_of(self.datasets.read("match_rules", day)).describe()

    def planned_cost(self) -> dict[str, Any]:
        """What a run would pay by what this one has met; see planning.planned_cost."""
        settings = self.settings
        embedder = self.embedder
        assert isinstance(embedder, DryEmbedder)
        texts = self._not_stored(embedder.texts) if settings.embedder != "minilm" else list(embedder.texts)
        unwritten = list(self._bases.values())
        share = SHARE if settings.llm_batch else 1.0
        written = of_bases(unwritten, 1 if settings.llm_batch else ASKS)
        # What is not written yet is embedded too: variants and answers, at most as long as a model may write them.
        most = most_tokens(texts) + int(written.most_completion)
        own = self._own.info
        return planned_cost(
            {
                EMBEDDING: Step(
                    len(texts), of_texts(texts, most), Price(EMBEDDING, own.model, own.usd_per_million_tokens)
                ),
                GENERATION: Step(
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
                JUDGING: Step(
                    len(self._pairs),
                    of_pairs(list(self._pairs.values()), ASKS),
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

    def _not_stored(self, texts: Iterable[str]) -> list[str]:
        key_of = {embedding_key(self._own.info.id, text): text for text in texts}
        missing = self._stored.missing(key_of)
        return [text for key, text in key_of.items() if key in missing]
