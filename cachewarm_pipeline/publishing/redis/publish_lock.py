"""The lock in Redis that lets one publishing run at a time change a cache's generations.

A lock is a lease of ``LEASE_SECONDS`` that its run renews while it works, so a killed run blocks the next one for one
lease at most.
"""

import json
import logging
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

logger = logging.getLogger(__name__)

LEASE_SECONDS = 60
"""How long a lock lasts when its run does not renew it.

Far longer than any single step between two renewals (a batch of entries, one look at the index), and short enough for
the next run to wait out after a kill. A run that stalls for longer loses the lock and publishes nothing: the scripts
that write a record or switch the alias check the lock's token.
"""

LOCK_POLL_SECONDS = 0.1
"""Seconds between attempts while another run holds the lock."""

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
    """Another run has the lock now, so this run may not change anything any more."""


class PublishLock:
    """One run's lock on a cache's generations. ``token`` is the value of the lock's key while this run has it."""

    def __init__(self, client: "redis.Redis", name: str, token: str, lease_seconds: float) -> None:
        self._client = client
        self._lease_ms = round(lease_seconds * 1000)
        self.key = lock_key(name)
        self.token = token

    def take(self) -> bool:
        """Take the lock if no run has it; returns whether this run has it now."""
        if self._client.set(self.key, self.token, nx=True, px=self._lease_ms):
            return True
        # The client retries when a reply is lost, and then finds the lock that it took itself.
        return self.holder() == self.token

    def take_over(self) -> None:
        """Take the lock from any run that has it. That run stops at its next renewal and changes nothing more."""
        self._client.eval(_TAKE_OVER, 1, self.key, self.token, str(self._lease_ms))

    def release(self) -> None:
        """Delete the lock if this run still has it."""
        self._client.eval(_RELEASE, 1, self.key, self.token)

    def holder(self) -> str | None:
        """Token of the run that has the lock."""
        found: Any = self._client.get(self.key)
        return None if found is None else text(found)

    def ends_at(self) -> int:
        """When the present lease ends, in the server's Unix milliseconds; negative when there is none."""
        at: Any = self._client.pexpiretime(self.key)
        return int(at)

    def renew(self) -> None:
        """Start another lease. Raises LostLockError when the lock was lost: another run may be publishing."""
        renewed: Any = self._client.eval(_RENEW, 1, self.key, self.token, str(self._lease_ms))
        if not renewed:
            raise LostLockError(
                "lost the publishing lock (a rollback took it, this run stalled for too long, or it was deleted); "
                "this run published nothing: run again"
            )


class PublishLocks:
    """Takes the publishing lock of one cache name. ``clock`` and ``sleep`` are in seconds."""

    def __init__(
        self,
        client: "redis.Redis",
        name: str,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._client = client
        self._name = name
        self._clock = clock
        self._sleep = sleep
        self._lease_seconds = lease_seconds

    @contextmanager
    def acquire(
        self, now: datetime, progress: Callable[[str], Any] = logger.info, *, by_force: bool = False
    ) -> Iterator[PublishLock]:
        """The lock, released at the end of the ``with`` block. ``by_force`` takes it from any run that has it.

        Otherwise waits for one lease at most: a killed run does not renew its lock. Raises CacheError as soon as the
        other run renews its lock, and after that lease.
        """
        token = json.dumps({"since": now.isoformat(timespec="seconds"), "token": uuid.uuid4().hex})
        lock = PublishLock(self._client, self._name, token, self._lease_seconds)
        with redis_faults("taking the publishing lock"):
            if by_force:
                lock.take_over()
            elif not lock.take():
                self._wait_for(lock, progress)
        try:
            yield lock
        finally:
            with suppress(redis.RedisError):  # when the server is unreachable, the lease ends the lock
                lock.release()

    def _wait_for(self, lock: PublishLock, progress: Callable[[str], Any]) -> None:
        """Take the lock when its present lease ends. Raises CacheError when it is renewed or a third run takes it."""
        first, lease = lock.holder(), lock.ends_at()
        deadline = self._clock() + self._lease_seconds + LOCK_POLL_SECONDS
        progress(
            f"the cache {self._name!r} is locked by a run of {_since(first)}; waiting up to {self._lease_seconds:g} s "
            "to see whether that run is alive"
        )
        while True:
            late = self._clock() >= deadline  # read before the last attempt: a stall after it is no reason to give up
            if lock.take():
                return
            holder, ends = lock.holder(), lock.ends_at()
            # A lease that ends between these two reads is over, not renewed. Only a later end shows a run at work.
            at_work = holder is not None and (holder != first or ends > lease)
            if at_work or late:
                raise CacheError(
                    f"another run is publishing the cache {self._name!r}, since {_since(holder)}; wait for it "
                    f"(if it was killed, its lock ends within {self._lease_seconds:g} s)"
                )
            self._sleep(LOCK_POLL_SECONDS)


def _since(holder: str | None) -> str:
    try:
        return str(json.loads(holder or "")["since"])
    except (ValueError, TypeError, KeyError):
        return "a moment ago"
