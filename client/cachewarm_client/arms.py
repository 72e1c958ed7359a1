"""Which arm a lookup is of: the warmed one, or the holdout that never sees warmed entries. No Redis here.

The arm is drawn by a hash of whom the lookup is for. So it needs no memory, and is the same in every process, after
every restart and on every machine.
"""

import hashlib
import math
from typing import NamedTuple

from cachewarm_client.counters import HOLDOUT_ARM, WARMED_ARM
from cachewarm_client.errors import ConfigurationError
from cachewarm_client.text import canonical

BUCKETS = 16
"""Hash buckets an arm in which a day's lookups are counted: the least that a counter must keep to know the noise.

An arm is drawn for a user (session, prompt) and not for a lookup, so what varies by chance is the user. Counts of an
arm do not show how much one user differs from the next. Counts in buckets of users do: buckets are independent. So
beside its counters of an hour, a reader adds 1 to ``{arm}:{bucket}:{hit or miss}:{agent_type}`` of the DAY. ``bucket``
is 4 bits of the hash of the key whose other bits chose the arm (the same bits would tie the one to the other). It never
changes for a user, whose days must meet in one bucket. That is one command more a lookup, at most 64 fields an
agent_type and day, and no user id. 64 buckets would make intervals 3% to 6% narrower and cost four times the memory.
"""


class Place(NamedTuple):
    """Where a lookup counts. ``bucket`` None: of a reader without a holdout, whose lookups compare with nothing."""

    arm: str
    bucket: int | None


WARMED = Place(WARMED_ARM, None)
"""Of every lookup of a reader without a holdout."""


def check_share(holdout: float) -> float:
    """The share itself. 1 is allowed: a reader that sees no warmed entry at all is how to switch warming off.

    Raises ConfigurationError for what is no number from 0 to 1.
    """
    usable = isinstance(holdout, int | float) and not isinstance(holdout, bool) and math.isfinite(holdout)
    if not usable or not 0 <= holdout <= 1:
        raise ConfigurationError(f"holdout is a share of 0 to 1, got {holdout!r:.80}; 0.05 keeps one user of 20 apart")
    return float(holdout)


def place_of(name: str, holdout: float, key: str | None, prompt: str | None, vector: bytes | None = None) -> Place:
    """Arm and bucket of a lookup in the cache ``name``, by whom it is for.

    ``key`` names a user or session. Without one (None or empty) the canonical ``prompt`` stands for it, and without
    that the ``vector``. Whoever is in the holdout of a share stays in it for every larger one.
    """
    if not holdout:
        return WARMED
    if key:
        digest = _hash(name, b"key", key.encode("utf-8", "surrogatepass"))
    elif prompt:
        digest = _hash(name, b"prompt", (canonical(prompt) or prompt).encode("utf-8", "surrogatepass"))
    else:
        digest = _hash(name, b"vector", vector or b"")
    # Whole numbers: a share of 1 must take the last of them too.
    arm = HOLDOUT_ARM if int.from_bytes(digest[:8], "big") < holdout * 2**64 else WARMED_ARM
    return Place(arm, digest[8] % BUCKETS)


def _hash(name: str, kind: bytes, value: bytes) -> bytes:
    """The name is in it, so that two caches hold different users out. A name holds no zero byte: nothing runs over."""
    return hashlib.sha256(b"\0".join((name.encode(), kind, value))).digest()
