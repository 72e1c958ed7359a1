"""What a dry run has open: everything that is stored is read, and whatever is made goes into a scratch folder.

No paid server and no Redis is asked. What would be asked of a paid one is noted instead, and given as a planned cost.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.core.base_queries import Base
from cachewarm_pipeline.core.errors import CacheError, EmbeddingError
from cachewarm_pipeline.core.judging import RESPONSE_FLOOR
from cachewarm_pipeline.core.planned_cost import Step, of_bases, of_pairs, of_texts, planned_cost
from cachewarm_pipeline.core.text import embedding_key
from cachewarm_pipeline.core.usage import EMBEDDING, GENERATION, JUDGING, Price
from cachewarm_pipeline.resources.cache_store import CacheStore
from cachewarm_pipeline.resources.datasets import DatasetStore
from cachewarm_pipeline.resources.embedders import open_embedder
from cachewarm_pipeline.resources.embedders.openai import most_tokens
from cachewarm_pipeline.resources.judges.chat import ASKS as JUDGE_ASKS
from cachewarm_pipeline.resources.judges.chat import ChatModel
from cachewarm_pipeline.resources.judges.llm import LlmJudge
from cachewarm_pipeline.resources.judges.verdicts import VerdictStore
from cachewarm_pipeline.resources.ports import Embedder, EmbedderInfo, Judge, Llm, Usage, VectorStore
from cachewarm_pipeline.resources.usage import FOLDER, Ledger
from cachewarm_pipeline.resources.vectors import ParquetVectorStore
from cachewarm_pipeline.resources.workspace import Workspace
from cachewarm_pipeline.resources.writers.batch import SHARE, Batches
from cachewarm_pipeline.resources.writers.memo import Memo
from cachewarm_pipeline.resources.writers.model import Model
from cachewarm_pipeline.resources.writers.openai import Desk, OpenAIWriter
from cachewarm_pipeline.resources.writers.questions import ASKS, Question

if TYPE_CHECKING:
    import pyarrow as pa

    from cachewarm_pipeline.settings import Settings

STAND_IN = "all-MiniLM-L6-v2"
"""The local model that plans where a paid one's vectors are not all there."""

Progress = Callable[[str], object]


class VectorsLackError(EmbeddingError):
    """A text has no stored vector, and a paid server is not asked for one."""


class DryWorkspace(Workspace):
    """``scratch``: a folder of this run. With ``stand_in`` the local model embeds in place of the paid one; without it
    a paid one's stored vectors are taken, and the first text without one raises VectorsLackError."""

    def __init__(
        self, settings: "Settings", scratch: Path, *, stand_in: bool = False, counts: DatasetStore | None = None
    ) -> None:
        """``counts``: where the log is mined already, beside the stored datasets."""
        super().__init__(settings)
        self._scratch, self._mined = scratch, counts
        self.stand_in = stand_in
        self.lacking = False
        """Whether a stored vector was looked for in vain."""
        self._pairs: dict[str, tuple[int, int]] = {}
        self._bases: dict[str, tuple[str, int | None, tuple[int, int]]] = {}

    @cached_property
    def datasets(self) -> DatasetStore:
        return _Overlay(self._mined or DatasetStore(self.settings.datasets), DatasetStore(str(self._scratch / "data")))

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
            return _Embedder(self._own.info, self._own)
        info = self._own.info
        if not self.stand_in:
            return _Embedder(_sized(info, self._stored.dimensions), None, self._lacks)
        from cachewarm_pipeline.resources.embedders.minilm import DIMENSIONS, MiniLMEmbedder

        # Under the paid model's id: what the plan knows of its entries' embedder stays true.
        return _Embedder(_sized(info, DIMENSIONS), MiniLMEmbedder())

    def has_no_vectors(self) -> bool:
        """Whether a paid embedder was never used here: then it is ``lacking`` before anything is tried."""
        self.lacking = self.settings.embedder != "minilm" and self._stored.dimensions is None
        return self.lacking

    def _lacks(self) -> None:
        self.lacking = True

    @cached_property
    def vectors(self) -> VectorStore:
        made = ParquetVectorStore(str(self._scratch / "vectors"), self.embedder.info.id)
        return made if self.stand_in else _Vectors(self._stored, made)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(str(self._scratch / FOLDER), self.now, self.settings.prices_as_of)

    def judge(self, progress: Progress) -> Judge:
        settings = self.settings
        if settings.judge != "llm":
            return super().judge(progress)
        model = ChatModel(settings.judge_model, api_key=settings.api_key, base_url=settings.openai_base_url)
        verdicts = _Verdicts(self.folder("verdicts"), model.id)
        judge = _Judge(self.embedder, self.vectors, progress, model=model, verdicts=verdicts, spend=self.judge_spend)
        judge.open_pairs = self._pairs
        return judge

    def llm(self, progress: Progress, *, batch: bool | None = None) -> Llm | None:
        settings = self.settings
        if settings.llm != "openai":
            return super().llm(progress, batch=batch)
        writer = _Writer(
            Model(settings.llm_model, api_key=settings.api_key, base_url=settings.openai_base_url),
            self.folder("written"),
            self.llm_spend,
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
        from cachewarm_pipeline.core.rules.tables import rules_of

        return rules_of(self.datasets.read("match_rules", day)).describe()

    def planned_cost(self) -> dict[str, Any]:
        """What a run would pay by what this one has met; see core.planned_cost."""
        settings = self.settings
        embedder = self.embedder
        assert isinstance(embedder, _Embedder)
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
                    of_pairs(list(self._pairs.values()), JUDGE_ASKS),
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


class _Overlay(DatasetStore):
    """Reads a base where there is nothing of its own; writes nothing into it."""

    def __init__(self, base: DatasetStore, own: DatasetStore) -> None:
        self._base, self._own = base, own

    def write(self, asset: str, day: date, table: "pa.Table", *, fingerprint: str = "") -> bool:
        return self._own.write(asset, day, table, fingerprint=fingerprint)

    def _of(self, asset: str, day: date) -> DatasetStore:
        return self._own if self._own.exists(asset, day) else self._base

    def read(self, asset: str, day: date, columns: Sequence[str] | None = None) -> "pa.Table":
        return self._of(asset, day).read(asset, day, columns)

    def exists(self, asset: str, day: date) -> bool:
        return self._of(asset, day).exists(asset, day)

    def fingerprint(self, asset: str, day: date) -> str | None:
        return self._of(asset, day).fingerprint(asset, day)

    def days(self, asset: str) -> list[date]:
        return sorted({*self._own.days(asset), *self._base.days(asset)})


class _Vectors:
    """The ``VectorStore`` port: stored vectors, and those of this run in a store of its own."""

    def __init__(self, stored: VectorStore, made: VectorStore) -> None:
        self._stored, self._made = stored, made

    def missing(self, keys: Iterable[str]) -> set[str]:
        return self._made.missing(self._stored.missing(keys))

    def put(self, keys: Sequence[str], vectors: np.ndarray) -> None:
        self._made.put(keys, vectors)

    def get(self, keys: Sequence[str]) -> np.ndarray:
        made = self._stored.missing(keys)
        if not made:
            return self._stored.get(keys)
        places = np.array([key in made for key in keys])
        of_made = self._made.get([key for key in keys if key in made])
        result = np.empty((len(keys), of_made.shape[1]), np.float32)
        result[places] = of_made
        if not places.all():
            result[~places] = self._stored.get([key for key in keys if key not in made])
        return result


class _Embedder:
    """The ``Embedder`` port that keeps the texts that it was asked for. ``by``: None asks nobody."""

    def __init__(self, info: EmbedderInfo, by: Embedder | None, lacks: Callable[[], None] = lambda: None) -> None:
        self.info, self._by, self._lacks = info, by, lacks
        self.usage = Usage()
        self.texts: dict[str, None] = {}

    def embed(
        self, texts: Sequence[str], on_batch: Callable[[Sequence[int], np.ndarray], None] | None = None
    ) -> np.ndarray:
        if self._by is None:
            self._lacks()
            raise VectorsLackError(f"{len(texts):,} texts have no stored vector of {self.info.model}")
        self.texts.update(dict.fromkeys(texts))
        return self._by.embed(texts, on_batch)


class _Verdicts(VerdictStore):
    def _merge(self) -> None:
        """Not by a reader."""


class _Memo(Memo):
    def _merge(self) -> None:
        """Not by a reader."""


class _Judge(LlmJudge):
    """Stored verdicts; where there is none, what the `embedding` judge says."""

    open_pairs: dict[str, tuple[int, int]]
    """Upper bound of the tokens of each pair without a verdict, by its key."""

    def _decide(self, pairs: Sequence[tuple[str, str]], cosine: NDArray[np.float64]) -> NDArray[np.bool_]:
        result = cosine >= RESPONSE_FLOOR
        for k, pair in enumerate(pairs):
            key = self._verdicts.key(*pair)
            verdict = self._verdicts.get(key)
            if verdict is None:
                self.open_pairs.setdefault(key, self._model.most_tokens(*pair))
            else:
                result[k] = verdict
        return result


class _Writer(OpenAIWriter):
    """What is written already, and what is not is noted."""

    open_bases: dict[str, tuple[str, int | None, tuple[int, int]]]
    """Text, variants wanted and upper bound of the tokens of one try, of each base that nothing is written for."""

    def _desk(self, what: str, question: Question) -> Desk:
        memo = _Memo(self._written, f"{self._model.name}@{question.version}")
        batches = Batches(self._model, question, memo, self._spend, self.usage, self._progress)
        return Desk(what, question, memo, batches)

    def _write(self, desk: Desk, bases: Sequence[Base], ask: bool) -> list[list[str] | None]:
        texts = super()._write(desk, bases, False)
        for base, found in zip(bases, texts, strict=True):
            key = desk.question.key(self.model, base)
            if ask and key not in self._counted:
                self._counted.add(key)
                self.usage.known += found is not None
                self.usage.pending += found is None
                if found is None:
                    self.open_bases[key] = (base.prompt, desk.question.n, desk.question.most_tokens(base))
        return texts


def _sized(info: EmbedderInfo, dimensions: int | None) -> EmbedderInfo:
    return EmbedderInfo(info.id, info.kind, info.model, dimensions, info.usd_per_million_tokens)
