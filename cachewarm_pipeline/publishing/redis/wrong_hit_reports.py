"""The reports of wrong hits in Redis, as the pipeline reads, counts and clears them."""

from collections.abc import Iterable
from datetime import datetime

import redis
from cachewarm_client import redis_wrong_hit_reports as stored_reports
from cachewarm_client.redis_index import redis_faults
from cachewarm_client.wrong_hit_reports import ServedAnswer, WrongHitReport, response_sha


class WrongHitReports:
    """The reports of one cache name. Every method raises CacheError when Redis is lost or refuses a command."""

    def __init__(self, client: "redis.Redis", name: str) -> None:
        self._client = client
        self._name = name

    def read(self) -> list[WrongHitReport]:
        """All reports that were not cleared, the last one first."""
        with redis_faults("reading the reports of wrong hits"):
            return stored_reports.read_reports(self._client, self._name)

    def count(self, served: ServedAnswer, reporter: str, at: datetime, why: str) -> bool:
        """Count a report of an answer by a reporter (hashed: ``reporter_sha``); False when there is no room for it."""
        sha = response_sha(served.response)
        with redis_faults("counting a report of a wrong hit"):
            return stored_reports.count_report(
                self._client, self._name, served.entry_id, sha, served.agent_type, reporter, at, why
            )

    def clear(self, reports: Iterable[WrongHitReport]) -> int:
        """Delete these reports; returns how many of them existed."""
        with redis_faults("clearing the reports of wrong hits"):
            return stored_reports.clear_reports(self._client, self._name, reports)
