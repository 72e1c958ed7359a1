"""Ports of a dry run. Each reads what is stored, and counts what it would have asked a paid server."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from cachewarm_client.embedders.embedder import Embedder, EmbedderInfo, Usage

from cachewarm_pipeline.answers.judges.llm import LlmJudge, PairAsk
from cachewarm_pipeline.answers.judges.verdict_store import VerdictStore
from cachewarm_pipeline.candidates.variant_writers.openai_batches import Batches
from cachewarm_pipeline.candidates.variant_writers.openai_writer import OpenAIWriter, WritingTask
from cachewarm_pipeline.candidates.variant_writers.writer_question import WriterQuestion
from cachewarm_pipeline.candidates.variant_writers.written_text_store import WrittenTexts
from cachewarm_pipeline.errors import EmbeddingError
from cachewarm_pipeline.ports import BaseQuery
from cachewarm_pipeline.storage.datasets import DatasetStore
from cachewarm_pipeline.storage.vector_store import VectorStore

if TYPE_CHECKING:
    import pyarrow as pa


class MissingVectorsError(EmbeddingError):
    """A text has no stored vector, and a dry run does not pay for one."""


class OverlayDatasets(DatasetStore):
    """Datasets of a dry run over those of a base store. Reads fall back to the base; writes never reach it."""

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


class DryVectors:
    """The ``VectorStore`` port: stored vectors, and new ones in a store of the dry run."""

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


class DryEmbedder:
    """The ``Embedder`` port: embeds with ``by`` and keeps the texts in ``texts``.

    ``by`` None: no embedder may be used. Then ``embed`` calls ``on_missing`` and raises MissingVectorsError.
    """

    def __init__(self, info: EmbedderInfo, by: Embedder | None, on_missing: Callable[[], None] = lambda: None) -> None:
        self.info, self._by, self._on_missing = info, by, on_missing
        self.usage = Usage()
        self.texts: dict[str, None] = {}

    def embed(
        self, texts: Sequence[str], on_batch: Callable[[Sequence[int], np.ndarray], None] | None = None
    ) -> np.ndarray:
        if self._by is None:
            self._on_missing()
            raise MissingVectorsError(f"{len(texts):,} texts have no stored vector of {self.info.model}")
        self.texts.update(dict.fromkeys(texts))
        return self._by.embed(texts, on_batch)


class DryVerdicts(VerdictStore):
    """Stored verdicts, read only."""

    def _merge(self) -> None:
        """Does nothing: only a writer merges segments."""


class DryWrittenTexts(WrittenTexts):
    """Stored texts of a writer, read only."""

    def _merge(self) -> None:
        """Does nothing: only a writer merges segments."""


class DryJudge(LlmJudge):
    """Judges by stored verdicts; the local judge decides a pair without one."""

    unjudged_is_local = True
    unjudged_pairs: dict[str, list[tuple[int, int]]]
    """Pairs without a verdict: key to upper bounds of the tokens (prompt, completion) of each of their requests."""

    def _ask(self, asks: dict[str, PairAsk]) -> None:
        for key, ask in asks.items():
            self.unjudged_pairs.setdefault(key, [self._model.most_tokens(ask.pair)] * len(ask.orders))


class DryWriter(OpenAIWriter):
    """Returns texts that are stored, and keeps the bases without one in ``unwritten_bases``."""

    unwritten_bases: dict[str, tuple[str, int | None, tuple[int, int]]]
    """Bases without a stored text: key to prompt, variants wanted, and upper bounds of the tokens of one attempt."""

    def _task(self, what: str, question: WriterQuestion) -> WritingTask:
        texts = DryWrittenTexts(self._folder, f"{self._model.name}@{question.version}")
        batches = Batches(self._model, question, texts, self._budget, self.usage, self._progress)
        return WritingTask(what, question, texts, batches)

    def _write(self, task: WritingTask, bases: Sequence[BaseQuery], ask: bool) -> list[list[str] | None]:
        texts = super()._write(task, bases, False)
        for base, found in zip(bases, texts, strict=True):
            key = task.question.key(self.model, base)
            if ask and key not in self._counted:
                self._counted.add(key)
                self.usage.known += found is not None
                self.usage.pending += found is None
                if found is None:
                    self.unwritten_bases[key] = (base.prompt, task.question.n, task.question.most_tokens(base))
        return texts


def with_dimensions(info: EmbedderInfo, dimensions: int | None) -> EmbedderInfo:
    """The same embedder with another number of dimensions."""
    return EmbedderInfo(info.id, info.kind, info.model, dimensions, info.usd_per_million_tokens)
