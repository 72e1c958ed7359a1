"""One cache's keys and search indexes in Redis: reading, counting and removing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from cachewarm_client import redis_search_commands as search
from cachewarm_client.errors import CacheError
from cachewarm_client.keys import app_prefix, index_name, key_prefix
from cachewarm_client.redis_search_commands import text

SEARCH_TIMEOUT_MS = 20_000
"""Counting may take longer than the 500 ms that the server allows a lookup, but less than the client's
socket timeout."""

_SCAN_COUNT = 1000


@dataclass(frozen=True)
class IndexInfo:
    """What FT.INFO reports about an index, through its own name or an alias."""

    index: str
    """The index's own name, also when asked through an alias."""
    docs: int
    """Entries in the index."""
    scanning: bool
    """Whether the engine is still reading keys that are older than the index."""
    last_error: str
    """The last indexing error, in Redis's words."""


@contextmanager
def redis_faults(doing: str) -> Iterator[None]:
    """Turns redis-py's exceptions into a CacheError that says what was being done. Never shows a URL or password.

    ``doing`` completes "lost Redis while ...".
    """
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise CacheError(f"lost Redis while {doing}: {_first_line(error)}; try again when Redis is back") from error
    except redis.RedisError as error:
        raise CacheError(f"Redis refused while {doing}: {_first_line(error)}") from error


class CacheIndex:
    """The indexes of one cache name. Raises redis-py's exceptions; callers turn them into clear errors."""

    def __init__(self, client: "redis.Redis", name: str) -> None:
        self.client = client
        self.name = name

    def command(self, *args: Any) -> Any:
        """The reply of one command; redis-py has no types for replies."""
        send: Any = self.client.execute_command
        return send(*args)

    def info(self, index: str) -> IndexInfo | None:
        """The index behind a name or alias; None where there is no such index."""
        try:
            found = search.as_mapping(self.command("FT.INFO", index))
        except redis.ResponseError as error:
            if missing_index(error):
                return None
            raise
        errors = search.as_mapping(found.get("Index Errors") or {})
        return IndexInfo(
            index=text(found["index_name"]),
            docs=int(float(text(found["num_docs"]))),
            scanning=text(found["indexing"]) != "0",
            last_error=text(errors.get("last indexing error", "unknown")),
        )

    def alias_target(self) -> str | None:
        """Generation that the alias points at; None without an alias.

        Raises CacheError when another index has the cache's name: one that an application made itself.
        """
        found = self.info(self.name)
        if found is None:
            return None
        prefix = index_name(self.name, "")
        if not found.index.startswith(prefix):
            raise CacheError(
                f"the name {self.name!r} already belongs to another search index ({found.index!r}), perhaps a RedisVL "
                "cache of an application: choose another CACHEWARM_NAME, or drop that index; nothing was changed"
            )
        return found.index.removeprefix(prefix)

    def generations(self) -> set[str]:
        """Generations of this cache that have an index."""
        prefix = index_name(self.name, "")
        return {text(i).removeprefix(prefix) for i in self.command("FT._LIST") if text(i).startswith(prefix)}

    def create(self, generation: str, dimensions: int) -> None:
        """Create an index over the generation's keys and the app entries."""
        prefixes = [key_prefix(self.name, generation), app_prefix(self.name)]
        self.command(*search.create_index(index_name(self.name, generation), prefixes, dimensions))

    def count(self, generation: str) -> int:
        """Warmed entries of the generation that a lookup can find now; 0 without an index."""
        return self._warmed_entries(generation, 0).total

    def entry_ids(self, generation: str) -> set[str]:
        """Ids of the generation's warmed entries, as indexed. Memory: about 200 bytes per entry."""
        prefix = key_prefix(self.name, generation)
        return {key.removeprefix(prefix) for key, _ in self._warmed_entries(generation, self.count(generation)).rows}

    def agent_types(self, generation: str) -> list[tuple[str, str]]:
        """Id and agent_type of the generation's warmed entries, as indexed. Memory: about 600 bytes per entry."""
        prefix = key_prefix(self.name, generation)
        found = self._warmed_entries(generation, self.count(generation), ["agent_type"])
        return [(key.removeprefix(prefix), fields["agent_type"]) for key, fields in found.rows if fields]

    def _warmed_entries(self, generation: str, limit: int, fields: Sequence[str] = ()) -> search.SearchReply:
        command = search.generation_command(
            index_name(self.name, generation), generation, limit, SEARCH_TIMEOUT_MS, fields
        )
        try:
            found = search.parse_found(self.command(*command))
        except redis.ResponseError as error:
            if missing_index(error):
                return search.SearchReply(0, [], False)
            raise
        if found.partial:
            raise CacheError(
                f"counting the entries of generation {generation} timed out: Redis is busy, try again later"
            )
        return found

    def remove(self, generation: str, each_batch: Callable[[], None]) -> None:
        """Remove a generation's index and keys. Safe to repeat after a crash at any point.

        The index is removed first, so that no reader sees a half-empty one. It is dropped without DD, which would also
        delete the app entries. ``each_batch`` is called after each full batch. Memory: one batch of keys.
        """
        try:
            self.command("FT.DROPINDEX", index_name(self.name, generation))
        except redis.ResponseError as error:
            if not missing_index(error):
                raise
        batch: list[Any] = []
        for key in self.client.scan_iter(match=key_prefix(self.name, generation) + "*", count=_SCAN_COUNT):
            batch.append(key)
            if len(batch) == _SCAN_COUNT:
                self.command("UNLINK", *batch)
                batch.clear()
                each_batch()
        if batch:
            self.command("UNLINK", *batch)


def missing_index(error: Exception) -> bool:
    """Whether an error reply means that the index does not exist; the wording differs between commands and versions."""
    message = str(error).lower()
    return "unknown index" in message or "no such index" in message


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
