"""The lock that keeps two publishing runs apart. It expires by itself, so a killed run blocks nobody for long."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import redis

from cachewarm_pipeline.core.errors import CacheError
from cachewarm_pipeline.core.generation import lock_key
from cachewarm_pipeline.core.search import text
from cachewarm_pipeline.resources.cache_index import told_clearly

LEASE_SECONDS = 60
"""Far longer than any single step between two renewals, short enough to wait out after a kill."""

_RENEW = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""
_RELEASE = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class PublishLock:
    """Held while anything of a cache's generations is changed. ``token`` is what the lock's key holds."""

    def __init__(self, client: "redis.Redis", name: str, token: str) -> None:
        self._client = client
        self.key = lock_key(name)
        self.token = token

    def renew(self) -> None:
        """Hold it for another lease. Raises CacheError when it was lost: another run may be publishing."""
        renewed: Any = self._client.eval(_RENEW, 1, self.key, self.token, str(LEASE_SECONDS * 1000))
        if not renewed:
            raise CacheError(
                "lost the publishing lock (this run stood still for too long, or the lock was deleted); "
                "the live generation is as it was: run again"
            )


@contextmanager
def publish_lock(client: "redis.Redis", name: str, now: datetime) -> Iterator[PublishLock]:
    """The lock of a cache name, released on the way out. Raises CacheError when another run holds it."""
    token = json.dumps({"since": now.isoformat(timespec="seconds"), "token": uuid.uuid4().hex})
    lock = PublishLock(client, name, token)
    holder: Any = token
    with told_clearly("taking the publishing lock"):
        if not client.set(lock.key, token, nx=True, px=LEASE_SECONDS * 1000):
            holder = client.get(lock.key)
    # The client tries again when a reply is lost, and then finds the lock that it took itself.
    if holder is None or text(holder) != token:
        raise CacheError(
            f"another run is publishing the cache {name!r}, since {_since(holder)}; wait for it "
            f"(if it was killed, its lock ends within {LEASE_SECONDS} s)"
        )
    try:
        yield lock
    finally:
        with suppress(redis.RedisError):  # an unreachable server: the lease ends it
            client.eval(_RELEASE, 1, lock.key, token)


def _since(holder: bytes | None) -> str:
    try:
        return str(json.loads(holder or b"")["since"])
    except (ValueError, TypeError, KeyError):
        return "a moment ago"
