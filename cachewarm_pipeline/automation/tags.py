"""The tags of our runs: who started a run and why, and which runs must not overlap."""

STARTED_BY = "cachewarm/started_by"
"""Who started the run: ``cachewarm warm``, ``daily schedule``, ``weekly schedule``, ``hit rate``, ..."""

WHY = "cachewarm/why"
"""Why the run was started, as a sentence with the numbers that decided."""

PUBLISHES = "cachewarm/publishes"
"""``true`` on every run that may change what is live. dagster.yaml lets one of them run at a time."""

DAYS = "cachewarm/days"
"""First and last day (``2026-03-04...2026-03-06``) of a run that catches up on missed days."""

REQUESTED_ON = "cachewarm/on"
"""The day on which a run that catches up was requested; runs of a day are counted by it."""

EPISODE = "cachewarm/episode"
"""The episode of a low hit rate that started the run. Its second and later runs are retries of a failed one."""


def started_by(who: str, why: str = "") -> dict[str, str]:
    """The tags STARTED_BY and, if a reason is given, WHY."""
    return {STARTED_BY: who, **({WHY: why} if why else {})}
