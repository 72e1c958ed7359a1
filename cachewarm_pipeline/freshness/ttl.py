"""How long an answer may be kept: the TTL and the age limit that follow from a change rate and the settings.

Answers are assumed to change at a constant rate, so P(changed by age a) = 1 - exp(-rate a). At most ``max_stale_share``
of the answers have changed after -ln(1 - max_stale_share) / rate days.
"""

import math
from typing import TypedDict

from cachewarm_pipeline.settings import Settings


class TtlBounds(TypedDict):
    """What bounds a TTL. A ``ttl_min_days`` above ``ttl_days`` counts as ``ttl_days``."""

    max_stale_share: float
    """Largest share of the answers that may have changed at the end of a TTL."""
    ttl_days: float
    """Longest TTL."""
    ttl_min_days: float
    """Shortest TTL."""


def ttl_bounds(settings: Settings) -> TtlBounds:
    """The bounds of today's settings."""
    return {
        "max_stale_share": settings.max_stale_share,
        "ttl_days": settings.ttl_days,
        "ttl_min_days": settings.ttl_min_days,
    }


def ttl_of(high: float, *, max_stale_share: float, ttl_days: float, ttl_min_days: float) -> float:
    """The TTL in days at the change rate ``high`` (a day): -ln(1 - max_stale_share) / high, at least ``ttl_min_days``
    and at most ``ttl_days``."""
    return min(age_limit(high, max_stale_share=max_stale_share, ttl_days=ttl_days, ttl_min_days=ttl_min_days), ttl_days)


def age_limit(high: float, *, max_stale_share: float, ttl_days: float, ttl_min_days: float) -> float:
    """Days after its last confirmation at which an answer is stale, at the change rate ``high`` (a day). Infinite for a
    rate of 0.

    A TTL starts again with every generation, whatever the age of the answer, so it does not limit the age. ``ttl_days``
    is no upper limit here: it is how long entries live when nothing runs, not evidence against older answers. Used as a
    limit, it would drop every entry once per ``ttl_days``, even one that always hits.
    """
    wanted = -math.log1p(-max_stale_share) / high if high > 0 else math.inf
    return max(wanted, min(ttl_min_days, ttl_days))
