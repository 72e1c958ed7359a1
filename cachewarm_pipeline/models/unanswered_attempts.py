"""Tries of a request that a provider may bill though nobody saw the answer: a time-out, a lost connection, a gateway
that gave up. The client tries again by itself, so each is told apart here, as it happens."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cachewarm_pipeline.models.rate_limiter import RateLimiter

_GATEWAY = {408, 502, 504, *range(520, 525)}
"""Somebody between gave up waiting; the model behind may have answered. Any other error is the server's own word that
there is no answer, and taken as free."""

_NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}


class UnansweredAttempts:
    """The lost tries of one request, each taken as the most that it can have cost."""

    def __init__(
        self,
        most: tuple[int, int],
        note: Callable[[int, int], None],
        again: Callable[[int, int], None] | None = None,
    ) -> None:
        """``most``: upper bound of the (prompt, completion) tokens of a try; ``note`` gets it for each lost one.
        ``again`` sets it aside for a further try, or raises SpendCapError where that could pass a cap."""
        self._most, self._note, self._again = most, note, again
        self.number = 0

    @property
    def tokens(self) -> tuple[int, int]:
        """Prompt and completion tokens of all of them."""
        return self.number * self._most[0], self.number * self._most[1]

    def __call__(self, more: bool) -> None:
        """One more is lost. ``more``: whether the client would try again."""
        self.number += 1
        self._note(*self._most)
        if more and self._again is not None:
            self._again(*self._most)


class AttemptsOfThread(threading.local):
    """The request that a thread is about to make: who hears of its lost tries, and how many tries it has left."""

    lost: UnansweredAttempts | None = None
    left: int = 0


def http_client(tries: AttemptsOfThread, rate_limiter: RateLimiter | None) -> Any:
    """An HTTP client for ``openai.OpenAI`` that tells ``tries`` of what is lost, and waits for ``pace`` before each."""
    import openai

    class Client(openai.DefaultHttpxClient):
        def send(self, request: Any, **options: Any) -> Any:
            if rate_limiter:
                rate_limiter.wait()
            tries.left -= 1
            try:
                response = super().send(request, **options)
            except Exception as error:
                if tries.lost and type(error).__name__ not in _NOT_SENT:
                    tries.lost(tries.left > 0)
                raise
            if tries.lost and response.status_code in _GATEWAY:
                tries.lost(tries.left > 0)
            return response

        def __del__(self) -> None:
            with suppress(Exception):
                self.close()

    return Client()
