"""Who is kept from seeing warmed entries: the share of one reader, and whom its lookups are for."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from cachewarm_client.arms import WARMED, Place, check_share, place_of
from cachewarm_client.errors import ConfigurationError

if TYPE_CHECKING:
    from cachewarm_client.redis_counters import Counters

_LOG = logging.getLogger(__name__)

HoldoutKey = Callable[[], str | None]
"""Names whom the present lookup is for, such as the ``get`` of a ContextVar; None where that is not known."""


class Holdout:
    """Draws the arm of each lookup. Keys are hashed here and go nowhere else."""

    def __init__(self, name: str, share: float, key: HoldoutKey | None, counters: "Counters") -> None:
        """Raises ConfigurationError for a share outside 0 to 1, and for a key that is not to be called."""
        if key is not None and not callable(key):
            raise ConfigurationError(
                f"holdout_key is a callable that names the present user, got {type(key).__name__}; for one lookup give "
                "it to check()"
            )
        self._name = name
        self._share = check_share(share)
        self._key = key
        self._counters = counters
        self._told = False

    def place(self, prompt: str | None, vector: bytes | None, key: str | None) -> Place:
        """Arm and bucket of a lookup. ``key`` wins over the callable. Raises TypeError for one that is no string."""
        if key is not None and not isinstance(key, str):
            raise TypeError(f"holdout_key must be a string, got {type(key).__name__}.")
        if not self._share:
            return WARMED
        return place_of(self._name, self._share, self._present() if key is None else key, prompt, vector)

    def _present(self) -> str | None:
        """Whom the callable names. The application's fault there is no lookup's: it is counted."""
        if self._key is None:
            return None
        try:
            key = self._key()
        except Exception as error:
            self._fault(f"raised {type(error).__name__}")
            return None
        if key is not None and not isinstance(key, str):
            self._fault(f"gave {type(key).__name__} and no string")
            return None
        return key

    def _fault(self, what: str) -> None:
        """Counted each time, told once: an experiment without its users is worth little, and looks as if it were."""
        self._counters.fault()
        if not self._told:
            self._told = True
            _LOG.warning("holdout_key %s: such lookups are drawn by their prompt, not by user", what)
