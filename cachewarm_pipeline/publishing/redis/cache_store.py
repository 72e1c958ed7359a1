"""The cache of one name in Redis, for whoever fills it or looks after it: the one face of the modules beside it.

Generations are made and gone back to in cache_publish, cache_fill and cache_pin, by the steps of cache_generations;
bad answers are taken out of service in cache_withdraw; what readers report is in cache_reports.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime

import redis
from cachewarm_client import redis_wrong_hit_reports as cache_reports
from cachewarm_client.counters import CacheStats
from cachewarm_client.keys import ledger_lock_key
from cachewarm_client.redis_counters import read_stats
from cachewarm_client.redis_index import redis_faults
from cachewarm_client.wrong_hit_reports import ServedAnswer, WrongHitReport, response_sha
from redis.exceptions import LockError

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis import withdraw_answers as cache_withdraw
from cachewarm_pipeline.publishing.redis.progressive_loading import Filling
from cachewarm_pipeline.publishing.redis.publish_request import Published
from cachewarm_pipeline.publishing.withdrawn_answers import Withdrawal, Withdrawn

__all__ = ["CacheStore", "Published"]

_LEDGER_SECONDS = 60
"""Far longer than writing one small file takes."""


class CacheStore(Filling):
    """One cache name. ``client`` comes from ``redis_client.connect``.

    Every method raises CacheError, in one line, when Redis is lost or refuses.
    """

    def stats(self, hours: int, now: datetime) -> CacheStats:
        """What readers counted in the last ``hours`` hours, the present one included, and what is live."""
        with redis_faults("reading the counters"):
            return read_stats(self._index, hours, now)

    # Bad answers

    def withdraw(self, entries: Mapping[str, str | None], now: datetime | None = None, why: str = "") -> Withdrawn:
        """Take answers out of service in every generation, at once and for all later ones, also while a run publishes.

        ``entries``: entry id to its bad answer; None: whatever it holds now, in each generation. An entry that holds
        another answer keeps it. One without its answer stays in the index, so that what the match rules were certified
        on is as it was; every reader takes it for a miss. ``now`` (the server's time by default) and ``why``, without
        personal data, are kept. It can be repeated. Raises CacheError, before anything is withdrawn, for an id that is
        none.
        """
        with redis_faults("withdrawing entries"):
            return cache_withdraw.withdraw(self._index, entries, now, why)

    def withdrawn(self) -> list[Withdrawal]:
        """The answers that no generation may serve, by entry id."""
        with redis_faults("reading what is withdrawn"):
            return cache_withdraw.withdrawals(self._index)

    def reinstate(self, entry_ids: Iterable[str]) -> tuple[str, ...]:
        """Allow the withdrawn answers of these entries again; the next publish serves them, also an unchanged one.

        Returns the ids of which anything was withdrawn.
        """
        with redis_faults("reinstating entries"):
            return cache_withdraw.reinstate(self._index, entry_ids)

    # Reports

    def wrong_hit_reports(self) -> list[WrongHitReport]:
        """The answers that applications reported as wrong and nobody cleared, the last report first."""
        with redis_faults("reading the reports of wrong hits"):
            return cache_reports.read_reports(self.client, self.name)

    def count_report(self, served: ServedAnswer, reporter: str, at: datetime, why: str) -> bool:
        """Count a report of an answer by a reporter (hashed: ``reporter_sha``); False where there is no room."""
        sha = response_sha(served.response)
        with redis_faults("counting a report of a wrong hit"):
            return cache_reports.count_report(
                self.client, self.name, served.entry_id, sha, served.agent_type, reporter, at, why
            )

    def clear_reports(self, reports: Iterable[WrongHitReport]) -> int:
        """Forget these reports; returns how many there were."""
        with redis_faults("clearing the reports of wrong hits"):
            return cache_reports.clear_reports(self.client, self.name, reports)

    # Served answers

    def answers(self, entry_ids: Iterable[str]) -> list[ServedAnswer]:
        """The answers of these entries that any generation has in service, each once."""
        with redis_faults("reading answers"):
            return cache_withdraw.answers(self._index, set(entry_ids))

    def live_answers(self) -> list[ServedAnswer]:
        """All answers that the live generation has in service. Memory: the texts once."""
        with redis_faults("reading the live answers"):
            live = self.live()
            return cache_withdraw.answers_of(self._index, live.id, self.entry_ids(live.id)) if live else []

    def out_of_service(self, generation: str) -> int:
        """Entries of a generation that were taken out of service."""
        with redis_faults("counting what is out of service"):
            return cache_withdraw.taken_out(self._index, generation)

    @contextmanager
    def ledger_lock(self) -> Iterator[None]:
        """Held while the list of withdrawn entries is read, changed and written: two at once would lose one change."""
        lock = self.client.lock(ledger_lock_key(self.name), timeout=_LEDGER_SECONDS, blocking_timeout=_LEDGER_SECONDS)
        with redis_faults("waiting for another withdrawal"):
            if not lock.acquire():
                raise CacheError("another withdrawal is at work; nothing was changed: try again in a minute")
        try:
            yield
        finally:
            with suppress(redis.RedisError, LockError):
                lock.release()
