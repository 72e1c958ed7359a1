"""The paid verdicts of the `llm` judge on disk, one folder for each model and wording of the instructions."""

from typing import Any

from cachewarm_client.text import canonical, sha256_hex

from cachewarm_pipeline.ports import AnswerPair
from cachewarm_pipeline.query_log.response_text import canonical_response
from cachewarm_pipeline.storage.files import below
from cachewarm_pipeline.storage.parquet_segments import Segments
from cachewarm_pipeline.storage.vectors import folder_name


class VerdictStore(Segments[bool]):
    """One model's verdicts on pairs of answers to a question: True (equivalent) or False by ``key``.

    A verdict takes about 200 bytes of memory, and a dollar buys some thousands of them. If a pair has two different
    verdicts, False counts.
    """

    what = "verdict"
    lost = "its pairs are asked again"
    column = "equivalent"

    def __init__(self, uri: str, model_id: str) -> None:
        super().__init__(below(uri, folder_name(model_id)), model_id)

    def key(self, pair: AnswerPair, *, swapped: bool = False) -> str:
        """Content hash of the model, the canonical question and the two canonical answers.

        The order of the answers does not matter. ``swapped``: the key of the verdict in the other order of the two, for
        pairs that are asked in both.
        """
        answers = sorted((canonical_response(pair.left), canonical_response(pair.right)))
        mark = ["swapped"] if swapped else []
        return sha256_hex(self._model_id, canonical(pair.question), *answers, *mark)[:32]

    def combine(self, one: bool, other: bool) -> bool:
        return one and other

    def type(self) -> Any:
        import pyarrow as pa

        return pa.bool_()
