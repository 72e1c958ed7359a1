"""How a replay splits the log: the last days are held out, the days before them make the recipe. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

DAYS_PER_HELD_OUT_DAY = 4
"""At most one day in four is held out, so that a young log still has a past to learn from."""


@dataclass(frozen=True)
class ReplaySplit:
    """Days of the log, both parts oldest first."""

    recipe: list[date]
    """The lookback window that ends before the held-out days."""
    held_out: list[date]
    """Empty where the log is too short, or no replay is configured."""


def split_days(days: Sequence[date], *, replay_days: int, lookback_days: int) -> ReplaySplit:
    """Splits the ``days`` of the log (ascending): at most ``replay_days`` and at most a quarter of them are held out;
    at most ``lookback_days`` before those make the recipe."""
    first = len(days) - min(replay_days, len(days) // DAYS_PER_HELD_OUT_DAY)
    return ReplaySplit(list(days[max(0, first - lookback_days) : first]), list(days[first:]))
