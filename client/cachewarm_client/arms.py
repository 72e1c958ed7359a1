"""The arm of a lookup: the warmed arm, or the holdout that never sees warmed entries. No Redis here.

The arm is a hash of the user or session that the lookup is for. So it needs no memory, and it is the same in every
process, after every restart and on every machine.
"""

import hashlib
import math
from typing import NamedTuple

from cachewarm_client.counters import HOLDOUT_ARM, WARMED_ARM
from cachewarm_client.errors import ConfigurationError
from cachewarm_client.text import canonical

BUCKETS = 16
"""Hash buckets per arm in which a day's lookups are counted: the minimum needed to estimate variance.

The arm depends on the user (session, prompt), not on the lookup, so what varies by chance is the user. Counts per arm
do not show how much users differ. Counts per bucket of users do, because buckets are independent. So, in addition to
the counters of an hour, a reader adds 1 to ``{arm}:{bucket}:{hit or miss}:{agent_type}`` of the DAY. ``bucket`` is 4
bits of the hash whose other bits chose the arm (the same bits would make the bucket depend on the arm). It never
changes for a user, whose lookups of all days must meet in one bucket. This costs one more command per lookup, at most
64 fields per agent_type and day, and stores no user id. 64 buckets would make intervals 3% to 6% narrower and cost four
times the memory.
"""


class Assignment(NamedTuple):
    """The arm and the bucket that a lookup counts in."""

    arm: str
    bucket: int | None
    """None for a reader without a holdout, whose lookups compare with nothing."""


NO_HOLDOUT = Assignment(WARMED_ARM, None)
"""The assignment of every lookup of a reader without a holdout."""


def check_share(holdout: float) -> float:
    """The share itself, 0 to 1. A share of 1 switches warming off: the reader sees no warmed entry at all.

    Raises ConfigurationError for anything that is not a number from 0 to 1.
    """
    usable = isinstance(holdout, int | float) and not isinstance(holdout, bool) and math.isfinite(holdout)
    if not usable or not 0 <= holdout <= 1:
        raise ConfigurationError(
            f"holdout must be a share from 0 to 1, got {holdout!r:.80}; 0.05 holds out one user in 20"
        )
    return float(holdout)


def assign(name: str, holdout: float, key: str | None, prompt: str | None, vector: bytes | None = None) -> Assignment:
    """Arm and bucket of a lookup in the cache ``name``, where a share ``holdout`` of the users is held out.

    ``key`` names a user or session. Without one (None or empty) the canonical ``prompt`` takes its place, and without a
    prompt the ``vector``. Users in the holdout of one share stay in it for every larger share.
    """
    if not holdout:
        return NO_HOLDOUT
    if key:
        digest = _hash(name, b"key", key.encode("utf-8", "surrogatepass"))
    elif prompt:
        digest = _hash(name, b"prompt", (canonical(prompt) or prompt).encode("utf-8", "surrogatepass"))
    else:
        digest = _hash(name, b"vector", vector or b"")
    # Compared as whole numbers: a share of 1 must include the largest hash too.
    arm = HOLDOUT_ARM if int.from_bytes(digest[:8], "big") < holdout * 2**64 else WARMED_ARM
    return Assignment(arm, digest[8] % BUCKETS)


def _hash(name: str, kind: bytes, value: bytes) -> bytes:
    """The name is part of the hash, so two caches hold out different users. A name contains no zero byte, so parts
    cannot run into each other."""
    return hashlib.sha256(b"\0".join((name.encode(), kind, value))).digest()
