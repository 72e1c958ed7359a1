"""The lock that keeps two publishing runs apart. It expires by itself, so a killed run blocks nobody for long."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import redis
from cachewarm_client.keys import lock_key
from cachewarm_client.redis_index import redis_faults
from cachewarm_client.redis_search_commands import text

from cachewarm_pipeline.errors import CacheError

LEASE_SECONDS = 60
"""Far longer than any single step between two renewals, short enough to wait out after a kill."""

POLL_SECONDS = 0.1
"""Between two looks at a lock that another run holds."""

_RENEW = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""
_TAKE_OVER = """#!lua flags=allow-oom
return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
"""
_RELEASE = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class LostLockError(CacheError):
    """The lock is another run's now, so nothing may be changed any more."""


class PublishLock:
    """Held while anything of a cache's generations is changed. ``token`` is what the lock's key holds."""

    def __init__(self, client: "redis.Redis", name: str, token: str, lease_seconds: float) -> None:
        self._client = client
        self._lease_ms = round(lease_seconds * 1000)
        self.key = lock_key(name)
        self.token = token

    def take(self) -> bool:
        """Take it where nobody holds it; whether it is held by this run now."""
        if self._client.set(self.key, self.token, nx=True, px=self._lease_ms):
            return True
        # The client tries again when a reply is lost, and then finds the lock that it took itself.
        return self.holder() == self.token

    def take_over(self) -> None:
        """Take it from whoever holds it. That run changes nothing any more: it stops at its next look at the lock."""
        self._client.eval(_TAKE_OVER, 1, self.key, self.token, str(self._lease_ms))

    def holder(self) -> str | None:
        """Token of the run that holds it."""
        found: Any = self._client.get(self.key)
        return None if found is None else text(found)

    def ends_at(self) -> int:
        """When the present lease ends, in the server's Unix milliseconds; negative without one."""
        at: Any = self._client.pexpiretime(self.key)
        return int(at)

    def renew(self) -> None:
        """Hold it for another lease. Raises LostLockError when it was lost: another run may be publishing."""
        renewed: Any = self._client.eval(_RENEW, 1, self.key, self.token, str(self._lease_ms))
        if not renewed:
            raise LostLockError(
                "lost the publishing lock (a rollback took it, this run stood still for too long, or it was deleted); "
                "this run published nothing: run again"
            )


@contextmanager
def publish_lock(
    client: "redis.Redis",
    name: str,
    now: datetime,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    progress: Callable[[str], Any],
    lease_seconds: float = LEASE_SECONDS,
    by_force: bool = False,
) -> Iterator[PublishLock]:
    """The lock of a cache name, released on the way out. ``by_force`` takes it from whoever holds it.

    Else a lock whose holder does not renew it, because it was killed, is waited out for at most one lease. Raises
    CacheError as soon as the holder is seen at work, and after that lease.
    """
    token = json.dumps({"since": now.isoformat(timespec="seconds"), "token": uuid.uuid4().hex})
    lock = PublishLock(client, name, token, lease_seconds)
    with redis_faults("taking the publishing lock"):
        if by_force:
            lock.take_over()
        elif not lock.take():
            _wait_out(lock, name, clock, sleep, progress, lease_seconds)
    try:
        yield lock
    finally:
        with suppress(redis.RedisError):  # an unreachable server: the lease ends it
            client.eval(_RELEASE, 1, lock.key, token)


def _wait_out(
    lock: PublishLock,
    name: str,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    progress: Callable[[str], Any],
    lease_seconds: float,
) -> None:
    """Take the lock when its present lease ends. Raises CacheError when it is renewed or goes to yet another run."""
    first, lease = lock.holder(), lock.ends_at()
    deadline = clock() + lease_seconds + POLL_SECONDS
    progress(
        f"the cache {name!r} is locked by a run of {_since(first)}; waiting up to {lease_seconds:g} s to see whether "
        "that run is alive"
    )
    while True:
        late = clock() >= deadline  # before the last try: a stall after it is no reason to give up
        if lock.take():
            return
        holder, now_ends = lock.holder(), lock.ends_at()
        # A lease that ends between these looks is over, not renewed: only a later end shows a run at work.
        at_work = holder is not None and (holder != first or now_ends > lease)
        if at_work or late:
            raise CacheError(
                f"another run is publishing the cache {name!r}, since {_since(holder)}; wait for it "
                f"(if it was killed, its lock ends within {lease_seconds:g} s)"
            )
        sleep(POLL_SECONDS)


def _since(holder: str | None) -> str:
    try:
        return str(json.loads(holder or "")["since"])
    except (ValueError, TypeError, KeyError):
        return "a moment ago"
