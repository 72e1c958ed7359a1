"""The holdout of one reader: its share of users, and the user or session that a lookup is for."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from cachewarm_client.arms import NO_HOLDOUT, Assignment, assign, check_share
from cachewarm_client.errors import ConfigurationError

if TYPE_CHECKING:
    from cachewarm_client.redis_counters import Counters

_LOG = logging.getLogger(__name__)

HoldoutKey = Callable[[], str | None]
"""Returns the user or session of the current lookup, such as a ContextVar's ``get``; None where it is unknown."""


class Holdout:
    """Assigns each lookup to an arm. Keys are hashed here and go nowhere else."""

    def __init__(self, name: str, share: float, key: HoldoutKey | None, counters: "Counters") -> None:
        """Raises ConfigurationError for a share outside 0 to 1, and for a ``key`` that is not callable."""
        if key is not None and not callable(key):
            raise ConfigurationError(
                f"holdout_key must be a callable that returns the current user, got {type(key).__name__}; to name the "
                "user of one lookup, pass holdout_key to check()"
            )
        self._name = name
        self._share = check_share(share)
        self._key = key
        self._counters = counters
        self._warned = False

    def assign(self, prompt: str | None, vector: bytes | None, key: str | None) -> Assignment:
        """Arm and bucket of a lookup. ``key`` takes precedence over the callable. Raises TypeError unless it is a
        string or None."""
        if key is not None and not isinstance(key, str):
            raise TypeError(f"holdout_key must be a string, got {type(key).__name__}.")
        if not self._share:
            return NO_HOLDOUT
        return assign(self._name, self._share, self._current_key() if key is None else key, prompt, vector)

    def _current_key(self) -> str | None:
        """The key that the callable returns. A fault of the application there is counted and does not break the
        lookup."""
        if self._key is None:
            return None
        try:
            key = self._key()
        except Exception as error:
            self._count_fault(f"raised {type(error).__name__}")
            return None
        if key is not None and not isinstance(key, str):
            self._count_fault(f"returned {type(key).__name__} instead of a string")
            return None
        return key

    def _count_fault(self, what: str) -> None:
        """Counts every fault and logs the first: an experiment that does not know its users is worth little, and
        nothing else would show it."""
        self._counters.count_fault()
        if not self._warned:
            self._warned = True
            _LOG.warning("holdout_key %s: the arm of such lookups depends on the prompt, not on the user", what)
