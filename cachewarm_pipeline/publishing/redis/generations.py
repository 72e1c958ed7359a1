"""The steps that change a cache's generations in Redis: lock, begin, load, verify, switch, prune. In which order they
are taken is decided elsewhere.

One script moves the alias (what a stock reader opens) and the ``live`` field (what our reader opens) together, and
writes the pin of a rollback with them, so a crash at any point leaves one whole generation serving.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import redis
from cachewarm_client.generation_record import LIVE_FIELD, GenerationRecord, Pin, State, parse_generations, parse_pin
from cachewarm_client.keys import check_name, generations_key, index_name
from cachewarm_client.redis_index import CacheIndex, redis_faults
from cachewarm_client.redis_search_commands import text

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis import verify_generation as cache_verify
from cachewarm_pipeline.publishing.redis.load_entries import load_entries
from cachewarm_pipeline.publishing.redis.publish_lock import LEASE_SECONDS, LostLockError, PublishLock, publish_lock
from cachewarm_pipeline.publishing.redis.withdraw_answers import take_out_withdrawn

logger = logging.getLogger(__name__)

KEEP = 2
"""Generations kept: the live one and the one before it, for a rollback."""

_PROGRESS_EVERY = 5_000

# A script is one step for everyone else and stops at its first error: the alias never moves without the field, nor
# after the lock was lost, nor away from a generation that a rollback pinned. A publish is refused as a whole on a full
# server; a rollback works there too.
_SWITCH = """
local pinned = redis.call('HGET', KEYS[2], 'pinned')
if ARGV[5] == '' and pinned and cjson.decode(pinned).generation ~= ARGV[4] then return 2 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('FT.ALIASUPDATE', ARGV[2], ARGV[3])
redis.call('HSET', KEYS[2], unpack(ARGV, 6))
if ARGV[5] ~= '' then redis.call('HSET', KEYS[2], 'pinned', ARGV[5]) end
return 1
"""
_PUBLISH, _ROLLBACK = "#!lua" + _SWITCH, "#!lua flags=allow-oom" + _SWITCH

_WRITE = """#!lua
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
"""


class PinnedError(CacheError):
    """A rollback pinned another generation, so this one was not published."""

    def __init__(self, pin: Pin) -> None:
        super().__init__(pin.describe())


class Generations:
    """The generations of one cache name. ``client`` comes from ``redis_client.connect``.

    Every method raises CacheError, in one line, when Redis is lost or refuses.
    """

    def __init__(
        self,
        client: "redis.Redis",
        name: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """``lease_seconds``: for so long a killed run's lock keeps others out. Raises ConfigurationError for a name
        that no cache can have."""
        self.name = check_name(name)
        self.client = client
        self._index = CacheIndex(client, name)
        self._clock = clock
        self._sleep = sleep
        self._lease_seconds = lease_seconds

    # Looking

    def live(self) -> GenerationRecord | None:
        """The live generation's record; None when nothing is published."""
        live, records = self._generations()
        return records[live] if live else None

    def generations(self) -> list[GenerationRecord]:
        """All records, the live one first, then by the time they were made, newest first."""
        return sorted(
            self._generations()[1].values(), key=lambda r: (r.state == State.LIVE, r.created_at, r.id), reverse=True
        )

    def filling(self) -> GenerationRecord | None:
        """The generation that is being filled little by little; there is never more than one."""
        return next((r for r in self.generations() if r.state == State.FILLING), None)

    def pinned(self) -> Pin | None:
        """The pin of the last rollback, until it is released."""
        return parse_pin(self._fields())

    def entry_ids(self, generation: str) -> set[str]:
        """Ids of a generation's own entries that lookups find now, those out of service among them."""
        with redis_faults("reading the entries"):
            return self._index.entry_ids(generation)

    # Steps

    @contextmanager
    def lock(
        self, now: datetime, progress: Callable[[str], Any] = logger.info, *, by_force: bool = False
    ) -> Iterator[PublishLock]:
        """The publishing lock, which every step below needs.

        Waits for a killed run's lock to end, at most one lease. Raises CacheError when a living run holds it.
        ``by_force`` takes it from any run, which then changes nothing more.
        """
        with publish_lock(
            self.client,
            self.name,
            now,
            clock=self._clock,
            sleep=self._sleep,
            progress=progress,
            lease_seconds=self._lease_seconds,
            by_force=by_force,
        ) as lock:
            yield lock

    def begin(self, lock: PublishLock, record: GenerationRecord) -> None:
        """Make room for a new generation beside the live one. Nothing serves it yet. It can be repeated."""
        with redis_faults(f"building generation {record.id}"):
            self._write(lock, record)  # first: whatever a crash leaves, its record names it
            if self._index.info(index_name(self.name, record.id)) is None:
                self._index.create(record.id, record.dimensions)
            # An entry loaded while the engine still reads older keys would be indexed twice.
            cache_verify.wait_until_scanned(self._index, record.id, self._clock, self._sleep, lock.renew)

    def load(
        self,
        lock: PublishLock,
        record: GenerationRecord,
        plan: pa.Table,
        vectors: np.ndarray,
        progress: Callable[[str], Any] = logger.info,
    ) -> int:
        """Write entries of a generation that was begun, all of the plan or a part of it; returns how many.

        Writing an entry again is harmless, so a part that was cut off is loaded again as a whole.
        """

        def before_batch(sent: int) -> None:
            lock.renew()
            if sent % _PROGRESS_EVERY == 0 and sent:
                progress(f"loaded {sent:,} of {plan.num_rows:,} entries")

        with redis_faults(f"loading generation {record.id}"):
            return load_entries(self.client, self.name, record, plan, vectors, before_batch)

    def prove(self, lock: PublishLock, record: GenerationRecord, plan: pa.Table, vectors: np.ndarray) -> None:
        """Raises CacheError when a built generation may not be served, UnprovenError where waiting does not help."""
        with redis_faults(f"verifying generation {record.id}"):
            cache_verify.wait_until_scanned(self._index, record.id, self._clock, self._sleep, lock.renew)
            cache_verify.check_count(self._index, record)
            cache_verify.check_self_lookups(self._index, record, plan, vectors, lock.renew)

    def verify(
        self, lock: PublishLock, record: GenerationRecord, plan: pa.Table, vectors: np.ndarray
    ) -> GenerationRecord:
        """Prove that a built generation may be served, and mark it ready. Raises CacheError when it may not."""
        self.prove(lock, record, plan, vectors)
        with redis_faults(f"verifying generation {record.id}"):
            return self._write(lock, replace(record, state=State.READY))

    def switch(
        self, lock: PublishLock, record: GenerationRecord, now: datetime, *, pin: str | None = None
    ) -> GenerationRecord:
        """Make a verified generation live, in one step for all readers; the live one becomes the previous.

        What is withdrawn is taken out of it first. ``pin``: also pin it, in the same step, for this reason; a rollback
        does. Raises PinnedError when another generation is pinned and LostLockError when the lock was lost meanwhile:
        then nothing was switched.
        """
        if record.state not in (State.READY, State.PREVIOUS):
            raise CacheError(f"generation {record.id} is {record.state}, not verified; it was not published")
        with redis_faults(f"switching to generation {record.id}"):
            self._index.alias_target()
            take_out_withdrawn(self._index, record.id, now)
            live, records = self._generations()
            newest = max((r.published_at for r in records.values() if r.published_at), default=None)
            # Clocks differ between machines; the order of publishing must not, for a rollback goes by it.
            at = max(now, newest + timedelta(microseconds=1)) if newest else now
            record = replace(record, state=State.LIVE, published_at=at)
            fields = [LIVE_FIELD, record.id, record.id, record.to_json()]
            if live and live != record.id:
                fields += [live, replace(records[live], state=State.PREVIOUS).to_json()]
            pinning = "" if pin is None else Pin(record.id, now, pin).to_json()
            arguments = [lock.token, self.name, index_name(self.name, record.id), record.id, pinning, *fields]
            script = _PUBLISH if pin is None else _ROLLBACK
            switched: Any = self.client.eval(script, 2, lock.key, generations_key(self.name), *arguments)
        if switched == 2 and (found := self.pinned()):
            raise PinnedError(found)
        if switched != 1:
            raise LostLockError(f"lost the publishing lock; generation {record.id} was not published: run again")
        return record

    def prune(
        self, lock: PublishLock, *, keep: int = KEEP, spare: str | None = None, superseded: date | None = None
    ) -> tuple[str, ...]:
        """Remove every generation but the live one, the newest previous ones up to ``keep`` in all, the pinned one,
        ``spare``, and the one that is being filled, unless that is of ``superseded`` or an older day."""
        with redis_faults("removing older generations"):
            removed = tuple(sorted(self._left_over(keep, superseded) - {spare}))
            for generation in removed:
                lock.renew()  # a run that stood still must not remove what others have kept meanwhile
                self._remove(lock, generation)
            return removed

    # Inside

    def _remove(self, lock: PublishLock, generation: str) -> None:
        # The index and entries go first: as long as the record is there, a crash leaves nothing without a name.
        self._index.remove(generation, lock.renew)
        self.client.hdel(generations_key(self.name), generation)

    def _left_over(self, keep: int, superseded: date | None = None) -> set[str]:
        """Generations, by record or index, that nobody needs any more."""
        fields = self._fields()
        live, records = parse_generations(fields)
        pin = parse_pin(fields)
        filling = {
            r.id for r in records.values() if r.state == State.FILLING and not (superseded and r.as_of <= superseded)
        }
        # The alias target is served by stock readers even when the hash that names the live one was lost.
        kept = {live, self._index.alias_target(), pin and pin.generation, *filling}
        kept |= {r.id for r in self._previous(records)[: max(0, keep - 1)]}
        return {*records, *self._index.generations()} - kept

    @staticmethod
    def _previous(records: dict[str, GenerationRecord]) -> list[GenerationRecord]:
        """Generations that were live before, the last one first."""
        previous = [r for r in records.values() if r.state == State.PREVIOUS and r.published_at]
        return sorted(previous, key=lambda r: (r.published_at or r.created_at, r.id), reverse=True)

    def _is_whole(self, record: GenerationRecord) -> bool:
        return self._index.count(record.id) == record.entries

    def _fields(self) -> dict[str, str]:
        with redis_faults("reading the generations"):
            fields: Any = self.client.hgetall(generations_key(self.name))
        return {text(name): text(value) for name, value in fields.items()}

    def _generations(self) -> tuple[str | None, dict[str, GenerationRecord]]:
        return parse_generations(self._fields())

    def _write(self, lock: PublishLock, record: GenerationRecord) -> GenerationRecord:
        """Store a record. Raises LostLockError where the lock is another run's: its record may be newer."""
        arguments = (lock.key, generations_key(self.name), lock.token, record.id, record.to_json())
        if not self.client.eval(_WRITE, 2, *arguments):
            raise LostLockError(f"lost the publishing lock; generation {record.id} was not published: run again")
        return record
