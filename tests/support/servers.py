"""Real servers for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cachewarm_pipeline.embedded.redis_server import ensure_redis, stop_redis


@contextmanager
def start_redis(home: Path) -> Iterator[str]:
    """The URL of a real Redis with its search module and its data under ``home``. It is stopped at the end."""
    url = ensure_redis(home)
    try:
        yield url
    finally:
        stop_redis(home)
