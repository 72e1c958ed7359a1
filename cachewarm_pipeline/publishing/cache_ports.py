"""The ports of services that also use Redis."""

from typing import TYPE_CHECKING, Protocol

from cachewarm_pipeline.ports import Ports

if TYPE_CHECKING:
    from cachewarm_pipeline.publishing.redis.cache_store import CacheStore


class CachePorts(Ports, Protocol):
    """``Ports``, and the cache in Redis."""

    @property
    def cache(self) -> "CacheStore": ...
