"""Publishing a plan as a whole: build, verify, switch, prune. The same plan of the same day is written once.

A generation is built beside the live one under its own key prefix and index, verified, and only then made live. So a
crash at any point leaves a whole generation serving, and the next run removes what was left.
"""

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import redis
from cachewarm_client.generation_record import GenerationRecord, State
from cachewarm_client.keys import may_replace, whole_key
from cachewarm_client.redis_index import redis_faults

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.generations import PinnedError
from cachewarm_pipeline.publishing.redis.load_entries import mark_whole, renew_ttls, server_seconds
from cachewarm_pipeline.publishing.redis.publish_lock import LostLockError, PublishLock
from cachewarm_pipeline.publishing.redis.publish_request import How, Published, Wanted
from cachewarm_pipeline.publishing.redis.rollback_pin import Pinning
from cachewarm_pipeline.publishing.redis.withdraw_answers import settle, unsettled

logger = logging.getLogger(__name__)


class Publishing(Pinning):
    """Publishing, all at once."""

    def publish(self, plan: pa.Table, vectors: np.ndarray, **how: Unpack[How]) -> Published:
        """Make a plan live: build, verify, switch, prune. The same plan of the same day is written once.

        ``plan`` is a WARMING_PLAN table, ``vectors`` float32 (its rows, dimensions) of unit length in its order.
        A plan of an older day than the live one's is not published unless ``allow_rollback``, nor any other while a
        generation is pinned; ``why_not`` tells so. A generation of the same or an older day that is being filled is
        superseded and removed.
        Raises CacheError when the plan cannot be loaded, another run is publishing, Redis is lost or refuses, or what
        was loaded does not verify; the live generation is then as it was.
        """
        wanted = Wanted.of(plan, vectors, how, self._clock())
        now, as_of = wanted.now, wanted.record.as_of
        with redis_faults("publishing"):
            if (live := self._serving(wanted)) and not self._due(live, wanted, as_of):
                return self._unchanged(live, wanted)
            if why := self._pinned_to_another(wanted):
                self.keep_pinned(now)
                return self._stays(wanted, why)
            try:
                with self.lock(now, wanted.progress) as lock:
                    if why := self._newer(wanted):
                        return self._stays(wanted, why)
                    there, removed = self._put_live(lock, wanted, as_of)
                    if there:
                        return there
                    record, written = self._build_and_verify(lock, wanted)
                    return self._go_live(lock, wanted, record, written, removed, as_of)
            except (PinnedError, LostLockError) as error:
                return self._stopped(wanted, error)

    # Inside

    def _serving(self, wanted: Wanted) -> GenerationRecord | None:
        """The live generation, when every reader finds in it exactly what is wanted."""
        target = self._index.alias_target()  # first of all: the name may belong to somebody else
        live = self.live()
        whole = live and live.id == target and live.same_content(wanted.record) and self._is_whole(live)
        return live if whole else None

    def _due(self, record: GenerationRecord, wanted: Wanted, superseded: date | None) -> bool:
        """Whether a generation of what is wanted, which is live, still has something to be done for it."""
        return bool(
            self._ages(record, wanted)
            or unsettled(self._index, record.id, wanted.plan)
            or self._left_over(wanted.keep, superseded)
        )

    def _ages(self, record: GenerationRecord, wanted: Wanted) -> bool:
        """Whether its entries' time to live is to begin anew: past half of it, or a mark of wholeness is missing."""
        keys = [whole_key(self.name, record.id, name) for name in pc.unique(wanted.plan["agent_type"]).to_pylist()]
        return record.past_half_life(wanted.now) or self.client.exists(*keys) < len(keys)

    def _pinned_to_another(self, wanted: Wanted) -> str:
        """Why nothing may be published now; empty where nothing is pinned, or just what is wanted."""
        if not (pin := self.pinned()):
            return ""
        record = self._generations()[1].get(pin.generation)
        return "" if record and record.same_content(wanted.record) and self._is_whole(record) else pin.describe()

    def _newer(self, wanted: Wanted) -> str:
        """Why an older plan is not published. Asked under the lock: another run may have published since."""
        live = self.live()
        if not live or may_replace(live.as_of, wanted.record.as_of, wanted.allow_rollback, live.partial):
            return ""
        return f"the live generation {live.id} is newer (CACHEWARM_ALLOW_ROLLBACK=true replaces it all the same)"

    def _stopped(self, wanted: Wanted, error: CacheError) -> Published:
        """Of a publish that lost to a rollback, which is no fault. Raises the error where nothing is pinned."""
        if not (why := self._pinned_to_another(wanted)):
            raise error
        return self._stays(wanted, why)

    def _put_live(
        self, lock: PublishLock, wanted: Wanted, superseded: date | None
    ) -> tuple[Published | None, tuple[str, ...]]:
        """Make what is wanted live where it is there already and whole; None where it must be loaded. And the
        generations that were removed, which makes room."""
        live = self._serving(wanted)
        there = live or self._already_there(wanted)
        renewed = there is not None and self._ages(there, wanted)
        if there and renewed:
            there = self._renew_ttls(lock, there, wanted)
        spare = there.id if there else None
        removed = self.prune(lock, keep=wanted.keep, spare=spare, superseded=superseded if there and live else None)
        if not there:
            return None, removed
        if live:
            self._settle(lock, there, wanted)
            return replace(self._unchanged(there, wanted), removed=removed, ttls_renewed=renewed), removed
        wanted.progress(f"generation {there.id} is already there and whole")
        record = self.verify(lock, there, wanted.plan, wanted.vectors)
        done = self._go_live(lock, wanted, record, 0, removed, superseded)
        return replace(done, ttls_renewed=renewed, seconds=self._clock() - wanted.started), removed

    def _go_live(
        self,
        lock: PublishLock,
        wanted: Wanted,
        record: GenerationRecord,
        written: int,
        removed: tuple[str, ...],
        superseded: date | None,
    ) -> Published:
        """Switch to a verified generation of what is wanted, then remove what is left over."""
        self._settle(lock, record, wanted)
        self.switch(lock, record, wanted.now)
        removed += self._prune_quietly(lock, wanted, superseded)
        whole = record.entries
        return Published(
            record.id,
            whole,
            written,
            False,
            removed,
            self._clock() - wanted.started,
            loaded=whole,
            of=whole,
        )

    def _prune_quietly(self, lock: PublishLock, wanted: Wanted, superseded: date | None) -> tuple[str, ...]:
        """The plan is live, so a fault here is no failure; the next run removes the rest."""
        try:
            return self.prune(lock, keep=wanted.keep, superseded=superseded)
        except CacheError as error:
            logger.warning("older generations were not removed now: %s", error)
            return ()

    def _unchanged(self, live: GenerationRecord, wanted: Wanted) -> Published:
        seconds = self._clock() - wanted.started
        return Published(live.id, live.entries, 0, True, (), seconds, loaded=live.entries, of=live.entries)

    def _stays(self, wanted: Wanted, why_not: str) -> Published:
        """Nothing is published, for this reason."""
        live = self.live()
        entries, seconds = live.entries if live else 0, self._clock() - wanted.started
        return Published(
            live.id if live else "", entries, 0, False, (), seconds, why_not=why_not, loaded=entries, of=entries
        )

    def _settle(self, lock: PublishLock, record: GenerationRecord, wanted: Wanted) -> None:
        lock.renew()
        changes = settle(self._index, record.id, wanted.plan, wanted.now)
        if changes.bring_back:
            wanted.progress(f"{len(changes.bring_back):,} reinstated entries are back in service")

    def _renew_ttls(self, lock: PublishLock, record: GenerationRecord, wanted: Wanted) -> GenerationRecord | None:
        """Begin its entries' time to live anew; None when one expired meanwhile, so that it is built again."""
        since = server_seconds(self.client)
        if renew_ttls(self.client, self.name, record, wanted.plan, lock.renew):
            return None
        mark_whole(self.client, self.name, record, wanted.plan, since)
        lock.renew()
        wanted.progress(f"renewed the time to live of {record.entries:,} entries")
        return self._write(lock, replace(record, renewed_at=wanted.now))

    def _already_there(self, wanted: Wanted) -> GenerationRecord | None:
        """A whole generation of the same content: one that was rolled back, or that a run killed before its switch."""
        for record in self._generations()[1].values():
            finished = record.state not in (State.BUILDING, State.FILLING)
            if finished and record.same_content(wanted.record) and self._is_whole(record):
                return record
        return None

    def _new_record(self, wanted: Wanted, state: State) -> GenerationRecord:
        """A record under an id that nothing in Redis has."""
        _, records = self._generations()
        taken = {*records, *self._index.generations()}
        own = wanted.record.id
        ids = (f"{own}-r{n}" if n > 1 else own for n in range(1, len(taken) + 2))
        return replace(wanted.record, id=next(i for i in ids if i not in taken), state=state)

    def _build_and_verify(self, lock: PublishLock, wanted: Wanted) -> tuple[GenerationRecord, int]:
        record = self._new_record(wanted, State.BUILDING)
        try:
            self.begin(lock, record)
            written = self.load(lock, record, wanted.plan, wanted.vectors, wanted.progress)
            wanted.progress(f"loaded {written:,} entries, verifying")
            return self.verify(lock, record, wanted.plan, wanted.vectors), written
        except BaseException:
            with suppress(redis.RedisError, CacheError):  # where this fails too, the next run removes it
                self._remove(lock, record.id)
            raise
