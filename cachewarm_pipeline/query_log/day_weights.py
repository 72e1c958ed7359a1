"""How much a lookup of an earlier day counts against one of today."""

from collections.abc import Iterable
from datetime import date


def day_weights(days: Iterable[date], as_of: date, half_life: float) -> dict[date, float]:
    """Weight of each day's lookups, which add up to expected lookups a day: halved every ``half_life`` days back.

    An exponentially weighted mean, the usual forecast for counts that drift; they sum to 1 over the days there are.
    """
    raw = {day: 0.5 ** ((as_of - day).days / half_life) for day in days}
    total = sum(raw.values())
    return {day: weight / total for day, weight in raw.items()}
