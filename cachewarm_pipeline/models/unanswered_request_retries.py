"""Attempts at a request that a provider may bill although no answer arrived: a time-out, a lost connection, a gateway
that gave up. The OpenAI client retries by itself, so each attempt is counted here, inside its HTTP client.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cachewarm_pipeline.models.rate_limiter import RateLimiter

_GATEWAY_GAVE_UP = {408, 502, 504, *range(520, 525)}
"""HTTP statuses of a gateway that stopped waiting: the model behind it may have answered. With any other error status
the server itself says that there is no answer, and the attempt counts as free."""


class UnansweredAttempts:
    """The attempts of one request that got no answer. Each counts as the most that it can have cost."""

    def __init__(
        self,
        most: tuple[int, int],
        note: Callable[[int, int], None],
        reserve_attempt: Callable[[int, int], None] | None = None,
    ) -> None:
        """``most``: upper bound of the (prompt, completion) tokens of one attempt; ``note`` is called with it for each
        attempt without an answer. ``reserve_attempt`` is called with it before a further attempt: it reserves the
        tokens, or raises SpendCapError where they could exceed a cap."""
        self._most, self._note, self._reserve_attempt = most, note, reserve_attempt
        self.number = 0

    @property
    def tokens(self) -> tuple[int, int]:
        """Prompt and completion tokens of all attempts without an answer."""
        return self.number * self._most[0], self.number * self._most[1]

    def add(self, will_retry: bool) -> None:
        """Count one more. ``will_retry``: whether the client would make another attempt."""
        self.number += 1
        self._note(*self._most)
        if will_retry and self._reserve_attempt is not None:
            self._reserve_attempt(*self._most)


class AttemptsOfThread(threading.local):
    """The request that a thread is making, as the HTTP client sees it."""

    unanswered: UnansweredAttempts | None = None
    """Where attempts without an answer are counted; None outside a billed request."""
    left: int = 0
    """Attempts that the client may still make."""


def http_client(attempts: AttemptsOfThread, rate_limiter: RateLimiter | None) -> Any:
    """An HTTP client for ``openai.OpenAI``. It counts attempts without an answer in ``attempts``, and waits for the
    rate limiter before each attempt."""
    # httpx2 is the HTTP library of openai 3.x: a required dependency, whose classes are in openai's public signatures.
    import httpx2
    import openai

    not_sent = (
        httpx2.ConnectError,
        httpx2.ConnectTimeout,
        httpx2.PoolTimeout,
        httpx2.ProxyError,
        httpx2.UnsupportedProtocol,
    )

    class Client(openai.DefaultHttpxClient):
        def send(self, request: Any, **options: Any) -> Any:
            if rate_limiter:
                rate_limiter.wait()
            attempts.left -= 1
            try:
                response = super().send(request, **options)
            except not_sent:
                raise
            except Exception:
                if attempts.unanswered:
                    attempts.unanswered.add(will_retry=attempts.left > 0)
                raise
            if attempts.unanswered and response.status_code in _GATEWAY_GAVE_UP:
                attempts.unanswered.add(will_retry=attempts.left > 0)
            return response

        def __del__(self) -> None:
            with suppress(Exception):
                self.close()

    return Client()
