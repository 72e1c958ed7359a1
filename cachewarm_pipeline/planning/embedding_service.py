"""The vectors of a day: embeds every prompt that the plan and the match rules need and that has no vector yet."""

from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from cachewarm_client.text import embedding_key

from cachewarm_pipeline.models.embed_new_texts import EmbedReport, embed_new_texts
from cachewarm_pipeline.ports import Ports, Progress
from cachewarm_pipeline.storage.schemas import EMBEDDINGS

PROMPT_DATASETS = ("golden_candidates", "frequent_queries", "synthetic_variants", "labelled_queries")
"""Datasets whose prompts are embedded."""


@dataclass(frozen=True)
class EmbeddedDay:
    """The prompts of a day that have vectors."""

    table: pa.Table
    """EMBEDDINGS, one row per distinct prompt."""
    result: EmbedReport
    """What embedding the new ones took."""


def embed_day(ports: Ports, day: date, progress: Progress) -> EmbeddedDay:
    """Embeds the prompts of the day's candidates and labelled queries; a prompt that has a vector is not embedded
    again."""
    tables = [ports.datasets.read(name, day, columns=["prompt"]) for name in PROMPT_DATASETS]
    texts = sorted({prompt for table in tables for prompt in table["prompt"].to_pylist()})
    result = embed_new_texts(ports.embedder, ports.vectors, texts, progress)
    model = ports.embedder.info.id
    table = pa.table(
        [
            [embedding_key(model, text) for text in texts],
            [model] * len(texts),
            texts,
            pa.array([result.dimensions] * len(texts), pa.int32()),
        ],
        schema=EMBEDDINGS,
    )
    return EmbeddedDay(table, result)
