"""The tags of our runs: why one started, and what it may not run beside."""

STARTED_BY = "cachewarm/started_by"
"""``cachewarm warm``, ``daily schedule``, ``weekly schedule``, ``hit rate``, ...: who asked for the run."""

WHY = "cachewarm/why"
"""In words, with the numbers that decided."""

PUBLISHES = "cachewarm/publishes"
"""Of every run that may change what is live; dagster.yaml lets one of them run at a time."""


def started_by(who: str, why: str = "") -> dict[str, str]:
    """Tags of a run."""
    return {STARTED_BY: who, **({WHY: why} if why else {})}
