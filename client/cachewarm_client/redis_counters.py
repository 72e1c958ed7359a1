"""Counts lookups in Redis without extra round trips: the count of a lookup is sent with the next lookup.

Counting never breaks a lookup: what fails is dropped and counted in ``errors``. No user id is part of any count.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

import redis

from cachewarm_client import counters as stats
from cachewarm_client.arms import NO_HOLDOUT, Assignment
from cachewarm_client.cold_cache_shadow import Shadow
from cachewarm_client.generation_record import parse_live
from cachewarm_client.keys import arms_key, generations_key, index_name, served_key, stats_key
from cachewarm_client.redis_index import CacheIndex
from cachewarm_client.redis_search_commands import text

Listener = Callable[[stats.LookupOutcome, str, str, float], None]
"""Called after each lookup with outcome, agent_type, arm and the seconds until it was decided. It runs within the
lookup."""


class FinishLookup(Protocol):
    """Call it with how a lookup ended, and the id of the warmed entry that answered; None where none did."""

    def __call__(self, outcome: stats.LookupOutcome, entry_id: str | None = None) -> None: ...


_MAX_EXPIRING = 16
"""Keys whose expiry is remembered as set; an hour has three."""


class Counters:
    """The counts and notes of one reader that Redis does not have yet: at most one lookup's per thread. Thread-safe."""

    def __init__(self, client: "redis.Redis", name: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._name = name
        self._served_prefix = served_key(name, "")
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: Counter[tuple[str, str]] = Counter()
        self._notes: dict[str, tuple[Any, ...]] = {}
        self._expiring: set[str] = set()
        self._keys: tuple[float, tuple[str, str, str]] = (-1.0, ("", "", ""))
        self._listeners: tuple[Listener, ...] = ()
        self.errors = 0
        """Commands that were lost or refused, and faults of ``holdout_key``."""

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` after each lookup from now on."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def start_lookup(
        self, agent_type: str, assignment: Assignment = NO_HOLDOUT, shadow: Shadow | None = None
    ) -> FinishLookup:
        """Start the clock of a lookup; call the result when the lookup is decided.

        A lookup counts once: a fault after it was decided changes nothing.
        """
        start = time.perf_counter()
        finished = False

        def finish(outcome: stats.LookupOutcome, entry_id: str | None = None) -> None:
            nonlocal finished
            if finished:
                return
            finished = True
            seconds = time.perf_counter() - start
            self.add(outcome, agent_type, assignment, seconds, entry_id, shadow)
            for listener in self._listeners:
                # A listener must not break a lookup.
                with suppress(Exception):
                    listener(outcome, agent_type, assignment.arm, seconds)

        return finish

    def add(
        self,
        outcome: stats.LookupOutcome,
        agent_type: str,
        assignment: Assignment = NO_HOLDOUT,
        seconds: float = 0.0,
        entry_id: str | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        """Count one lookup now, to be sent later.

        ``entry_id``: of the warmed entry that answered; None where none did. ``shadow``: what a cold cache would
        contain.
        """
        (arm, bucket), hit = assignment, outcome in ("exact", "semantic")
        key, served, day = self._current_keys()
        spent = stats.counter_field(arm, stats.HIT_US if hit else stats.MISS_US, agent_type)
        would_hit = shadow is not None and shadow.would_hit and not hit
        note = shadow.note(entry_id is not None) if shadow else None
        with self._lock:
            self._pending[key, stats.counter_field(arm, outcome, agent_type)] += 1
            if outcome != "error":
                self._pending[key, spent] += round(seconds * 1e6)
            if would_hit:
                self._pending[key, stats.counter_field(arm, stats.COLD_CACHE_HITS, agent_type)] += 1
            if note is not None:
                self._notes[note[1]] = note
            if entry_id is not None:
                self._pending[served, entry_id] += 1
            elif hit and arm == stats.WARMED_ARM:  # all hits of the holdout are by app entries
                self._pending[key, stats.counter_field(arm, stats.APP_HITS, agent_type)] += 1
            if bucket is not None:
                self._pending[day, stats.bucket_field(arm, bucket, hit or would_hit, agent_type)] += 1

    def _current_keys(self) -> tuple[str, str, str]:
        """Keys of the hour's counts, of its served entries and of the day's arms; computed once an hour."""
        now, made = self._clock(), self._keys
        slot = now.timestamp() // 3600
        if slot != made[0]:
            hour = stats.hour_of(now)
            keys = stats_key(self._name, hour), served_key(self._name, hour), arms_key(self._name, stats.day_of(now))
            made = self._keys = slot, keys  # replaced as a whole: threads share it
        return made[1]

    def take_commands(self) -> list[tuple[Any, ...]]:
        """The commands that send what is pending, which is no longer pending then.

        The caller sends them and passes their replies to ``check_replies``, or calls ``count_lost``.
        """
        if not self._pending:
            return []
        with self._lock:
            pending, self._pending = self._pending, Counter()
            notes, self._notes = self._notes, {}
            commands: list[tuple[Any, ...]] = [*notes.values()]
            for (key, field), number in pending.items():
                commands.append(("HINCRBY", key, field, number))
                if key not in self._expiring:  # once per key and reader is enough
                    seconds = stats.SERVED_SECONDS if key.startswith(self._served_prefix) else stats.KEEP_SECONDS
                    commands.append(("EXPIRE", key, seconds))
                    if len(self._expiring) >= _MAX_EXPIRING:
                        self._expiring.clear()
                    self._expiring.add(key)
        return commands

    def check_replies(self, replies: Sequence[Any]) -> None:
        """Count the commands of ``take_commands`` that Redis refused."""
        refused = sum(isinstance(reply, Exception) for reply in replies)
        if refused:
            self.count_lost(refused)

    def count_lost(self, commands: int) -> None:
        """Count ``commands`` of ``take_commands`` as lost."""
        with self._lock:
            self.errors += commands
            self._expiring.clear()

    def count_fault(self) -> None:
        """Count a fault that is not a command's: of ``holdout_key``, or a shadow's reply that could not be read."""
        with self._lock:
            self.errors += 1

    def flush(self) -> None:
        """Send what is pending now. Never raises."""
        commands = self.take_commands()
        if not commands:
            return
        try:
            pipe: Any = self._client.pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)
            self.check_replies(pipe.execute(raise_on_error=False))
        except Exception:  # also runs when the interpreter ends, where any part may be gone already
            self.count_lost(len(commands))


def read_stats(index: CacheIndex, hours: int, now: datetime) -> stats.CacheStats:
    """What all readers of a cache counted in the last ``hours`` hours, the current one included, and what is live.

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
