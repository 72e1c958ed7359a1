"""Generations of a cache in Redis: build, verify, switch, prune; and back again.

A generation is built beside the live one under its own key prefix and index, verified, and only then made live by one
script that moves the alias (what a stock reader opens) and the ``live`` field (what our reader opens) together. So a
crash at any point leaves a whole generation serving, and the next run removes what was left.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import redis

from cachewarm_pipeline.core.errors import CacheError
from cachewarm_pipeline.core.generation import check_name, generation_id, generations_key, index_name, may_replace
from cachewarm_pipeline.core.match import MatchRules
from cachewarm_pipeline.core.records import LIVE_FIELD, GenerationRecord, State, parse_generations
from cachewarm_pipeline.core.search import text
from cachewarm_pipeline.core.stats import CacheStats
from cachewarm_pipeline.resources import cache_verify
from cachewarm_pipeline.resources.cache_counters import read_stats
from cachewarm_pipeline.resources.cache_index import CacheIndex, told_clearly
from cachewarm_pipeline.resources.cache_load import load_entries, renew_ttls
from cachewarm_pipeline.resources.cache_lock import LEASE_SECONDS, PublishLock, publish_lock
from cachewarm_pipeline.resources.ports import EmbedderInfo

logger = logging.getLogger(__name__)

KEEP = 2
"""Generations kept: the live one and the one before it, for a rollback."""

WHOLE_ENOUGH = 0.9
"""Share of its entries that a previous generation must still have to be gone back to."""

_PROGRESS_EVERY = 5_000

# A script is one step for everyone else, is refused as a whole on a full or read-only server, and stops at its first
# error: the alias never moves without the field, nor after the lock was lost.
_SWITCH = """#!lua
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('FT.ALIASUPDATE', ARGV[2], ARGV[3])
redis.call('HSET', KEYS[2], unpack(ARGV, 4))
return 1
"""


@dataclass(frozen=True)
class Published:
    """What a publish did."""

    generation: str
    entries: int
    written: int
    """Entries written; 0 when the same generation was already there."""
    unchanged: bool
    """It was live already and whole: no entry was written."""
    removed: tuple[str, ...]
    """Generations taken away: older ones, and what killed runs left."""
    seconds: float
    ttls_renewed: bool = False
    """The entries were there already and past half of their life: their time to live begins anew."""
    why_not: str = ""
    """Why the plan was not published; the generation named is then the one that stays live. Empty: it is live."""

    @property
    def published(self) -> bool:
        return not self.why_not


class CacheStore:
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
        self.name = check_name(name)
        self._client = client
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

    def entry_ids(self, generation: str) -> set[str]:
        """Ids of a generation's own entries that lookups find now."""
        with told_clearly("reading the entries"):
            return self._index.entry_ids(generation)

    def stats(self, hours: int, now: datetime) -> CacheStats:
        """What readers counted in the last ``hours`` hours, the present one included, and what is live."""
        with told_clearly("reading the counters"):
            return read_stats(self._index, hours, now)

    # Publishing

    def publish(
        self,
        plan: pa.Table,
        vectors: np.ndarray,
        *,
        as_of: date,
        plan_hash: str,
        embedder: EmbedderInfo,
        rules: MatchRules,
        ttl_days: float,
        ttl_jitter: float,
        now: datetime,
        allow_rollback: bool = False,
        keep: int = KEEP,
        progress: Callable[[str], Any] = logger.info,
    ) -> Published:
        """Make a plan live: build, verify, switch, prune. The same plan of the same day is written once.

        A plan of an older day than the live one's is not published unless ``allow_rollback``; ``why_not`` tells so.

        ``plan`` is a WARMING_PLAN table, ``vectors`` float32 (its rows, dimensions) of unit length in its order.
        Raises CacheError when the plan cannot be loaded, another run is publishing, Redis is lost or refuses, or what
        was loaded does not verify; the live generation is then as it was.
        """
        started = self._clock()
        cache_verify.check_plan(plan, vectors)
        wanted = GenerationRecord(
            id=generation_id(as_of, plan_hash),
            state=State.BUILDING,
            entries=plan.num_rows,
            by_source={row["values"]: row["counts"] for row in plan["source"].value_counts().to_pylist()},
            plan_hash=plan_hash,
            as_of=as_of,
            created_at=now,
            embedder={**asdict(embedder), "dimensions": vectors.shape[1]},
            match_rules=rules,
            ttl_days=ttl_days,
            ttl_jitter=ttl_jitter,
        )
        with told_clearly("publishing"):
            live = self._serving(wanted)
            if live and not live.past_half_life(now) and not self._left_over(keep):
                return Published(live.id, live.entries, 0, True, (), self._clock() - started)
            with self.lock(now, progress) as lock:
                # Asked again under the lock: another run may have published since.
                newer = self.live()
                if newer and not may_replace(newer.as_of, as_of, allow_rollback):
                    return Published(
                        newer.id,
                        newer.entries,
                        0,
                        False,
                        (),
                        self._clock() - started,
                        why_not=f"the live generation {newer.id} is newer (CACHEWARM_ALLOW_ROLLBACK=true replaces it "
                        "all the same)",
                    )
                live = self._serving(wanted)
                there = live or self._already_there(wanted)
                renewed = there is not None and there.past_half_life(now)
                if there and renewed:
                    there = self._renew_ttls(lock, there, plan, now, progress)
                removed = self.prune(lock, keep=keep, spare=there.id if there else None)
                if live and there:
                    return Published(live.id, live.entries, 0, True, removed, self._clock() - started, renewed)
                if there:
                    progress(f"generation {there.id} is already there and whole")
                    record, written = self.verify(lock, there, plan, vectors), 0
                else:
                    record, written = self._build_and_verify(lock, wanted, plan, vectors, progress)
                self.switch(lock, record, now)
                removed += self._prune_quietly(lock, keep)
        seconds = self._clock() - started
        return Published(record.id, record.entries, written, False, removed, seconds, renewed and not written)

    @contextmanager
    def lock(self, now: datetime, progress: Callable[[str], Any] = logger.info) -> Iterator[PublishLock]:
        """The publishing lock, which every step below needs.

        Waits for a killed run's lock to end, at most one lease. Raises CacheError when a living run holds it.
        """
        with publish_lock(
            self._client,
            self.name,
            now,
            clock=self._clock,
            sleep=self._sleep,
            progress=progress,
            lease_seconds=self._lease_seconds,
        ) as lock:
            yield lock

    def begin(self, lock: PublishLock, record: GenerationRecord) -> None:
        """Make room for a new generation beside the live one. Nothing serves it yet."""
        with told_clearly(f"building generation {record.id}"):
            self._write(record)  # first: whatever a crash leaves, its record names it
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

        with told_clearly(f"loading generation {record.id}"):
            return load_entries(self._client, self.name, record, plan, vectors, before_batch)

    def verify(
        self, lock: PublishLock, record: GenerationRecord, plan: pa.Table, vectors: np.ndarray
    ) -> GenerationRecord:
        """Prove that a built generation may be served, and mark it ready. Raises CacheError when it may not."""
        with told_clearly(f"verifying generation {record.id}"):
            cache_verify.wait_until_scanned(self._index, record.id, self._clock, self._sleep, lock.renew)
            cache_verify.check_count(self._index, record)
            cache_verify.check_self_lookups(self._index, record, plan, vectors, lock.renew)
            return self._write(replace(record, state=State.READY))

    def switch(self, lock: PublishLock, record: GenerationRecord, now: datetime) -> GenerationRecord:
        """Make a verified generation live, in one step for all readers; the live one becomes the previous.

        Raises CacheError when the lock was lost meanwhile: then nothing was switched.
        """
        if record.state not in (State.READY, State.PREVIOUS):
            raise CacheError(f"generation {record.id} is {record.state}, not verified; it was not published")
        with told_clearly(f"switching to generation {record.id}"):
            self._index.alias_target()
            live, records = self._generations()
            newest = max((r.published_at for r in records.values() if r.published_at), default=None)
            # Clocks differ between machines; the order of publishing must not, for a rollback goes by it.
            at = max(now, newest + timedelta(microseconds=1)) if newest else now
            record = replace(record, state=State.LIVE, published_at=at)
            fields = [LIVE_FIELD, record.id, record.id, record.to_json()]
            if live and live != record.id:
                fields += [live, replace(records[live], state=State.PREVIOUS).to_json()]
            arguments = [lock.token, self.name, index_name(self.name, record.id), *fields]
            switched: Any = self._client.eval(_SWITCH, 2, lock.key, generations_key(self.name), *arguments)
        if not switched:
            raise CacheError(f"lost the publishing lock; generation {record.id} was not published: run again")
        return record

    def prune(self, lock: PublishLock, *, keep: int = KEEP, spare: str | None = None) -> tuple[str, ...]:
        """Remove every generation but the live one, the newest previous ones up to ``keep`` in all, and ``spare``."""
        with told_clearly("removing older generations"):
            removed = tuple(sorted(self._left_over(keep) - {spare}))
            for generation in removed:
                self._remove(lock, generation)
            return removed

    def rollback(self, now: datetime) -> GenerationRecord:
        """Make the previous generation live again; the live one becomes the previous, so a second call undoes it.

        Raises CacheError when there is none, or less than ``WHOLE_ENOUGH`` of its entries are left.
        """
        with told_clearly("rolling back"), self.lock(now) as lock:
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
            return self.switch(lock, previous[0], now)

    # Inside

    def _serving(self, wanted: GenerationRecord) -> GenerationRecord | None:
        """The live generation, when every reader finds in it exactly what is wanted."""
        target = self._index.alias_target()  # first of all: the name may belong to somebody else
        live = self.live()
        whole = live and live.id == target and live.same_content(wanted) and self._is_whole(live)
        return live if whole else None

    def _renew_ttls(
        self,
        lock: PublishLock,
        record: GenerationRecord,
        plan: pa.Table,
        now: datetime,
        progress: Callable[[str], Any],
    ) -> GenerationRecord | None:
        """Begin its entries' time to live anew; None when one expired meanwhile, so that it is built again."""
        if not renew_ttls(self._client, self.name, record, plan, lock.renew):
            return None
        lock.renew()
        progress(f"renewed the time to live of {record.entries:,} entries")
        return self._write(replace(record, renewed_at=now))

    def _already_there(self, wanted: GenerationRecord) -> GenerationRecord | None:
        """A whole generation of the same content: one that was rolled back, or that a run killed before its switch."""
        for record in self._generations()[1].values():
            if record.state != State.BUILDING and record.same_content(wanted) and self._is_whole(record):
                return record
        return None

    def _build_and_verify(
        self,
        lock: PublishLock,
        wanted: GenerationRecord,
        plan: pa.Table,
        vectors: np.ndarray,
        progress: Callable[[str], Any],
    ) -> tuple[GenerationRecord, int]:
        _, records = self._generations()
        taken = {*records, *self._index.generations()}
        ids = (f"{wanted.id}-r{n}" if n > 1 else wanted.id for n in range(1, len(taken) + 2))
        record = replace(wanted, id=next(i for i in ids if i not in taken))
        try:
            self.begin(lock, record)
            written = self.load(lock, record, plan, vectors, progress)
            progress(f"loaded {written:,} entries, verifying")
            return self.verify(lock, record, plan, vectors), written
        except BaseException:
            with suppress(redis.RedisError, CacheError):  # where this fails too, the next run removes it
                self._remove(lock, record.id)
            raise

    def _prune_quietly(self, lock: PublishLock, keep: int) -> tuple[str, ...]:
        """Prune after the switch: the plan is live, so a fault here is no failure; the next run removes the rest."""
        try:
            return self.prune(lock, keep=keep)
        except CacheError as error:
            logger.warning("older generations were not removed now: %s", error)
            return ()

    def _remove(self, lock: PublishLock, generation: str) -> None:
        # The index and entries go first: as long as the record is there, a crash leaves nothing without a name.
        self._index.remove(generation, lock.renew)
        self._client.hdel(generations_key(self.name), generation)

    def _left_over(self, keep: int) -> set[str]:
        """Generations, by record or index, that are neither live nor kept for a rollback."""
        live, records = self._generations()
        # The alias target is served by stock readers even when the hash that names the live one was lost.
        kept = {live, self._index.alias_target(), *(r.id for r in self._previous(records)[: max(0, keep - 1)])}
        return {*records, *self._index.generations()} - kept

    @staticmethod
    def _previous(records: dict[str, GenerationRecord]) -> list[GenerationRecord]:
        """Generations that were live before, the last one first."""
        previous = [r for r in records.values() if r.state == State.PREVIOUS and r.published_at]
        return sorted(previous, key=lambda r: (r.published_at or r.created_at, r.id), reverse=True)

    def _is_whole(self, record: GenerationRecord) -> bool:
        return self._index.count(record.id) == record.entries

    def _generations(self) -> tuple[str | None, dict[str, GenerationRecord]]:
        with told_clearly("reading the generations"):
            fields: Any = self._client.hgetall(generations_key(self.name))
        return parse_generations({text(name): text(value) for name, value in fields.items()})

    def _write(self, record: GenerationRecord) -> GenerationRecord:
        self._client.hset(generations_key(self.name), record.id, record.to_json())
        return record
