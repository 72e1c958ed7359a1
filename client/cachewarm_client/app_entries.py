"""What RedisVL's SemanticCache offers beside looking up and storing, kept to the application's own entries."""

from typing import Any

from redisvl.extensions.cache.llm import SemanticCache

from cachewarm_client import redis_search_commands as search
from cachewarm_client.errors import CacheError
from cachewarm_client.keys import RESERVED


class AppEntriesOnly(SemanticCache):  # type: ignore[misc]  # RedisVL has no type information
    """Changes the application's own entries only: what is warmed is changed by a publish or a withdrawal."""

    def update(self, key: str, **kwargs: Any) -> None:
        """As RedisVL's ``update``, of an entry of the application's own. Raises CacheError for a warmed one."""
        _not_warmed(key)
        super().update(key, **kwargs)

    async def aupdate(self, key: str, **kwargs: Any) -> None:
        """``update`` without blocking the event loop."""
        _not_warmed(key)
        await super().aupdate(key, **kwargs)

    def expire(self, key: str, ttl: int | None = None) -> None:
        """As RedisVL's ``expire``, of an entry of the application's own. Raises CacheError for a warmed one."""
        _not_warmed(key)
        super().expire(key, ttl)

    async def aexpire(self, key: str, ttl: int | None = None) -> None:
        """``expire`` without blocking the event loop."""
        _not_warmed(key)
        await super().aexpire(key, ttl)

    def drop(self, ids: list[str] | None = None, keys: list[str] | None = None) -> None:
        """As RedisVL's ``drop``, of the application's own entries.

        Raises CacheError, before anything is dropped, when one of the keys is a warmed entry's.
        """
        _not_warmed(keys)
        super().drop(ids, keys)

    async def adrop(self, ids: list[str] | None = None, keys: list[str] | None = None) -> None:
        """``drop`` without blocking the event loop."""
        _not_warmed(keys)
        await super().adrop(ids, keys)


def _not_warmed(keys: Any) -> None:
    for key in [keys] if isinstance(keys, str | bytes) else keys or []:
        if search.text(key).startswith(f"{RESERVED}:"):
            raise CacheError(
                f"{search.text(key)!r:.120} is a warmed entry, which only a publish may change; nothing was changed"
            )
