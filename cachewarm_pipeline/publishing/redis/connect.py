"""Opens Redis and checks that it is usable. Every fault has a message of one line, without the password."""

import logging
from typing import TYPE_CHECKING, Any

from cachewarm_client.urls import redact_url

from cachewarm_pipeline.errors import CacheError

if TYPE_CHECKING:
    import redis

logger = logging.getLogger(__name__)

MIN_MAJOR = 8
"""First version whose open-source server includes the query engine, and the version of all our measurements."""


def connect(url: str, *, socket_timeout: float = 30.0) -> "redis.Redis":
    """A client of a server that answers and has the query engine. Replies are bytes.

    ``socket_timeout`` limits every command, in seconds. Connecting takes at most 5 s, and a lost connection is opened
    again up to three times within a second. Raises CacheError: bad URL, unreachable, refused password, no query
    engine, a cluster node. A version below 8 that has the engine (Redis Stack) only logs a warning.
    """
    import redis
    from redis.backoff import ExponentialWithJitterBackoff
    from redis.retry import Retry

    shown = redact_url(url)
    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=socket_timeout,
            socket_connect_timeout=min(5.0, socket_timeout),
            health_check_interval=30,
            retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 3),
        )
        host = client.connection_pool.connection_kwargs.get("host", "")
        if host.lower() not in shown.lower():
            raise ValueError("the host is part of a password with an unescaped /")
    except (ValueError, TypeError, AttributeError):
        # redis-py's messages repeat parts of the URL, so they are not shown.
        raise CacheError(
            f"bad Redis URL {shown!r}: expected redis://[user:password@]host:port/db, rediss:// or unix://, special "
            "characters of a password as %XX; check CACHEWARM_REDIS_URL"
        ) from None
    try:
        _check(client, shown)
    except redis.RedisError as error:
        client.close()
        raise CacheError(_explain(error, shown)) from None
    except CacheError:
        client.close()
        raise
    return client


def _check(client: "redis.Redis", shown: str) -> None:
    import redis

    client.ping()
    info: dict[str, Any] = client.info()
    if info.get("cluster_enabled"):
        raise CacheError(f"{shown} is a node of a Redis Cluster; use a single server or a proxied (managed) endpoint")
    try:
        client.execute_command("FT._LIST")  # type: ignore[no-untyped-call]
    except redis.ResponseError as error:
        if "unknown command" not in str(error).lower():
            raise
        raise CacheError(
            f"the Redis at {shown} (version {info.get('redis_version', '?')}) has no query engine: "
            "this build lacks the search module; use Redis 8 or later, Redis Cloud or Redis Software with search"
        ) from None
    version = str(info.get("redis_version", ""))
    major = version.partition(".")[0]
    if major.isdigit() and int(major) < MIN_MAJOR:
        logger.warning("the Redis at %s is version %s; cachewarm is tested on %s and later", shown, version, MIN_MAJOR)


def _explain(error: Exception, shown: str) -> str:
    import redis

    text = str(error)
    if isinstance(error, redis.AuthenticationError) or text.startswith(("WRONGPASS", "NOAUTH")):
        return f"the Redis at {shown} refused the user or password; check CACHEWARM_REDIS_URL"
    if isinstance(error, redis.exceptions.NoPermissionError):
        return f"the Redis at {shown} does not let this user run PING, INFO and FT._LIST: {_first_line(text)}"
    if isinstance(error, redis.BusyLoadingError):
        return f"the Redis at {shown} is still loading its data; try again in a moment"
    if isinstance(error, redis.TimeoutError):
        return f"the Redis at {shown} did not answer in time; is it up and reachable from here?"
    if isinstance(error, redis.ConnectionError):
        return f"cannot reach the Redis at {shown}: {_first_line(text)}; is it running? check CACHEWARM_REDIS_URL"
    return f"the Redis at {shown} answered with an error: {_first_line(text)}"


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[0][:200]
