"""The weight of each day of a window in the demand forecast: recent days count more."""

from collections.abc import Iterable
from datetime import date


def day_weights(days: Iterable[date], as_of: date, half_life: float) -> dict[date, float]:
    """The weight of each day. Weighted lookups of all days add up to the expected lookups a day.

    The weight halves every ``half_life`` days before ``as_of``, and all weights sum to 1: an exponentially weighted
    mean, the usual forecast for counts that drift.
    """
    raw = {day: 0.5 ** ((as_of - day).days / half_life) for day in days}
    total = sum(raw.values())
    return {day: weight / total for day, weight in raw.items()}
