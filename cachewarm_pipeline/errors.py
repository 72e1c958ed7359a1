"""The errors a user meets. Each message says what is wrong, where, and what to do.

Those that a reader of the cache can meet too are defined by the client, so that both catch the same classes.
"""

from cachewarm_client.errors import (
    CacheError,
    CachewarmError,
    ConfigurationError,
    EmbeddedError,
    EmbeddingError,
)

__all__ = [
    "CacheError",
    "CachewarmError",
    "ConfigurationError",
    "DatasetError",
    "EmbeddedError",
    "EmbeddingError",
    "JudgeError",
    "LlmError",
    "SourceError",
    "SpendCapError",
]


class SourceError(CachewarmError):
    """The source tables cannot be read, or do not keep the contract."""


class SpendCapError(EmbeddingError):
    """A request could pass the run's spend cap: an embedding, which the run cannot do without, or another attempt.

    ``alone``: this one request may cost more than the whole cap, so running again does not help either.
    """

    def __init__(self, text: str, alone: bool = False) -> None:
        super().__init__(text)
        self.alone = alone


class JudgeError(CachewarmError):
    """The judge's model cannot be reached, refused the key, or returned something that is not a verdict."""


class LlmError(CachewarmError):
    """The model that writes variants cannot be reached, refused the key, or does not know the base query."""


class DatasetError(CachewarmError):
    """A dataset between assets is missing, cannot be written, or does not have its schema."""
