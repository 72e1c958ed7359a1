"""The steps in the life of a generation: begin, load, verify, switch, prune. Other modules decide their order.

One script moves the alias (which stock readers open) and the ``live`` field (which our reader opens) together, and
writes a rollback's pin with them. So a crash at any point leaves one whole generation serving.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from cachewarm_client.generation_record import LIVE_FIELD, GenerationRecord, Pin, State
from cachewarm_client.keys import generations_key, index_name
from cachewarm_client.redis_index import CacheIndex, redis_faults

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis import verify_generation
from cachewarm_pipeline.publishing.redis.entry_ttls import mark_whole, renew_ttls, server_seconds
from cachewarm_pipeline.publishing.redis.generation_records import GenerationRecords
from cachewarm_pipeline.publishing.redis.load_entries import load_entries
from cachewarm_pipeline.publishing.redis.publish_lock import LostLockError, PublishLock
from cachewarm_pipeline.publishing.redis.withdrawals import Withdrawals

logger = logging.getLogger(__name__)

KEEP = 2
"""Generations kept: the live one and the one before it, for a rollback."""

_PROGRESS_EVERY = 5_000
"""Entries between two progress lines."""

# Redis runs a script as one step and stops it at its first error. So the alias never moves without the ``live`` field,
# after the lock was lost, or away from a generation that a rollback pinned. On a full server the publish script is
# refused as a whole; the rollback script is allowed to run there.
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


class PinnedError(CacheError):
    """A rollback pinned another generation, so this one was not published."""

    def __init__(self, pin: Pin) -> None:
        super().__init__(pin.describe())


class GenerationLifecycle:
    """The steps that change the generations of one cache name. Each needs the publishing lock.

    Every method raises CacheError, with a message of one line, when Redis is lost or refuses a command.
    """

    def __init__(
        self,
        index: CacheIndex,
        records: GenerationRecords,
        withdrawals: Withdrawals,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._index = index
        self._records = records
        self._withdrawals = withdrawals
        self._clock = clock
        self._sleep = sleep

    def begin(self, lock: PublishLock, record: GenerationRecord) -> None:
        """Create the record and the index of a new generation, which nothing serves yet. Safe to repeat."""
        with redis_faults(f"building generation {record.id}"):
            self._records.write(lock, record)  # first: whatever a crash leaves behind has a record that names it
            if self._index.info(index_name(self._index.name, record.id)) is None:
                self._index.create(record.id, record.dimensions)
            # An entry that is loaded while the engine still reads older keys would be indexed twice.
            verify_generation.wait_until_scanned(self._index, record.id, self._clock, self._sleep, lock.renew)

    def load(
        self,
        lock: PublishLock,
        record: GenerationRecord,
        plan: pa.Table,
        vectors: np.ndarray,
        progress: Callable[[str], Any] = logger.info,
    ) -> int:
        """Write entries of a generation that was begun; returns how many. ``plan`` is the whole plan or a part of it.

        Writing an entry again is harmless, so a part that was interrupted is loaded again as a whole.
        """

        def before_batch(sent: int) -> None:
            lock.renew()
            if sent % _PROGRESS_EVERY == 0 and sent:
                progress(f"loaded {sent:,} of {plan.num_rows:,} entries")

        with redis_faults(f"loading generation {record.id}"):
            return load_entries(self._index.client, self._index.name, record, plan, vectors, before_batch)

    def check_servable(self, lock: PublishLock, record: GenerationRecord, plan: pa.Table, vectors: np.ndarray) -> None:
        """Raises CacheError when a loaded generation may not be served; UnservableError when waiting cannot help."""
        with redis_faults(f"verifying generation {record.id}"):
            verify_generation.wait_until_scanned(self._index, record.id, self._clock, self._sleep, lock.renew)
            verify_generation.check_count(self._index, record)
            verify_generation.check_self_lookups(self._index, record, plan, vectors, lock.renew)

    def verify(
        self, lock: PublishLock, record: GenerationRecord, plan: pa.Table, vectors: np.ndarray
    ) -> GenerationRecord:
        """Check that a loaded generation may be served, and mark it ready. Raises CacheError when it may not."""
        self.check_servable(lock, record, plan, vectors)
        with redis_faults(f"verifying generation {record.id}"):
            return self._records.write(lock, replace(record, state=State.READY))

    def switch(
        self, lock: PublishLock, record: GenerationRecord, now: datetime, *, pin: str | None = None
    ) -> GenerationRecord:
        """Make a verified generation live, in one step for all readers; the live one becomes the previous one.

        Withdrawn answers are taken out of it first. ``pin``: a rollback also pins the generation, in the same step, and
        this is its reason. Raises PinnedError when another generation is pinned, and LostLockError when the lock was
        lost meanwhile; nothing was switched then.
        """
        if record.state not in (State.READY, State.PREVIOUS):
            raise CacheError(f"generation {record.id} is {record.state}, not verified; it was not published")
        with redis_faults(f"switching to generation {record.id}"):
            self._index.alias_target()
            self._withdrawals.take_out_withdrawn(record.id, now)
            live, records = self._records.by_id()
            newest = max((r.published_at for r in records.values() if r.published_at), default=None)
            # Clocks differ between machines. A rollback relies on the order of publishing, so that order must not
            # depend on them.
            at = max(now, newest + timedelta(microseconds=1)) if newest else now
            record = replace(record, state=State.LIVE, published_at=at)
            fields = [LIVE_FIELD, record.id, record.id, record.to_json()]
            if live and live != record.id:
                fields += [live, replace(records[live], state=State.PREVIOUS).to_json()]
            pinning = "" if pin is None else Pin(record.id, now, pin).to_json()
            name = self._index.name
            arguments = [lock.token, name, index_name(name, record.id), record.id, pinning, *fields]
            script = _PUBLISH if pin is None else _ROLLBACK
            switched: Any = self._index.client.eval(script, 2, lock.key, generations_key(name), *arguments)
        if switched == 2 and (found := self._records.pinned()):
            raise PinnedError(found)
        if switched != 1:
            raise LostLockError(f"lost the publishing lock; generation {record.id} was not published: run again")
        return record

    def prune(
        self, lock: PublishLock, *, keep: int = KEEP, spare: str | None = None, superseded: date | None = None
    ) -> tuple[str, ...]:
        """Remove the generations that nothing needs (``GenerationRecords.removable``) but ``spare``; returns them."""
        with redis_faults("removing older generations"):
            removed = tuple(sorted(self._records.removable(keep, superseded) - {spare}))
            for generation in removed:
                lock.renew()  # a run that stalled must not remove what other runs have kept meanwhile
                self.remove(lock, generation)
            return removed

    def remove(self, lock: PublishLock, generation: str) -> None:
        """Remove a generation. Raises redis-py's exceptions."""
        # The index and the entries go first. While the record exists, a crash leaves nothing behind without a name.
        self._index.remove(generation, lock.renew)
        self._records.delete(generation)

    def renew_ttls(
        self, lock: PublishLock, record: GenerationRecord, plan: pa.Table, now: datetime
    ) -> GenerationRecord | None:
        """Restart the TTL of every entry; returns the record with its new renewal time.

        Returns None when an entry has expired meanwhile: then the generation has to be built again. Raises redis-py's
        exceptions.
        """
        client, name = self._index.client, self._index.name
        since = server_seconds(client)
        if renew_ttls(client, name, record, plan, lock.renew):
            return None
        mark_whole(client, name, record, plan, since)
        lock.renew()
        return self._records.write(lock, replace(record, renewed_at=now))
