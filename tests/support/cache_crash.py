"""Publishers that kill themselves. Each runs in a process of its own, so this module imports no more than it needs."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

import redis
from cachewarm_client.keys import lock_key

from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.connect import connect
from cachewarm_pipeline.publishing.redis.load_entries import BATCH
from tests.support.cache_fakes import NOW, TrigramEmbedder, doze, fill, numbered_plan, publish

ENTRIES = BATCH + 50
"""Two batches, so that the server works on one while the next is sent."""

FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["tests.support.cache_crash"])

# Done once here and not in every process: pyarrow imports pandas at the first conversion, and the vectors are cached.
TrigramEmbedder().embed(numbered_plan(ENTRIES)["prompt"].to_pylist())


TICK = 160
"""Entries that one tick of progressive loading loads: the plan takes two ticks."""


def publish_all(store: CacheStore, version: str) -> None:
    publish(store, numbered_plan(ENTRIES, version=version))


def fill_all(store: CacheStore, version: str) -> None:
    """Loads the plan tick by tick until it is published."""
    while not fill(store, numbered_plan(ENTRIES, version=version), TICK).published:
        pass


def roll_back(store: CacheStore, why: str) -> None:
    store.rollback(NOW, why)


def run_until_killed(
    action: Callable[[CacheStore, str], None], url: str, name: str, argument: str, sends: int, half: bool
) -> None:
    """Runs the action, and kills the process before the ``sends``-th packet, or (``half``) when half of it is sent."""
    client = connect(url)
    left = sends
    send = redis.connection.AbstractConnection.send_packed_command

    def send_or_die(self: Any, command: Any, check_health: bool = True) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            if half:
                packet = command.encode() if isinstance(command, str) else b"".join(command)
                self._sock.sendall(packet[: len(packet) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return send(self, command, check_health)

    redis.connection.AbstractConnection.send_packed_command = send_or_die  # type: ignore[method-assign]
    action(CacheStore(client, name, sleep=doze), argument)


def run_in_a_process(
    client: redis.Redis,
    action: Callable[[CacheStore, str], None],
    url: str,
    name: str,
    argument: str,
    sends: int,
    half: bool = False,
) -> bool:
    """``run_until_killed`` in a process of its own. Returns whether the action ended before the kill."""
    process = FORKSERVER.Process(target=run_until_killed, args=(action, url, name, argument, sends, half))
    process.start()
    process.join(60)
    client.delete(lock_key(name))  # as if a dead run's lease had ended, which test_publish_lock waits for
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0
