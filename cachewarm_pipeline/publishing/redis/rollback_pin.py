"""Going back: a rollback switches and pins in one step, and no other generation becomes live until it is released."""

import logging
from dataclasses import replace
from datetime import datetime
from typing import Any

from cachewarm_client.generation_record import GenerationRecord, Pin
from cachewarm_client.keys import generations_key
from cachewarm_client.redis_index import redis_faults
from cachewarm_client.redis_search_commands import text
from cachewarm_client.wrong_hit_reports import shortened

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.generations import Generations
from cachewarm_pipeline.publishing.redis.load_entries import renew_found
from cachewarm_pipeline.publishing.redis.publish_lock import PublishLock

logger = logging.getLogger(__name__)

WHOLE_ENOUGH = 0.9
"""Share of its entries that a previous generation must still have to be gone back to."""

_RELEASE = """#!lua flags=allow-oom
local pinned = redis.call('HGET', KEYS[1], 'pinned')
redis.call('HDEL', KEYS[1], 'pinned')
return pinned
"""


class Pinning(Generations):
    """Rollback, pin and release."""

    def rollback(self, now: datetime, why: str = "", *, again: bool = False) -> GenerationRecord:
        """Make the previous generation live again and pin it; the live one becomes the previous, so a second call would
        undo it (and move the pin), for which it must say ``again``.

        Neither waits for a run that publishes nor for its entries: it takes the lock from that run, which then
        publishes nothing, switches, and begins the entries' time to live anew after that. ``why`` is kept with the pin,
        without personal data. Raises CacheError when there is none, one is pinned already, or less than
        ``WHOLE_ENOUGH`` of its entries are left.
        """
        with redis_faults("rolling back"), self.lock(now, by_force=True) as lock:
            if (pin := self.pinned()) and not again:
                raise CacheError(
                    f"already rolled back: {pin.generation} is live and pinned since {pin.since:%Y-%m-%d %H:%M} UTC; a "
                    "second rollback brings back what the first one fled, and takes `--again` (in the UI `again: true`)"
                )
            _, records = self._generations()
            previous = self._previous(records)
            if not previous:
                raise CacheError(f"cache {self.name!r} has no previous generation to go back to; nothing was changed")
            left, planned = self._index.count(previous[0].id), previous[0].entries
            if left < WHOLE_ENOUGH * planned:
                raise CacheError(
                    f"the previous generation {previous[0].id} has only {left:,} of its {planned:,} entries left "
                    f"(expired or deleted) and going back needs {WHOLE_ENOUGH:.0%}, so nothing was changed"
                )
            record = self.switch(lock, previous[0], now, pin=shortened(why))
            try:
                with redis_faults("beginning the time to live anew"):
                    self._renew_found(lock, record, now)
            except CacheError as error:  # what serves is right already; a publish does it again
                logger.warning("rolled back, but: %s", error)
            return record

    def release(self, now: datetime) -> Pin | None:
        """Let new generations be published again; returns the pin that was removed, None where there was none."""
        with redis_faults("releasing the pinned generation"):
            found: Any = self.client.eval(_RELEASE, 1, generations_key(self.name))
        if found is None:
            return None
        try:
            pin = Pin.from_json(text(found))
        except CacheError:
            pin = Pin("(a damaged pin)", now)
        logger.info("released generation %s, which was pinned for %s", pin.generation, now - pin.since)
        return pin

    def keep_pinned(self, now: datetime) -> bool:
        """Begin the time to live of the pinned generation anew when it is past half of it; whether that was done.

        A publish that finds a pin does so; whoever does not publish for days calls it.
        """
        if not self._pinned_ages(now):
            return False
        with redis_faults("keeping the pinned generation"), self.lock(now) as lock:
            if record := self._pinned_ages(now):
                self._renew_found(lock, record, now)
        return record is not None

    # Inside

    def _pinned_ages(self, now: datetime) -> GenerationRecord | None:
        """The pinned generation when it is past half of its life."""
        pin = self.pinned()
        record = self._generations()[1].get(pin.generation) if pin else None
        return record if record and record.past_half_life(now) else None

    def _renew_found(self, lock: PublishLock, record: GenerationRecord, now: datetime) -> None:
        """Begin the time to live of the entries that are there anew, without their plan."""
        lock.renew()
        renew_found(self.client, self.name, record, self._index.agent_types(record.id), lock.renew)
        self._write(lock, replace(record, renewed_at=now))
