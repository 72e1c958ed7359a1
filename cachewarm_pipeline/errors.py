"""The errors a user meets. Each message says what is wrong, where, and what to do."""


class CachewarmError(Exception):
    """A fault that stopped the work; the command line prints it in one line and exits 1."""


class ConfigurationError(CachewarmError):
    """Wrong usage or settings; the command line exits 2."""


class SourceError(CachewarmError):
    """The source tables cannot be read, or are not what the contract says."""


class EmbeddingError(CachewarmError):
    """The embedder cannot be reached, refused the key, or answered with something that is no embedding."""


class SpendCapError(EmbeddingError):
    """The spend cap of the run would be passed: by embedding, without which nothing can go on, or by another try.

    ``alone``: one request may take more than the whole cap, so that running again does not help either.
    """

    def __init__(self, text: str, alone: bool = False) -> None:
        super().__init__(text)
        self.alone = alone


class JudgeError(CachewarmError):
    """The judge's model cannot be reached, refused the key, or answered with something that is no verdict."""


class LlmError(CachewarmError):
    """The model that writes variants cannot be reached, refused the key, or does not know the base."""


class CacheError(CachewarmError):
    """Redis cannot be reached, lacks its query engine, or holds something that is not ours."""


class DatasetError(CachewarmError):
    """A dataset between assets is missing, cannot be written, or does not have its schema."""


class EmbeddedError(CachewarmError):
    """A server or model of the no-setup default cannot be had here; the message names the variable to set."""
