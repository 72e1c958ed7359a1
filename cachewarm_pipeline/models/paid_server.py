"""A paid OpenAI-compatible server. Requests keep to the rate limit, and every attempt that the provider may bill is
counted, including attempts without an answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cachewarm_client.embedders.openai_server import OpenAIServer

from cachewarm_pipeline.models.rate_limiter import RateLimiter
from cachewarm_pipeline.models.unanswered_request_retries import AttemptsOfThread, UnansweredAttempts, http_client


class PaidServer(OpenAIServer):
    """An ``OpenAIServer`` that waits for ``rate_limiter`` before each attempt."""

    def __init__(
        self, model: str, *, max_retries: int, rate_limiter: RateLimiter | None = None, **options: Any
    ) -> None:
        super().__init__(model, max_retries=max_retries, **options)
        self._max_attempts = max_retries + 1
        self._rate_limiter = rate_limiter
        self._attempts = AttemptsOfThread()

    @contextmanager
    def asking(self, unanswered: UnansweredAttempts) -> Iterator[Any]:
        """The client for one request of this thread that may be billed. ``unanswered`` counts each attempt without an
        answer; what it raises ends the request."""
        self._attempts.unanswered, self._attempts.left = unanswered, self._max_attempts
        try:
            yield self.client
        finally:
            self._attempts.unanswered = None

    def _http_client(self) -> Any:
        return http_client(self._attempts, self._rate_limiter)
