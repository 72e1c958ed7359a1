"""The words of answers and questions on disk, so that no text is read twice in the life of a home."""

from collections.abc import Iterable
from typing import Any

from cachewarm_client.text import sha256_hex

from cachewarm_pipeline.answers.judges.answer_words import VERSION, AnswerWords, answer_words
from cachewarm_pipeline.storage.files import below
from cachewarm_pipeline.storage.parquet_segments import Segments

STORE_EVERY = 4_096
"""Texts stored at once: a killed run loses at most these, about four seconds of work."""


class AnswerWordsStore(Segments[bytes]):
    """``AnswerWords`` by content hash of the text, in a folder of their version.

    Memory: all stored words of the home, about 9 bytes a distinct word: 0.4 KB for a text of 40 words.
    """

    what = "answer words"
    lost = "its texts are read again"
    column = "words"

    def __init__(self, uri: str) -> None:
        super().__init__(below(uri, f"version_{VERSION}"), f"answer words {VERSION}")

    def of(self, texts: Iterable[str]) -> dict[str, AnswerWords]:
        """The words of each distinct text. New texts are read, and stored in batches. Raises DatasetError."""
        found: dict[str, AnswerWords] = {}
        new: dict[str, bytes] = {}
        for text in texts:
            if text in found:
                continue
            key = sha256_hex(text)[:32]
            stored = self.get(key)
            if stored is not None:
                found[text] = AnswerWords.of_bytes(stored)
                continue
            found[text] = answer_words(text)
            new[key] = found[text].to_bytes()
            if len(new) >= STORE_EVERY:
                self.put(new)
                new = {}
        self.put(new)
        return found

    def combine(self, one: bytes, other: bytes) -> bytes:
        return max(one, other)

    def type(self) -> Any:
        import pyarrow as pa

        return pa.binary()
