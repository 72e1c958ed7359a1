"""The errors that a user can meet. Each message says what is wrong, where, and what to do.

Errors that a reader of the cache can meet too are defined by the client, so that both catch the same classes.
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
    """The source tables cannot be read, or do not have the documented columns (docs/data-sources.md)."""


class SpendCapError(EmbeddingError):
    """A request could exceed the run's spend cap: an embedding that the run cannot do without, or one more attempt.

    ``alone``: this request alone may cost more than the whole cap, so running again does not help.
    """

    def __init__(self, text: str, alone: bool = False) -> None:
        super().__init__(text)
        self.alone = alone


class JudgeError(CachewarmError):
    """The judge's model cannot be reached, refuses the key, or returns something that is not a verdict."""


class LlmError(CachewarmError):
    """The model that writes variants cannot be reached, refuses the key, or has no recording of the base query."""


class DatasetError(CachewarmError):
    """A dataset between assets is missing, cannot be written, or has another schema than its own."""
