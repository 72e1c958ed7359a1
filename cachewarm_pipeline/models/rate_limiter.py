"""At most N requests a minute to paid servers, embedding and chat together. Used where warming is progressive."""

import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cachewarm_pipeline.settings import Settings


class RateLimiter:
    """Lets callers through at even intervals, at most ``per_minute`` in any minute. Safe to use from several threads.

    Each caller waits for its own interval, after those that came before it. There is no window that opens for a burst.
    """

    def __init__(
        self,
        per_minute: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 60 / per_minute
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Return when the next request may be sent."""
        with self._lock:
            now = self._clock()
            due = max(now, self._next)
            self._next = due + self._interval
        if due > now:
            self._sleep(due - now)


@lru_cache(maxsize=1)
def _shared(per_minute: int) -> RateLimiter:
    return RateLimiter(per_minute)


def rate_limiter_of(settings: "Settings") -> RateLimiter | None:
    """The rate limiter that all servers of this process share where warming is progressive; None without a limit."""
    return _shared(settings.entries_per_minute) if settings.progressive else None
