"""What a model wrote, kept: nothing is paid for twice. One folder for each model and wording of the question."""

from typing import Any

from cachewarm_pipeline.candidates.variant_writers.writer_prompts import WriterQuestion
from cachewarm_pipeline.storage.files import below
from cachewarm_pipeline.storage.parquet_segments import Segments
from cachewarm_pipeline.storage.vectors import folder_name


class Memo(Segments[list[str]]):
    """Texts by ``Question.key``. About a kilobyte of memory for a base. Holds no server, no key and no request."""

    what = "memo"
    lost = "its bases are written again"
    column = "texts"

    def __init__(self, uri: str, id: str) -> None:
        """``id``: ``model@version`` of the question."""
        super().__init__(below(uri, folder_name(id)), id)
        self.uri = below(uri, folder_name(id))

    def combine(self, one: list[str], other: list[str]) -> list[str]:
        """Any rule does that all processes share."""
        return min(one, other)

    def type(self) -> Any:
        import pyarrow as pa

        return pa.list_(pa.string())


def memo_of(written: str, model: str, question: WriterQuestion) -> Memo:
    """What a model wrote for a kind of question, under the folder of all that is written."""
    return Memo(written, f"{model}@{question.version}")
