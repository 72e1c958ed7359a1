"""RedisVL's other methods of SemanticCache, limited to app entries: what the application stored itself."""

from typing import Any

from redisvl.extensions.cache.llm import SemanticCache

from cachewarm_client import redis_search_commands as search
from cachewarm_client.errors import CacheError
from cachewarm_client.keys import RESERVED


class AppEntriesOnly(SemanticCache):  # type: ignore[misc]  # RedisVL has no type information
    """Changes app entries only: warmed entries are changed by a publish or a withdrawal."""

    def update(self, key: str, **kwargs: Any) -> None:
        """RedisVL's ``update`` of an app entry. Raises CacheError for a warmed entry."""
        _refuse_warmed(key)
        super().update(key, **kwargs)

    async def aupdate(self, key: str, **kwargs: Any) -> None:
        """``update`` without blocking the event loop."""
        _refuse_warmed(key)
        await super().aupdate(key, **kwargs)

    def expire(self, key: str, ttl: int | None = None) -> None:
        """RedisVL's ``expire`` of an app entry. Raises CacheError for a warmed entry."""
        _refuse_warmed(key)
        super().expire(key, ttl)

    async def aexpire(self, key: str, ttl: int | None = None) -> None:
        """``expire`` without blocking the event loop."""
        _refuse_warmed(key)
        await super().aexpire(key, ttl)

    def drop(self, ids: list[str] | None = None, keys: list[str] | None = None) -> None:
        """RedisVL's ``drop`` of app entries.

        Raises CacheError, before anything is dropped, when one of the keys is a warmed entry's.
        """
        _refuse_warmed(keys)
        super().drop(ids, keys)

    async def adrop(self, ids: list[str] | None = None, keys: list[str] | None = None) -> None:
        """``drop`` without blocking the event loop."""
        _refuse_warmed(keys)
        await super().adrop(ids, keys)


def _refuse_warmed(keys: Any) -> None:
    for key in [keys] if isinstance(keys, str | bytes) else keys or []:
        if search.text(key).startswith(f"{RESERVED}:"):
            raise CacheError(
                f"{search.text(key)!r:.120} is a warmed entry, which only a publish or a withdrawal may change; "
                "nothing was changed"
            )
