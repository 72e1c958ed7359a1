"""Counting lookups in Redis without a round trip of its own: a lookup's count rides with the next lookup.

Counting never breaks a lookup: what fails is dropped and counted in ``errors``.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import redis

from cachewarm_pipeline.core import stats
from cachewarm_pipeline.core.generation import generations_key, index_name, stats_key
from cachewarm_pipeline.core.records import parse_live
from cachewarm_pipeline.core.search import text
from cachewarm_pipeline.resources.cache_index import CacheIndex

Listener = Callable[[stats.Outcome, str, str, float], None]
"""Hears of each lookup: outcome, agent_type, arm, seconds until it was decided. It runs within the lookup."""


class Counters:
    """The counts of one reader that Redis does not have yet: at most one lookup's a thread. Thread-safe."""

    def __init__(self, client: "redis.Redis", name: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: Counter[tuple[str, str]] = Counter()
        self._expiring = ""
        self._listeners: tuple[Listener, ...] = ()
        self.errors = 0

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` of each lookup from now on."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def began(self, agent_type: str, arm: str = stats.WARMED_ARM) -> Callable[[stats.Outcome], None]:
        """A lookup begins; call what comes back with its outcome."""
        start = time.perf_counter()

        def ended(outcome: stats.Outcome) -> None:
            self.add(outcome, agent_type, arm)
            for listener in self._listeners:
                # Whoever counts along must not break a lookup.
                with suppress(Exception):
                    listener(outcome, agent_type, arm, time.perf_counter() - start)

        return ended

    def add(self, outcome: stats.Outcome, agent_type: str, arm: str = stats.WARMED_ARM) -> None:
        """Count one lookup, now, to be sent later."""
        key = stats_key(self._name, stats.hour_of(self._clock()))
        with self._lock:
            self._pending[key, stats.counter(arm, outcome, agent_type)] += 1

    def take(self) -> list[tuple[Any, ...]]:
        """The commands that send what is pending; the caller sends them and hands their replies to ``judge``."""
        if not self._pending:
            return []
        with self._lock:
            pending, self._pending = self._pending, Counter()
            commands: list[tuple[Any, ...]] = []
            for (key, field), number in pending.items():
                commands.append(("HINCRBY", key, field, number))
                if key != self._expiring:  # once an hour and reader is enough
                    commands.append(("EXPIRE", key, stats.KEEP_SECONDS))
                    self._expiring = key
        return commands

    def judge(self, replies: Sequence[Any]) -> None:
        """Counts the commands of ``take`` that Redis refused."""
        refused = sum(isinstance(reply, Exception) for reply in replies)
        if refused:
            self.failed(refused)

    def failed(self, commands: int) -> None:
        """``commands`` of ``take`` were lost."""
        with self._lock:
            self.errors += commands
            self._expiring = ""

    def flush(self) -> None:
        """Send what is pending now. Never raises."""
        commands = self.take()
        if not commands:
            return
        try:
            pipe: Any = self._client.pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)
            self.judge(pipe.execute(raise_on_error=False))
        except Exception:  # also runs when the interpreter ends, where any part may be gone already
            self.failed(len(commands))


def read_stats(index: CacheIndex, hours: int, now: datetime) -> stats.CacheStats:
    """What all readers of a cache counted in the last ``hours`` hours, the present one included, and what is live.

    Raises redis-py's exceptions.
    """
    pipe = index.client.pipeline(transaction=False)
    pipe.hgetall(generations_key(index.name))
    for hour in stats.last_hours(now, hours):
        pipe.hgetall(stats_key(index.name, hour))
    replies: list[Any] = pipe.execute()
    generations, *counted = [{text(name): text(value) for name, value in reply.items()} for reply in replies]
    live = parse_live(generations)
    info = index.info(index_name(index.name, live.id)) if live else None
    return stats.add_up(counted, hours, live.id if live else None, info.docs if info else 0)
