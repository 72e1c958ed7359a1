"""Counts of lookups and hits by arm: one count, and all of them as arrays.

``cachewarm_client.arms.BUCKETS`` explains why counters keep buckets of users: without them the lift has no interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from cachewarm_client.arms import BUCKETS
from cachewarm_client.counters import ARMS, HOLDOUT_ARM
from numpy.typing import NDArray

__all__ = ["ARMS", "BUCKETS", "HOLDOUT_ARM", "ArmCount", "Cells", "cells"]

Floats = NDArray[np.float64]


class ArmCount(NamedTuple):
    """Lookups and hits of one arm, slot and agent_type, and of one bucket of users where buckets were counted."""

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
    """Counts as arrays, of s strata and b buckets.

    A stratum is one agent_type in one slot: within it both arms saw the same cache and the same traffic.
    """

    agents: list[str]
    """Agent types, sorted."""
    days: list[str]
    """UTC days ``YYYYMMDD``, sorted."""
    agent: NDArray[np.int64]
    """(s,): index of the stratum's agent_type in ``agents``."""
    day: NDArray[np.int64]
    """(s,): index of the stratum's day in ``days``."""
    hits: Floats
    """(2, s, b): by arm in the order of ARMS, stratum and bucket; b = 1 without buckets."""
    lookups: Floats
    """(2, s, b): likewise."""
    bucketed: bool
    """Whether lookups were counted by bucket."""


def cells(counts: Sequence[ArmCount]) -> Cells:
    """The counts summed by arm, stratum and bucket.

    Raises ValueError, which names the count, for an unknown arm, a slot that is not a day or an hour, hits outside 0
    to lookups, and a bucket below 0. Raises it too if some counts have a bucket and some have none: hourly counts and
    bucket counts are two counters of the same lookups, so their sum would count each lookup twice.
    """
    for count in counts:
        _check(count)
    bucketed = {count.bucket is not None for count in counts}
    if len(bucketed) > 1:
        raise ValueError("impact: some counts have a bucket and some have none; pass the counts of one counter only")
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


def _check(count: ArmCount) -> None:
    if count.arm not in ARMS:
        raise ValueError(f"impact: {count} has the arm {count.arm!r}, not {' or '.join(ARMS)}")
    if len(count.slot) not in (8, 10) or not (count.slot.isascii() and count.slot.isdigit()):
        raise ValueError(f"impact: {count} has the slot {count.slot!r}, not YYYYMMDD or YYYYMMDDHH")
    if not 0 <= count.hits <= count.lookups:
        raise ValueError(f"impact: {count} needs 0 <= hits <= lookups")
    if count.bucket is not None and count.bucket < 0:
        raise ValueError(f"impact: {count} has the bucket {count.bucket}, below 0")
