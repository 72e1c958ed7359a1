"""Publishes a plan as a whole: build, verify, switch, prune.

A generation is built beside the live one, under its own key prefix and index. It is verified, and only then made live.
So a crash at any point leaves a whole generation serving, and the next run removes the leftovers.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import Unpack

import numpy as np
import pyarrow as pa
import redis
from cachewarm_client.generation_record import GenerationRecord, State
from cachewarm_client.redis_index import redis_faults

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.generation_lifecycle import GenerationLifecycle, PinnedError
from cachewarm_pipeline.publishing.redis.generation_records import GenerationRecords
from cachewarm_pipeline.publishing.redis.publish_checks import PublishChecks
from cachewarm_pipeline.publishing.redis.publish_lock import LostLockError, PublishLock, PublishLocks
from cachewarm_pipeline.publishing.redis.publish_request import PublishOptions, PublishRequest, PublishResult
from cachewarm_pipeline.publishing.redis.rollback_pin import Rollbacks
from cachewarm_pipeline.publishing.redis.withdrawals import Withdrawals

logger = logging.getLogger(__name__)


class Publisher:
    """Publishes plans of one cache name, and has the steps that progressive loading shares."""

    def __init__(
        self,
        records: GenerationRecords,
        locks: PublishLocks,
        lifecycle: GenerationLifecycle,
        withdrawals: Withdrawals,
        rollbacks: Rollbacks,
        checks: PublishChecks,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._records = records
        self._locks = locks
        self._lifecycle = lifecycle
        self._withdrawals = withdrawals
        self._rollbacks = rollbacks
        self._checks = checks
        self._clock = clock

    def publish(self, plan: pa.Table, vectors: np.ndarray, **options: Unpack[PublishOptions]) -> PublishResult:
        """Make a plan live. See ``CacheStore.publish``."""
        request = PublishRequest.of(plan, vectors, options, self._clock())
        now, as_of = request.now, request.record.as_of
        with redis_faults("publishing"):
            if (live := self._checks.serving(request)) and not self._checks.needs_upkeep(live, request, as_of):
                return self.unchanged(live, request)
            if why := self._checks.why_pinned(request):
                self._rollbacks.keep_pinned_alive(now)
                return self.not_published(request, why)
            try:
                with self._locks.acquire(now, request.progress) as lock:
                    if why := self._checks.why_older(request):
                        return self.not_published(request, why)
                    done, removed = self.publish_without_loading(lock, request, as_of)
                    if done:
                        return done
                    record, written = self._build_and_verify(lock, request)
                    return self.go_live(lock, request, record, written, removed, as_of)
            except (PinnedError, LostLockError) as error:
                return self.stopped_by_rollback(request, error)

    # Steps that progressive loading shares

    def publish_without_loading(
        self, lock: PublishLock, request: PublishRequest, superseded: date | None
    ) -> tuple[PublishResult | None, tuple[str, ...]]:
        """Make the requested plan live when it is in Redis already and whole; None when it has to be loaded.

        Also returns the generations that were removed, which makes room for the load.
        """
        live = self._checks.serving(request)
        found = live or self._checks.loaded_already(request)
        renewed = found is not None and self._checks.needs_renewal(found, request)
        if found and renewed:
            found = self._lifecycle.renew_ttls(lock, found, request.plan, request.now)
            if found:
                request.progress(f"renewed the time to live of {found.entries:,} entries")
        spare = found.id if found else None
        removed = self._lifecycle.prune(
            lock, keep=request.keep, spare=spare, superseded=superseded if found and live else None
        )
        if not found:
            return None, removed
        if live:
            self._reconcile(lock, found, request)
            return replace(self.unchanged(found, request), removed=removed, ttls_renewed=renewed), removed
        request.progress(f"generation {found.id} is already loaded and whole")
        record = self._lifecycle.verify(lock, found, request.plan, request.vectors)
        done = self.go_live(lock, request, record, 0, removed, superseded)
        return replace(done, ttls_renewed=renewed, seconds=self._clock() - request.started), removed

    def go_live(
        self,
        lock: PublishLock,
        request: PublishRequest,
        record: GenerationRecord,
        written: int,
        removed: tuple[str, ...],
        superseded: date | None,
    ) -> PublishResult:
        """Switch to a verified generation of the requested plan, then remove the generations that nothing needs."""
        self._reconcile(lock, record, request)
        self._lifecycle.switch(lock, record, request.now)
        removed += self._prune_after_switch(lock, request, superseded)
        entries, seconds = record.entries, self._clock() - request.started
        return PublishResult(record.id, entries, written, False, removed, seconds, loaded=entries, planned=entries)

    def new_record(self, request: PublishRequest, state: State) -> GenerationRecord:
        """The requested record, under an id that nothing in Redis has."""
        return replace(request.record, id=self._records.unused_id(request.record.id), state=state)

    # Results without a new live generation

    def unchanged(self, live: GenerationRecord, request: PublishRequest) -> PublishResult:
        """The requested plan was live already."""
        entries, seconds = live.entries, self._clock() - request.started
        return PublishResult(live.id, entries, 0, True, (), seconds, loaded=entries, planned=entries)

    def not_published(self, request: PublishRequest, why_not: str) -> PublishResult:
        """Nothing was published, for this reason."""
        live = self._records.live()
        entries, seconds = live.entries if live else 0, self._clock() - request.started
        return PublishResult(
            live.id if live else "", entries, 0, False, (), seconds, why_not=why_not, loaded=entries, planned=entries
        )

    def stopped_by_rollback(self, request: PublishRequest, error: CacheError) -> PublishResult:
        """A rollback took the lock or set a pin, which is not a fault. Raises the error when nothing is pinned."""
        if not (why := self._checks.why_pinned(request)):
            raise error
        return self.not_published(request, why)

    # Inside

    def _build_and_verify(self, lock: PublishLock, request: PublishRequest) -> tuple[GenerationRecord, int]:
        record = self.new_record(request, State.BUILDING)
        try:
            self._lifecycle.begin(lock, record)
            written = self._lifecycle.load(lock, record, request.plan, request.vectors, request.progress)
            request.progress(f"loaded {written:,} entries, verifying")
            return self._lifecycle.verify(lock, record, request.plan, request.vectors), written
        except BaseException:
            with suppress(redis.RedisError, CacheError):  # if this fails too, the next run removes it
                self._lifecycle.remove(lock, record.id)
            raise

    def _reconcile(self, lock: PublishLock, record: GenerationRecord, request: PublishRequest) -> None:
        lock.renew()
        changes = self._withdrawals.reconcile(record.id, request.plan, request.now)
        if changes.bring_back:
            request.progress(f"{len(changes.bring_back):,} reinstated entries are back in service")

    def _prune_after_switch(
        self, lock: PublishLock, request: PublishRequest, superseded: date | None
    ) -> tuple[str, ...]:
        """Prune. The plan is live, so a fault here does not fail the publish; the next run removes the rest."""
        try:
            return self._lifecycle.prune(lock, keep=request.keep, superseded=superseded)
        except CacheError as error:
            logger.warning("older generations were not removed now: %s", error)
            return ()
