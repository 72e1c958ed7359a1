"""What was missed: days of the log without counts, and a daily run that failed. Pure: what is there is passed in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

TRIES = 3
"""Runs after the first failed one: what three do not mend in half a day needs a person."""

FIRST_WAIT = timedelta(minutes=30)
"""Before the second try; doubled for each further one."""


def stretches(days: Iterable[date]) -> list[tuple[date, date]]:
    """Days as the fewest unbroken ranges, each mined in one run."""
    ranges: list[tuple[date, date]] = []
    for day in sorted(days):
        if ranges and day - ranges[-1][1] == timedelta(days=1):
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges


@dataclass(frozen=True)
class Tried:
    """A finished run. ``gate``: a gate stopped it, which a second try would find as well."""

    ended: datetime
    succeeded: bool
    gate: bool = False


@dataclass(frozen=True)
class Again:
    """Whether to try again now; ``number`` of the try (1 is the first after the failed run), and why in words."""

    start: bool
    sentence: str
    number: int = 0


def try_again(what: str, tried: Sequence[Tried], now: datetime) -> Again:
    """Whether ``what`` ("the run for 2026-03-04") is to be tried again. ``tried``: its finished runs, in any order."""
    runs = sorted(tried, key=lambda run: run.ended)
    if not runs:
        return Again(False, f"{what} has not ended yet")
    last = runs[-1]
    if last.succeeded:
        return Again(False, f"{what} succeeded")
    if last.gate:
        return Again(False, f"a gate stopped {what}: trying again would not change that")
    since = max((run.ended for run in runs if run.succeeded), default=None)
    failed = sum(not run.succeeded and (since is None or run.ended > since) for run in runs)
    if failed > TRIES:
        return Again(False, f"{what} failed {failed} times; no more is tried: see the alerts, then run it by hand")
    due = last.ended + FIRST_WAIT * 2 ** (failed - 1)
    if now < due:
        return Again(False, f"{what} failed ({failed} so far); try {failed} is due at {due:%H:%M} UTC")
    return Again(True, f"try {failed} after {what} failed", failed)
