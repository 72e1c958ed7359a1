"""An OpenAI-compatible server that is paid for: requests keep to the rate limit, and every attempt that the provider
may bill is noted, also one without an answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cachewarm_client.embedders.openai_server import OpenAIServer

from cachewarm_pipeline.models.rate_limiter import RateLimiter
from cachewarm_pipeline.models.unanswered_attempts import AttemptsOfThread, UnansweredAttempts, http_client


class PaidServer(OpenAIServer):
    """As ``OpenAIServer``. ``pace`` is waited for before each request and each further attempt at one."""

    def __init__(
        self, model: str, *, max_retries: int, rate_limiter: RateLimiter | None = None, **options: Any
    ) -> None:
        super().__init__(model, max_retries=max_retries, **options)
        self._attempts = max_retries + 1
        self._rate_limiter = rate_limiter
        self._tries = AttemptsOfThread()

    @contextmanager
    def asking(self, lost: UnansweredAttempts) -> Iterator[Any]:
        """The client for one request of this thread that may be billed. ``lost`` is called for each attempt without an
        answer; what it raises ends the request."""
        self._tries.lost, self._tries.left = lost, self._attempts
        try:
            yield self.client
        finally:
            self._tries.lost = None

    def _http_client(self) -> Any:
        return http_client(self._tries, self._rate_limiter)
