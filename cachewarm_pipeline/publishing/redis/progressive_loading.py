"""Publishing a plan little by little: each call loads what it is allowed to, and the last one publishes.

A generation in the making is a record of state ``filling`` beside the live one; nothing reads from it. Its record tells
how far it is, so it goes on after any stop, in any process.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Unpack

import numpy as np
import pyarrow as pa
import redis
from cachewarm_client.generation_record import GenerationRecord, State
from cachewarm_client.redis_index import redis_faults

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.generations import PinnedError
from cachewarm_pipeline.publishing.redis.load_entries import mark_whole, renew_ttls, server_seconds
from cachewarm_pipeline.publishing.redis.publish import Publishing
from cachewarm_pipeline.publishing.redis.publish_lock import LostLockError, PublishLock
from cachewarm_pipeline.publishing.redis.publish_request import How, Published, Wanted
from cachewarm_pipeline.publishing.redis.verify_generation import UnprovenError

Allowance = Callable[[datetime | None], int]
"""How many entries may be written now, given when some were last written."""


class Filling(Publishing):
    """Publishing, little by little."""

    def publish_some(
        self, plan: pa.Table, vectors: np.ndarray, *, allowance: Allowance, **how: Unpack[How]
    ) -> Published:
        """As ``publish``, but this call writes at most ``allowance(when some were last written)`` entries.

        Until all are loaded ``why_not`` tells how far it is. Then their time to live begins anew, those that expired
        meanwhile are loaded again (within the allowance), and the generation is verified as a whole and published.
        While a generation of another content is being filled, that one is to be finished first (or ``drop_filling``).
        With an allowance of 0 nothing is written but the lock.
        Raises CacheError as ``publish`` does; what is loaded stays, unless it is not what was planned.
        """
        wanted = Wanted.of(plan, vectors, how, self._clock())
        with redis_faults("publishing little by little"):
            if (live := self._serving(wanted)) and not self._due(live, wanted, None):
                return self._unchanged(live, wanted)
            if (why := self._pinned_to_another(wanted)) and allowance(None) > 0:
                self.keep_pinned(wanted.now)
            if why:
                return self._stays(wanted, why)
            try:
                with self.lock(wanted.now, wanted.progress) as lock:
                    return self._tick(lock, wanted, allowance)
            except (PinnedError, LostLockError) as error:
                return self._stopped(wanted, error)

    def drop_filling(self, now: datetime) -> str | None:
        """Remove the generation that is being filled, for when its plan is gone; returns its id, None without one."""
        with redis_faults("removing the generation that is being filled"), self.lock(now) as lock:
            if not (record := self.filling()):
                return None
            self._remove(lock, record.id)
            return record.id

    # Inside

    def _tick(self, lock: PublishLock, wanted: Wanted, allowance: Allowance) -> Published:
        if why := self._newer(wanted):
            return self._stays(wanted, why)
        filling = self.filling()
        replanned = filling and filling.as_of == wanted.record.as_of and not filling.same_content(wanted.record)
        # In peak hours nothing is written, so nothing is removed either.
        if filling and replanned and allowance(filling.filled_at) > 0:
            wanted.progress(f"{filling.id} was being filled, but its day has another plan by now: beginning anew")
            self._remove(lock, filling.id)
            filling = None
        if filling and not filling.same_content(wanted.record):
            far = f"{filling.loaded:,} of {filling.entries:,}"
            why = f"generation {filling.id} is still being filled ({far}); it is finished first"
            return replace(self._stays(wanted, why), loaded=0, of=wanted.record.entries, waits=True)
        allowed = allowance(filling.filled_at if filling else None)
        if allowed <= 0:
            if live := self._serving(wanted):
                return self._unchanged(live, wanted)
            return self._so_far(wanted, filling.loaded if filling else 0, 0)
        there, removed = self._put_live(lock, wanted, None)
        if there:
            return there
        record, written = self._fill(lock, wanted, filling or self._new_record(wanted, State.FILLING), allowed)
        if record.loaded < record.entries:
            return self._so_far(wanted, record.loaded, written)
        record, again, gone = self._complete(lock, wanted, record, allowed - written)
        if gone:
            return self._so_far(wanted, record.entries - gone, written + again)
        wanted.progress(f"loaded all {record.entries:,} entries, verifying")
        try:
            self.prove(lock, record, wanted.plan, wanted.vectors)
        except UnprovenError:
            with suppress(redis.RedisError, CacheError):  # where this fails too, the next call finds it out again
                self._remove(lock, record.id)
            raise
        # In Redis it stays `filling` until it is live: a run that dies before the switch leaves nothing to be pruned.
        ready = replace(record, state=State.READY)
        return self._go_live(lock, wanted, ready, written + again, removed, None)

    def _fill(
        self, lock: PublishLock, wanted: Wanted, record: GenerationRecord, allowed: int
    ) -> tuple[GenerationRecord, int]:
        """Load the next entries; returns how far the generation is and how many were written."""
        self.begin(lock, record)
        at = record.loaded
        part = wanted.plan.slice(at, allowed)
        if part.num_rows == 0:
            return record, 0
        written = self.load(lock, record, part, wanted.vectors[at : at + part.num_rows], wanted.progress)
        # Only now: a run that dies before it loads the same entries again, which is harmless.
        return self._write(lock, replace(record, loaded=at + written, filled_at=wanted.now)), written

    def _complete(
        self, lock: PublishLock, wanted: Wanted, record: GenerationRecord, allowed: int
    ) -> tuple[GenerationRecord, int, int]:
        """Begin all entries' time to live anew and load those that expired since; returns how many were loaded and how
        many are still gone."""
        since = server_seconds(self.client)
        gone = renew_ttls(self.client, self.name, record, wanted.plan, lock.renew)
        again = gone[:allowed]
        if again:
            self.load(lock, record, wanted.plan.take(again), wanted.vectors[again], wanted.progress)
            record = self._write(lock, replace(record, filled_at=wanted.now))
        if len(gone) > len(again):
            return record, len(again), len(gone) - len(again)
        mark_whole(self.client, self.name, record, wanted.plan, since)
        return replace(record, renewed_at=wanted.now), len(again), 0

    def _so_far(self, wanted: Wanted, loaded: int, written: int) -> Published:
        of = wanted.record.entries
        why = f"loading: {loaded:,} of {of:,} entries"
        return replace(self._stays(wanted, why), written=written, loaded=loaded, of=of, waits=True)
