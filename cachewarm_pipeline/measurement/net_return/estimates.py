"""Arithmetic with estimates and the ends of their ranges.

An end of a result is None if it depends on an end that is None.
"""

from collections.abc import Sequence

from cachewarm_pipeline.measurement.lift import Estimate


def widened(value: float, low: float | None, high: float | None) -> Estimate:
    """An estimate whose range contains ``value``: a bootstrap interval need not contain it."""
    return Estimate(value, None if low is None else min(low, value), None if high is None else max(high, value))


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """estimate x factor, for a factor >= 0."""
    return Estimate(*(None if x is None else x * factor for x in estimate))  # type: ignore[arg-type]


def difference(one: Estimate, other: Estimate) -> Estimate:
    """one - other, in the widest range: the low end takes the high end of ``other``."""
    low = None if one.low is None or other.high is None else one.low - other.high
    high = None if one.high is None or other.low is None else one.high - other.low
    return Estimate(one.value - other.value, low, high)


def known_sum(parts: Sequence[Estimate | None]) -> Estimate | None:
    """Sum of the parts that are known, end by end; None if none is known."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    lows, highs = [part.low for part in known], [part.high for part in known]
    return Estimate(
        sum(part.value for part in known),
        None if None in lows else sum(low or 0.0 for low in lows),
        None if None in highs else sum(high or 0.0 for high in highs),
    )
