"""What the counters of both arms hold, and the arrays that it becomes.

``cachewarm_client.arms.BUCKETS`` says what a counter has to keep so that an interval of the lift is honest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from cachewarm_client.arms import BUCKETS
from cachewarm_client.counters import ARMS, HOLDOUT_ARM
from numpy.typing import NDArray

__all__ = ["ARMS", "BUCKETS", "HOLDOUT_ARM", "Cells", "Count", "cells"]

Floats = NDArray[np.float64]


class Count(NamedTuple):
    """Lookups of one arm, slot, agent_type and, where counted, bucket."""

    arm: str
    """``warmed`` or ``holdout``."""
    slot: str
    """UTC day ``YYYYMMDD`` or hour ``YYYYMMDDHH`` (cachewarm_client.counters.hour_of)."""
    agent_type: str
    hits: int
    lookups: int
    bucket: int | None = None


@dataclass(frozen=True)
class Cells:
    """Counts as arrays. A stratum is one agent_type in one slot: within it both arms saw the same cache and traffic.

    ``agents`` and ``days``: names, sorted. ``agent``, ``day`` (s,): index of each stratum's. ``hits``, ``lookups``
    (2, s, b) by arm in the order of ARMS, stratum and bucket; b = 1 where nothing was counted by bucket.
    """

    agents: list[str]
    days: list[str]
    agent: NDArray[np.int64]
    day: NDArray[np.int64]
    hits: Floats
    lookups: Floats
    bucketed: bool


def cells(counts: Sequence[Count]) -> Cells:
    """Sums of the counts by arm, stratum and bucket.

    Raises ValueError, which names the count, for an unknown arm, a slot that is no day or hour, hits that are not
    within 0 and lookups, a bucket below 0; and for counts of which only some have a bucket: those of an hour
    and those of a day and bucket count the same lookups.
    """
    for count in counts:
        _check(count)
    bucketed = {count.bucket is not None for count in counts}
    if len(bucketed) > 1:
        raise ValueError("impact: some counts have a bucket and some have none; give those of one counter only")
    strata = sorted({(count.agent_type, count.slot) for count in counts})
    place = {stratum: number for number, stratum in enumerate(strata)}
    buckets = sorted({count.bucket or 0 for count in counts})
    column = {bucket: number for number, bucket in enumerate(buckets)}
    agents = sorted({name for name, _ in strata})
    days = sorted({slot[:8] for _, slot in strata})
    hits = np.zeros((2, len(strata), max(1, len(buckets))), np.float64)
    lookups = np.zeros_like(hits)
    for count in counts:
        at = (ARMS.index(count.arm), place[count.agent_type, count.slot], column[count.bucket or 0])
        hits[at] += count.hits
        lookups[at] += count.lookups
    number, day = ({name: n for n, name in enumerate(names)} for names in (agents, days))
    return Cells(
        agents,
        days,
        np.array([number[name] for name, _ in strata], np.int64),
        np.array([day[slot[:8]] for _, slot in strata], np.int64),
        hits,
        lookups,
        True in bucketed,
    )


def _check(count: Count) -> None:
    if count.arm not in ARMS:
        raise ValueError(f"impact: {count} has the arm {count.arm!r}, not {' or '.join(ARMS)}")
    if len(count.slot) not in (8, 10) or not (count.slot.isascii() and count.slot.isdigit()):
        raise ValueError(f"impact: {count} has the slot {count.slot!r}, not YYYYMMDD or YYYYMMDDHH")
    if not 0 <= count.hits <= count.lookups:
        raise ValueError(f"impact: {count} needs 0 <= hits <= lookups")
    if count.bucket is not None and count.bucket < 0:
        raise ValueError(f"impact: {count} has the bucket {count.bucket}, below 0")
