"""The cache of one name in Redis, for the code that fills and operates it: a facade over the other modules here.

``CacheStore`` owns the parts and delegates to them. Readers use cachewarm_client instead.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Unpack

import numpy as np
import pyarrow as pa
import redis
from cachewarm_client.counters import CacheStats
from cachewarm_client.generation_record import GenerationRecord, Pin
from cachewarm_client.keys import check_name
from cachewarm_client.redis_counters import read_stats
from cachewarm_client.redis_index import CacheIndex, redis_faults
from cachewarm_client.wrong_hit_reports import ServedAnswer, WrongHitReport

from cachewarm_pipeline.publishing.redis.generation_lifecycle import GenerationLifecycle
from cachewarm_pipeline.publishing.redis.generation_records import GenerationRecords
from cachewarm_pipeline.publishing.redis.progressive_loading import Allowance, ProgressiveLoader
from cachewarm_pipeline.publishing.redis.publish import Publisher
from cachewarm_pipeline.publishing.redis.publish_checks import PublishChecks
from cachewarm_pipeline.publishing.redis.publish_lock import LEASE_SECONDS, PublishLock, PublishLocks
from cachewarm_pipeline.publishing.redis.publish_request import PublishOptions, PublishResult
from cachewarm_pipeline.publishing.redis.rollback_pin import Rollbacks
from cachewarm_pipeline.publishing.redis.withdrawals import Withdrawals
from cachewarm_pipeline.publishing.redis.wrong_hit_reports import WrongHitReports
from cachewarm_pipeline.publishing.withdrawn_answers import WithdrawalResult, WithdrawnAnswer

logger = logging.getLogger(__name__)


class CacheStore:
    """One cache name. ``client`` comes from ``connect.connect``.

    Every method raises CacheError, with a message of one line, when Redis is lost or refuses a command.
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
        """``lease_seconds``: how long the lock of a killed run keeps other runs out (publish_lock.LEASE_SECONDS).

        Raises ConfigurationError for a name that no cache can have.
        """
        self.client = client
        self.name = check_name(name)
        self.index = CacheIndex(client, name)
        self.records = GenerationRecords(self.index)
        self.locks = PublishLocks(client, name, clock=clock, sleep=sleep, lease_seconds=lease_seconds)
        self.withdrawals = Withdrawals(self.index)
        self.reports = WrongHitReports(client, name)
        self.lifecycle = GenerationLifecycle(self.index, self.records, self.withdrawals, clock=clock, sleep=sleep)
        self.rollbacks = Rollbacks(self.index, self.records, self.locks, self.lifecycle)
        checks = PublishChecks(self.index, self.records, self.withdrawals)
        self.publisher = Publisher(
            self.records, self.locks, self.lifecycle, self.withdrawals, self.rollbacks, checks, clock=clock
        )
        self.loader = ProgressiveLoader(
            self.index,
            self.records,
            self.locks,
            self.lifecycle,
            self.rollbacks,
            checks,
            self.publisher,
            clock=clock,
        )

    # Generations

    def live(self) -> GenerationRecord | None:
        """The live generation's record; None when nothing is published."""
        return self.records.live()

    def generations(self) -> list[GenerationRecord]:
        """All records: the live one first, then by creation time, newest first."""
        return self.records.newest_first()

    def filling(self) -> GenerationRecord | None:
        """The generation that is being loaded progressively; there is never more than one."""
        return self.records.filling()

    def pinned(self) -> Pin | None:
        """The pin that the last rollback set; None once it is released."""
        return self.records.pinned()

    def entry_ids(self, generation: str) -> set[str]:
        """Ids of the generation's entries that are in the index now, including those that are out of service.

        App entries are not among them.
        """
        with redis_faults("reading the entries"):
            return self.index.entry_ids(generation)

    def stats(self, hours: int, now: datetime) -> CacheStats:
        """What readers counted in the last ``hours`` hours, including the present one, and what is live."""
        with redis_faults("reading the counters"):
            return read_stats(self.index, hours, now)

    # Publishing

    def lock(
        self, now: datetime, progress: Callable[[str], Any] = logger.info, *, by_force: bool = False
    ) -> AbstractContextManager[PublishLock]:
        """The publishing lock, which every change to a generation needs. See ``PublishLocks.acquire``."""
        return self.locks.acquire(now, progress, by_force=by_force)

    def publish(self, plan: pa.Table, vectors: np.ndarray, **options: Unpack[PublishOptions]) -> PublishResult:
        """Make a plan live: build, verify, switch, prune. The same plan of the same day is written only once.

        ``plan`` is a WARMING_PLAN table. ``vectors`` is float32 (rows of the plan, dimensions), of unit length, in the
        plan's order.

        The result's ``why_not`` explains when nothing was published: the plan is of an older day than the live one (and
        ``allow_rollback`` is not set), or another generation is pinned. A generation of the same or an older day that
        is being filled is superseded and removed.

        Raises CacheError when the plan cannot be loaded, another run is publishing, Redis is lost or refuses a command,
        or the loaded generation does not verify. The live generation is unchanged then.
        """
        return self.publisher.publish(plan, vectors, **options)

    def publish_some(
        self, plan: pa.Table, vectors: np.ndarray, *, allowance: Allowance, **options: Unpack[PublishOptions]
    ) -> PublishResult:
        """As ``publish``, but this call writes at most ``allowance(when entries were last written)`` entries.

        Until all entries are loaded, ``why_not`` shows the progress. Then all TTLs are restarted, entries that expired
        meanwhile are loaded again (within the allowance), and the generation is verified as a whole and published. A
        generation of another plan that is being filled is finished first (or removed by ``drop_filling``). With an
        allowance of 0 nothing is written but the lock.

        Raises CacheError as ``publish`` does. Loaded entries stay in Redis, unless they are not what was planned.
        """
        return self.loader.publish_some(plan, vectors, allowance=allowance, **options)

    def drop_filling(self, now: datetime) -> str | None:
        """Remove the generation that is being filled, when its plan is gone; returns its id, None without one."""
        return self.loader.drop_filling(now)

    # Rollback

    def rollback(self, now: datetime, why: str = "", *, again: bool = False) -> GenerationRecord:
        """Make the previous generation live and pin it. The live one becomes the previous one, so a second rollback
        would undo the first and move the pin; it needs ``again``.

        A rollback waits neither for a run that is publishing nor for its entries. It takes the lock from that run,
        which then publishes nothing, switches, and restarts the entries' TTLs after the switch. ``why`` is kept with
        the pin, without personal data. Raises CacheError when there is no previous generation, one is pinned already,
        or less than ``WHOLE_ENOUGH`` of its entries are left.
        """
        return self.rollbacks.roll_back(now, why, again=again)

    def release(self, now: datetime) -> Pin | None:
        """Remove the pin, so that generations can be published again; returns it, None when nothing was pinned."""
        return self.rollbacks.release(now)

    def keep_pinned(self, now: datetime) -> bool:
        """Restart the TTLs of the pinned generation once it is past half of its life; returns whether that was done.

        A publish that finds a pin does this. Call it when no publish runs for days.
        """
        return self.rollbacks.keep_pinned_alive(now)

    # Withdrawn answers

    def withdraw(
        self, entries: Mapping[str, str | None], now: datetime | None = None, why: str = ""
    ) -> WithdrawalResult:
        """Take answers out of service at once, in every generation and in all later ones, also while a run publishes.

        ``entries``: entry id to its bad answer; None means the answer that the entry has now, in each generation. An
        entry that has another answer keeps it. An entry without its answer stays in the index, so that the neighbours
        that the match rules were certified on do not change; every reader treats it as a miss. ``now`` (the server's
        time by default) and ``why``, without personal data, are kept. Safe to repeat.

        Raises CacheError for an invalid entry id, before anything is withdrawn.
        """
        return self.withdrawals.withdraw(entries, now, why)

    def withdrawn(self) -> list[WithdrawnAnswer]:
        """The answers that no generation may serve, by entry id."""
        return self.withdrawals.all()

    def reinstate(self, entry_ids: Iterable[str]) -> tuple[str, ...]:
        """Allow the withdrawn answers of these entries again. The next publish serves them, also an unchanged one.

        Returns the ids that had a withdrawn answer.
        """
        return self.withdrawals.reinstate(entry_ids)

    def answers(self, entry_ids: Iterable[str]) -> list[ServedAnswer]:
        """The answers of these entries that any generation has in service, each once."""
        return self.withdrawals.answers(entry_ids)

    def live_answers(self) -> list[ServedAnswer]:
        """All answers that the live generation has in service. Memory: every text once."""
        live = self.live()
        return self.withdrawals.answers_of(live.id, self.entry_ids(live.id)) if live else []

    def out_of_service(self, generation: str) -> int:
        """Number of entries of a generation that were taken out of service."""
        return self.withdrawals.count_out_of_service(generation)

    def ledger_lock(self) -> AbstractContextManager[None]:
        """Lock to hold while the ledger of withdrawn entries is read, changed and written. Without it, one of two
        changes at the same time would be lost."""
        return self.withdrawals.ledger_lock()

    # Reports of wrong hits

    def wrong_hit_reports(self) -> list[WrongHitReport]:
        """The answers that applications reported as wrong and that were not cleared, the last report first."""
        return self.reports.read()

    def count_report(self, served: ServedAnswer, reporter: str, at: datetime, why: str) -> bool:
        """Count a report of an answer by a reporter (hashed: ``reporter_sha``); False when there is no room for it."""
        return self.reports.count(served, reporter, at, why)

    def clear_reports(self, reports: Iterable[WrongHitReport]) -> int:
        """Delete these reports; returns how many of them existed."""
        return self.reports.clear(reports)
