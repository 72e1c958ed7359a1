"""When a failed run is retried, and how missed days are grouped into runs. Pure: finished runs and the time are passed
in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

RETRIES = 3
"""Retries of a failed run. What three retries over half a day do not fix needs a person."""

FIRST_WAIT = timedelta(minutes=30)
"""Wait before the first retry. Each further retry waits twice as long as the one before."""


def day_ranges(days: Iterable[date]) -> list[tuple[date, date]]:
    """Days as the fewest ranges (first day, last day) without a gap, in order. Each range is one run."""
    ranges: list[tuple[date, date]] = []
    for day in sorted(days):
        if ranges and day - ranges[-1][1] == timedelta(days=1):
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges


@dataclass(frozen=True)
class FinishedRun:
    """How a run ended."""

    ended: datetime
    """When it ended, in UTC."""
    succeeded: bool
    """Whether it succeeded."""
    stopped_by_gate: bool = False
    """Whether a gate stopped it; a retry would be stopped as well."""


@dataclass(frozen=True)
class RetryDecision:
    """Whether to retry now."""

    start: bool
    """Whether to start a run."""
    sentence: str
    """The reason, with the number that decided."""
    number: int = 0
    """Number of the retry; 1 is the first one after the failed run."""


def decide_retry(what: str, finished: Sequence[FinishedRun], now: datetime) -> RetryDecision:
    """Whether to retry ``what`` ("the run for 2026-03-04") now. ``finished``: its finished runs, in any order.

    Failures before the last success do not count.
    """
    runs = sorted(finished, key=lambda run: run.ended)
    if not runs:
        return RetryDecision(False, f"{what} has not finished yet")
    last = runs[-1]
    if last.succeeded:
        return RetryDecision(False, f"{what} succeeded")
    if last.stopped_by_gate:
        return RetryDecision(False, f"a gate stopped {what}: a retry would not change that")
    since = max((run.ended for run in runs if run.succeeded), default=None)
    failed = sum(not run.succeeded and (since is None or run.ended > since) for run in runs)
    if failed > RETRIES:
        return RetryDecision(
            False, f"{what} failed {failed} times and is not retried any more: see the alerts, then run it by hand"
        )
    due = last.ended + FIRST_WAIT * 2 ** (failed - 1)
    if now < due:
        return RetryDecision(False, f"{what} failed ({failed} so far); retry {failed} is due at {due:%H:%M} UTC")
    return RetryDecision(True, f"retry {failed}: {what} failed", failed)
