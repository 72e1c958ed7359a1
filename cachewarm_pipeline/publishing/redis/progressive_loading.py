"""Publishes a plan progressively: each call loads as many entries as it may, and the last call publishes.

A generation that is being loaded has a record in state ``filling`` beside the live one, and no reader uses it. The
record shows how many entries are loaded, so any process can go on after any stop.
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
from cachewarm_client.redis_index import CacheIndex, redis_faults

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.entry_ttls import mark_whole, renew_ttls, server_seconds
from cachewarm_pipeline.publishing.redis.generation_lifecycle import GenerationLifecycle, PinnedError
from cachewarm_pipeline.publishing.redis.generation_records import GenerationRecords
from cachewarm_pipeline.publishing.redis.publish import Publisher
from cachewarm_pipeline.publishing.redis.publish_checks import PublishChecks
from cachewarm_pipeline.publishing.redis.publish_lock import LostLockError, PublishLock, PublishLocks
from cachewarm_pipeline.publishing.redis.publish_request import PublishOptions, PublishRequest, PublishResult
from cachewarm_pipeline.publishing.redis.rollback_pin import Rollbacks
from cachewarm_pipeline.publishing.redis.verify_generation import UnservableError

Allowance = Callable[[datetime | None], int]
"""Gets the time when entries were last written (None: never) and returns how many may be written now."""


class ProgressiveLoader:
    """Publishes plans of one cache name progressively."""

    def __init__(
        self,
        index: CacheIndex,
        records: GenerationRecords,
        locks: PublishLocks,
        lifecycle: GenerationLifecycle,
        rollbacks: Rollbacks,
        checks: PublishChecks,
        publisher: Publisher,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._index = index
        self._records = records
        self._locks = locks
        self._lifecycle = lifecycle
        self._rollbacks = rollbacks
        self._checks = checks
        self._publisher = publisher
        self._clock = clock

    def publish_some(
        self, plan: pa.Table, vectors: np.ndarray, *, allowance: Allowance, **options: Unpack[PublishOptions]
    ) -> PublishResult:
        """Load as much of a plan as the allowance permits, and publish it once it is whole. See
        ``CacheStore.publish_some``."""
        request = PublishRequest.of(plan, vectors, options, self._clock())
        with redis_faults("publishing progressively"):
            if (live := self._checks.serving(request)) and not self._checks.needs_upkeep(live, request, None):
                return self._publisher.unchanged(live, request)
            if (why := self._checks.why_pinned(request)) and allowance(None) > 0:
                self._rollbacks.keep_pinned_alive(request.now)
            if why:
                return self._publisher.not_published(request, why)
            try:
                with self._locks.acquire(request.now, request.progress) as lock:
                    return self._tick(lock, request, allowance)
            except (PinnedError, LostLockError) as error:
                return self._publisher.stopped_by_rollback(request, error)

    def drop_filling(self, now: datetime) -> str | None:
        """Remove the generation that is being filled; returns its id, None when there is none."""
        with redis_faults("removing the generation that is being filled"), self._locks.acquire(now) as lock:
            if not (record := self._records.filling()):
                return None
            self._lifecycle.remove(lock, record.id)
            return record.id

    # Inside

    def _tick(self, lock: PublishLock, request: PublishRequest, allowance: Allowance) -> PublishResult:
        if why := self._checks.why_older(request):
            return self._publisher.not_published(request, why)
        filling = self._records.filling()
        replanned = filling and filling.as_of == request.record.as_of and not filling.same_content(request.record)
        # In peak hours nothing is written, so nothing is removed either.
        if filling and replanned and allowance(filling.filled_at) > 0:
            request.progress(f"the day of {filling.id} was planned again while it was being filled: starting over")
            self._lifecycle.remove(lock, filling.id)
            filling = None
        if filling and not filling.same_content(request.record):
            loaded = f"{filling.loaded:,} of {filling.entries:,}"
            why = f"generation {filling.id} is still being filled ({loaded}); it is finished first"
            result = self._publisher.not_published(request, why)
            return replace(result, loaded=0, planned=request.record.entries, waits=True)
        allowed = allowance(filling.filled_at if filling else None)
        if allowed <= 0:
            if live := self._checks.serving(request):
                return self._publisher.unchanged(live, request)
            return self._still_loading(request, filling.loaded if filling else 0, 0)
        done, removed = self._publisher.publish_without_loading(lock, request, None)
        if done:
            return done
        record = filling or self._publisher.new_record(request, State.FILLING)
        record, written = self._load_next(lock, request, record, allowed)
        if record.loaded < record.entries:
            return self._still_loading(request, record.loaded, written)
        record, reloaded, gone = self._replace_expired(lock, request, record, allowed - written)
        if gone:
            return self._still_loading(request, record.entries - gone, written + reloaded)
        request.progress(f"loaded all {record.entries:,} entries, verifying")
        try:
            self._lifecycle.check_servable(lock, record, request.plan, request.vectors)
        except UnservableError:
            with suppress(redis.RedisError, CacheError):  # if this fails too, the next call finds the fault again
                self._lifecycle.remove(lock, record.id)
            raise
        # In Redis the record stays `filling` until it is live: a run that is killed before the switch must not leave a
        # generation that the next run prunes.
        ready = replace(record, state=State.READY)
        return self._publisher.go_live(lock, request, ready, written + reloaded, removed, None)

    def _load_next(
        self, lock: PublishLock, request: PublishRequest, record: GenerationRecord, allowed: int
    ) -> tuple[GenerationRecord, int]:
        """Load the next entries; returns the record with its new count, and how many entries were written."""
        self._lifecycle.begin(lock, record)
        start = record.loaded
        part = request.plan.slice(start, allowed)
        if part.num_rows == 0:
            return record, 0
        vectors = request.vectors[start : start + part.num_rows]
        written = self._lifecycle.load(lock, record, part, vectors, request.progress)
        # After the load: a run that is killed before this line loads the same entries again, which is harmless.
        return self._records.write(lock, replace(record, loaded=start + written, filled_at=request.now)), written

    def _replace_expired(
        self, lock: PublishLock, request: PublishRequest, record: GenerationRecord, allowed: int
    ) -> tuple[GenerationRecord, int, int]:
        """Restart all TTLs and load the entries that have expired meanwhile, as many as are allowed.

        Returns the record, how many were loaded, and how many are still missing.
        """
        client, name = self._index.client, self._index.name
        since = server_seconds(client)
        gone = renew_ttls(client, name, record, request.plan, lock.renew)
        reloaded = gone[:allowed]
        if reloaded:
            part, vectors = request.plan.take(reloaded), request.vectors[reloaded]
            self._lifecycle.load(lock, record, part, vectors, request.progress)
            record = self._records.write(lock, replace(record, filled_at=request.now))
        if len(gone) > len(reloaded):
            return record, len(reloaded), len(gone) - len(reloaded)
        mark_whole(client, name, record, request.plan, since)
        return replace(record, renewed_at=request.now), len(reloaded), 0

    def _still_loading(self, request: PublishRequest, loaded: int, written: int) -> PublishResult:
        planned = request.record.entries
        result = self._publisher.not_published(request, f"loading: {loaded:,} of {planned:,} entries")
        return replace(result, written=written, loaded=loaded, planned=planned, waits=True)
