"""The store of what a model wrote, so that nothing is paid for twice: one folder for each model and question
version."""

from typing import Any

from cachewarm_pipeline.candidates.variant_writers.writer_question import WriterQuestion
from cachewarm_pipeline.storage.files import below
from cachewarm_pipeline.storage.parquet_segments import Segments
from cachewarm_pipeline.storage.vectors import folder_name


class WrittenTexts(Segments[list[str]]):
    """Texts by ``WriterQuestion.key``. Takes about a kilobyte of memory for each base. Stores no server address, no API
    key and no request."""

    what = "written text"
    lost = "its bases are written again"
    column = "texts"

    def __init__(self, uri: str, id: str) -> None:
        """``id``: ``model@version`` of the question."""
        super().__init__(below(uri, folder_name(id)), id)
        self.uri = below(uri, folder_name(id))

    def combine(self, one: list[str], other: list[str]) -> list[str]:
        """The smaller list: any rule works that is the same in all processes."""
        return min(one, other)

    def type(self) -> Any:
        import pyarrow as pa

        return pa.list_(pa.string())


def written_texts_of(uri: str, model: str, question: WriterQuestion) -> WrittenTexts:
    """The store of what a model wrote for one kind of question. ``uri``: the folder of all that is written."""
    return WrittenTexts(uri, f"{model}@{question.version}")
