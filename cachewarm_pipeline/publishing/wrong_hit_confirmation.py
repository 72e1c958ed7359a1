"""How many different people must report a wrong hit, and which reports are too old to count. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from cachewarm_client.wrong_hit_reports import WrongHitReport

REPORT_DAYS = 30
"""Days that an unconfirmed report is kept after its last addition. Without a limit, old reports would use up the room
that new ones need."""


def expired(reports: Iterable[WrongHitReport], now: datetime) -> list[WrongHitReport]:
    """Reports that nobody added to for REPORT_DAYS."""
    return [report for report in reports if now - report.last_at > timedelta(days=REPORT_DAYS)]


def confirmed(reports: Iterable[WrongHitReport], min_reporters: int) -> list[WrongHitReport]:
    """Reports of answers that at least ``min_reporters`` different people call wrong, in a stable order.

    All reports without a reporter count as one person together.
    """
    return sorted(
        (report for report in reports if len(report.reporters) >= min_reporters),
        key=lambda r: (r.entry_id, r.response_sha),
    )
