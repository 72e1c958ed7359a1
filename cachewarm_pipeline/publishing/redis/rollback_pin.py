"""Going back to the previous generation. A rollback switches and pins in one step, and no other generation becomes live
until the pin is released.
"""

import logging
from dataclasses import replace
from datetime import datetime
from typing import Any

from cachewarm_client.generation_record import GenerationRecord, Pin
from cachewarm_client.keys import generations_key
from cachewarm_client.redis_index import CacheIndex, redis_faults
from cachewarm_client.redis_search_commands import text
from cachewarm_client.wrong_hit_reports import shortened

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.entry_ttls import renew_found_ttls
from cachewarm_pipeline.publishing.redis.generation_lifecycle import GenerationLifecycle
from cachewarm_pipeline.publishing.redis.generation_records import GenerationRecords
from cachewarm_pipeline.publishing.redis.publish_lock import PublishLock, PublishLocks

logger = logging.getLogger(__name__)

WHOLE_ENOUGH = 0.9
"""Share of its entries that a previous generation must still have for a rollback to it."""

_RELEASE = """#!lua flags=allow-oom
local pinned = redis.call('HGET', KEYS[1], 'pinned')
redis.call('HDEL', KEYS[1], 'pinned')
return pinned
"""


class Rollbacks:
    """Goes back to the previous generation of one cache name, and keeps and releases the pin.

    Every method raises CacheError, with a message of one line, when Redis is lost or refuses a command.
    """

    def __init__(
        self, index: CacheIndex, records: GenerationRecords, locks: PublishLocks, lifecycle: GenerationLifecycle
    ) -> None:
        self._index = index
        self._records = records
        self._locks = locks
        self._lifecycle = lifecycle

    def roll_back(self, now: datetime, why: str = "", *, again: bool = False) -> GenerationRecord:
        """Make the previous generation live and pin it. See ``CacheStore.rollback``."""
        with redis_faults("rolling back"), self._locks.acquire(now, by_force=True) as lock:
            if (pin := self._records.pinned()) and not again:
                raise CacheError(
                    f"already rolled back: {pin.generation} is live and pinned since {pin.since:%Y-%m-%d %H:%M} UTC; a "
                    "second rollback would restore the version you rolled back from, and takes `--again` (in the UI "
                    "`again: true`)"
                )
            previous = self._records.previous()
            if not previous:
                raise CacheError(
                    f"cache {self._index.name!r} has no previous generation to go back to; nothing was changed"
                )
            left, planned = self._index.count(previous[0].id), previous[0].entries
            if left < WHOLE_ENOUGH * planned:
                raise CacheError(
                    f"the previous generation {previous[0].id} has only {left:,} of its {planned:,} entries left "
                    f"(expired or deleted) and a rollback needs {WHOLE_ENOUGH:.0%}, so nothing was changed"
                )
            record = self._lifecycle.switch(lock, previous[0], now, pin=shortened(why))
            try:
                with redis_faults("renewing the time to live"):
                    self.renew_ttls(lock, record, now)
            except CacheError as error:  # the right generation serves already; the next publish renews again
                logger.warning("rolled back, but: %s", error)
            return record

    def release(self, now: datetime) -> Pin | None:
        """Remove the pin, so that generations can be published again; returns it, None when nothing was pinned."""
        with redis_faults("releasing the pinned generation"):
            found: Any = self._index.client.eval(_RELEASE, 1, generations_key(self._index.name))
        if found is None:
            return None
        try:
            pin = Pin.from_json(text(found))
        except CacheError:
            pin = Pin("(a damaged pin)", now)
        logger.info("released generation %s, which was pinned for %s", pin.generation, now - pin.since)
        return pin

    def keep_pinned_alive(self, now: datetime) -> bool:
        """Restart the TTLs of the pinned generation when they are half over. See ``CacheStore.keep_pinned``."""
        if not self._aging_pinned(now):
            return False
        with redis_faults("keeping the pinned generation"), self._locks.acquire(now) as lock:
            if record := self._aging_pinned(now):
                self.renew_ttls(lock, record, now)
        return record is not None

    def renew_ttls(self, lock: PublishLock, record: GenerationRecord, now: datetime) -> None:
        """Restart the TTLs of the entries that still exist, without their plan. Raises redis-py's exceptions."""
        lock.renew()
        entries = self._index.agent_types(record.id)
        renew_found_ttls(self._index.client, self._index.name, record, entries, lock.renew)
        self._records.write(lock, replace(record, renewed_at=now))

    def _aging_pinned(self, now: datetime) -> GenerationRecord | None:
        """The pinned generation, when it is past half of its life."""
        pin = self._records.pinned()
        record = self._records.get(pin.generation) if pin else None
        return record if record and record.past_half_life(now) else None
