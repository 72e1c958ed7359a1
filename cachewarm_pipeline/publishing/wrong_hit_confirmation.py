"""Which reports of wrong hits enough different people agree on, and which are too old to count. No Redis here."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from cachewarm_client.wrong_hit_reports import WrongHitReport

KEPT_DAYS = 30
"""A report that nobody confirmed in so long is forgotten: else they would fill the room that new ones need."""


def expired(reports: Iterable[WrongHitReport], now: datetime) -> list[WrongHitReport]:
    """Reports that nobody added to for KEPT_DAYS."""
    return [report for report in reports if now - report.last_at > timedelta(days=KEPT_DAYS)]


def confirmed(reports: Iterable[WrongHitReport], least: int) -> list[WrongHitReport]:
    """The answers that at least ``least`` different reporters call wrong, in a stable order."""
    return sorted(
        (report for report in reports if len(report.reporters) >= least), key=lambda r: (r.entry_id, r.response_sha)
    )
