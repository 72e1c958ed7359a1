"""Counting lookups in Redis without a round trip of its own: a lookup's count rides with the next lookup.

Counting never breaks a lookup: what fails is dropped and counted in ``errors``. No user id is in any count.
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
from cachewarm_client.arms import WARMED, Place
from cachewarm_client.cold_cache_shadow import Shadow
from cachewarm_client.generation_record import parse_live
from cachewarm_client.keys import arms_key, generations_key, index_name, served_key, stats_key
from cachewarm_client.redis_index import CacheIndex
from cachewarm_client.redis_search_commands import text

Listener = Callable[[stats.LookupOutcome, str, str, float], None]
"""Hears of each lookup: outcome, agent_type, arm, seconds until it was decided. It runs within the lookup."""


class Ended(Protocol):
    """Tells how a lookup ended, and the id of the warmed entry that answered it; None where none did."""

    def __call__(self, outcome: stats.LookupOutcome, entry_id: str | None = None) -> None: ...


_KEYS = 16
"""Keys whose expiry is remembered as set: those of an hour are three."""


class Counters:
    """The counts and notes of one reader that Redis does not have yet: at most one lookup's a thread. Thread-safe."""

    def __init__(self, client: "redis.Redis", name: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._name = name
        self._served = served_key(name, "")
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: Counter[tuple[str, str]] = Counter()
        self._notes: dict[str, tuple[Any, ...]] = {}
        self._expiring: set[str] = set()
        self._keys: tuple[float, tuple[str, str, str]] = (-1.0, ("", "", ""))
        self._listeners: tuple[Listener, ...] = ()
        self.errors = 0

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` of each lookup from now on."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def began(self, agent_type: str, place: Place = WARMED, shadow: Shadow | None = None) -> Ended:
        """A lookup begins; call what comes back when it was decided. It counts once: what fails later was answered."""
        start = time.perf_counter()
        over = False

        def ended(outcome: stats.LookupOutcome, entry_id: str | None = None) -> None:
            nonlocal over
            if over:
                return
            over = True
            seconds = time.perf_counter() - start
            self.add(outcome, agent_type, place, seconds, entry_id, shadow)
            for listener in self._listeners:
                # Whoever counts along must not break a lookup.
                with suppress(Exception):
                    listener(outcome, agent_type, place.arm, seconds)

        return ended

    def add(
        self,
        outcome: stats.LookupOutcome,
        agent_type: str,
        place: Place = WARMED,
        seconds: float = 0.0,
        entry_id: str | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        """Count one lookup, now, to be sent later. ``entry_id``: of the warmed entry that answered, where one did;
        ``shadow``: what a cold cache would hold."""
        (arm, bucket), hit = place, outcome in ("exact", "semantic")
        key, served, day = self._keys_now()
        spent = stats.counter(arm, stats.HIT_US if hit else stats.MISS_US, agent_type)
        would = shadow is not None and shadow.there and not hit
        note = shadow.note(entry_id is not None) if shadow else None
        with self._lock:
            self._pending[key, stats.counter(arm, outcome, agent_type)] += 1
            if outcome != "error":
                self._pending[key, spent] += round(seconds * 1e6)
            if would:
                self._pending[key, stats.counter(arm, stats.WOULD, agent_type)] += 1
            if note is not None:
                self._notes[note[1]] = note
            if entry_id is not None:
                self._pending[served, entry_id] += 1
            elif hit and arm == stats.WARMED_ARM:  # what the holdout hits is the application's own
                self._pending[key, stats.counter(arm, stats.OWN, agent_type)] += 1
            if bucket is not None:
                self._pending[day, stats.bucket_counter(arm, bucket, hit or would, agent_type)] += 1

    def _keys_now(self) -> tuple[str, str, str]:
        """Keys of the present hour's counts and of the day's, made once an hour."""
        now, made = self._clock(), self._keys
        slot = now.timestamp() // 3600
        if slot != made[0]:
            hour = stats.hour_of(now)
            keys = stats_key(self._name, hour), served_key(self._name, hour), arms_key(self._name, stats.day_of(now))
            made = self._keys = slot, keys  # as a whole: threads share it
        return made[1]

    def take(self) -> list[tuple[Any, ...]]:
        """The commands that send what is pending; the caller sends them and hands their replies to ``judge``."""
        if not self._pending:
            return []
        with self._lock:
            pending, self._pending = self._pending, Counter()
            notes, self._notes = self._notes, {}
            commands: list[tuple[Any, ...]] = [*notes.values()]
            for (key, field), number in pending.items():
                commands.append(("HINCRBY", key, field, number))
                if key not in self._expiring:  # once a key and reader is enough
                    seconds = stats.SERVED_SECONDS if key.startswith(self._served) else stats.KEEP_SECONDS
                    commands.append(("EXPIRE", key, seconds))
                    if len(self._expiring) >= _KEYS:
                        self._expiring.clear()
                    self._expiring.add(key)
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
            self._expiring.clear()

    def fault(self) -> None:
        """Something of the application's that counting asked for failed: whom a lookup is for."""
        with self._lock:
            self.errors += 1

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
