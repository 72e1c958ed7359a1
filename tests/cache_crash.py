"""A publisher that kills itself: run in a process of its own, which imports no more than it needs."""

import os
import signal
from typing import Any

import redis

from cachewarm_pipeline.resources.cache_load import BATCH
from cachewarm_pipeline.resources.cache_store import CacheStore
from cachewarm_pipeline.resources.redis_client import connect
from tests.cache_fakes import numbered_plan, publish

ENTRIES = BATCH + 50
"""Two batches, so that one is under way while the next is sent."""

numbered_plan(1)  # pyarrow imports pandas at the first conversion: once here, instead of in every process


def publish_until_killed(url: str, name: str, version: str, sends: int, half: bool, lease: float) -> None:
    """Publish, and be killed when the ``sends``-th packet is about to be sent, or when half of it was."""
    client = connect(url)
    left = sends
    send = redis.connection.AbstractConnection.send_packed_command

    def counted(self: Any, command: Any, check_health: bool = True) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            if half:
                packet = command.encode() if isinstance(command, str) else b"".join(command)
                self._sock.sendall(packet[: len(packet) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return send(self, command, check_health)

    redis.connection.AbstractConnection.send_packed_command = counted  # type: ignore[method-assign]
    publish(CacheStore(client, name, lease_seconds=lease), numbered_plan(ENTRIES, version=version))
