"""The connections of one reader, and the two drivers of its steps: one blocking, one for an event loop."""

import asyncio
from contextlib import closing
from typing import Any

import redis
import redis.asyncio
from redisvl.redis.connection import RedisConnectionFactory

from cachewarm_client.errors import CacheError
from cachewarm_client.reader_requests import EmbedPrompt, LookupSteps, SendCommands
from cachewarm_client.redis_index import redis_faults
from cachewarm_client.urls import redact_url


class Connection:
    """Runs steps against Redis. Thread-safe; each event loop gets its own async client."""

    def __init__(self, url: str, given: "redis.Redis | None", kwargs: dict[str, Any]) -> None:
        """``given``: a client to use instead of opening ``url``; the caller closes it. Raises CacheError for a bad
        URL."""
        self.client = given or _open(url, kwargs)
        self._given = given
        self._url = url
        self._kwargs = kwargs
        self._async: tuple[asyncio.AbstractEventLoop, Any] | None = None

    def run(self, steps: LookupSteps) -> Any:
        """The result of the steps. Raises what they raise, and CacheError when Redis is lost or refuses."""
        answer: Any = None
        with redis_faults("reading the cache"), closing(steps):
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as done:
                    return done.value
                if isinstance(step, EmbedPrompt):
                    answer = step.vectorizer.buffer(step.text)
                else:
                    answer = _filled(self.client.pipeline(transaction=step.atomic), step).execute(False)

    async def arun(self, steps: LookupSteps) -> Any:
        """``run`` without blocking the event loop; texts are embedded in a thread."""
        answer: Any = None
        with redis_faults("reading the cache"), closing(steps):
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as done:
                    return done.value
                if isinstance(step, EmbedPrompt):
                    answer = await asyncio.to_thread(step.vectorizer.buffer, step.text)
                else:
                    answer = await _filled(self._async_client().pipeline(transaction=step.atomic), step).execute(False)

    def close(self) -> None:
        """Close the connections that were opened here; using them opens them again."""
        if self._given is None:
            self.client.close()

    async def aclose(self) -> None:
        """``close``, and close the async client too."""
        if self._async:
            _, client = self._async
            self._async = None
            await client.aclose()
        self.close()

    def _async_client(self) -> Any:
        """The async client of the running loop: connections cannot move to another loop."""
        loop = asyncio.get_running_loop()
        if self._async is None or self._async[0] is not loop:
            self._async = (loop, self._open_async())
        return self._async[1]

    def _open_async(self) -> Any:
        if self._given is not None:
            return RedisConnectionFactory.sync_to_async_redis(self._given)
        return redis.asyncio.Redis.from_url(self._url, **{"protocol": 3, **self._kwargs})


def _open(url: str, kwargs: dict[str, Any]) -> "redis.Redis":
    try:
        # RESP3 reports when a search was cut short; RESP2 does not.
        return redis.Redis.from_url(url, **{"protocol": 3, **kwargs})
    except ValueError as error:
        raise CacheError(
            f"the Redis URL {redact_url(url)!r} is not usable ({type(error).__name__}): expected redis://host:port/db"
        ) from None


def _filled(pipe: Any, step: SendCommands) -> Any:
    for command in step.commands:
        pipe.execute_command(*command)
    return pipe
