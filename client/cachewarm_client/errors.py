"""The errors of the client, which the pipeline shares. Each message says what is wrong, where, and what to do."""


class CachewarmError(Exception):
    """Base of all errors of the client and the pipeline; the command line prints it in one line and exits 1."""


class ConfigurationError(CachewarmError):
    """Wrong usage or settings, or a package that is not installed; the command line exits 2."""


class EmbeddingError(CachewarmError):
    """The embedder cannot be reached, refused the key, or returned something that is not an embedding."""


class CacheError(CachewarmError):
    """Redis cannot be reached, lacks its query engine, or contains something that this package did not write."""


class EmbeddedError(CachewarmError):
    """A bundled server or model is not available on this machine; the message says what to install or to set."""
