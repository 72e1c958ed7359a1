"""The reader of a warmed cache under its former name: applications import it from ``cachewarm_client``."""

from cachewarm_client.cache import Hits, WarmedSemanticCache

__all__ = ["Hits", "WarmedSemanticCache"]
