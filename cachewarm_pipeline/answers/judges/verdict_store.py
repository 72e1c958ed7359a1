"""Verdicts that were paid for, one folder for each model and wording of the question."""

from typing import Any

from cachewarm_client.text import sha256_hex

from cachewarm_pipeline.query_log.responses import canonical_response
from cachewarm_pipeline.storage.files import below
from cachewarm_pipeline.storage.parquet_segments import Segments
from cachewarm_pipeline.storage.vectors import folder_name


class VerdictStore(Segments[bool]):
    """What one model said about pairs of responses: yes or no by ``key``.

    About 200 bytes of memory each, and a dollar buys some thousands. Where two answers to one pair differ it is no.
    """

    what = "verdict"
    lost = "its pairs are asked again"
    column = "equivalent"

    def __init__(self, uri: str, model_id: str) -> None:
        super().__init__(below(uri, folder_name(model_id)), model_id)

    def key(self, left: str, right: str) -> str:
        """Content hash of the model and the unordered pair of canonical responses."""
        return sha256_hex(self._model_id, *sorted((canonical_response(left), canonical_response(right))))[:32]

    def combine(self, one: bool, other: bool) -> bool:
        return one and other

    def type(self) -> Any:
        import pyarrow as pa

        return pa.bool_()
