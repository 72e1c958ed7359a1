"""Real servers for the tests: started in a folder of the test, stopped by it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cachewarm_pipeline.embedded.redis_server import ensure_redis, stop_redis


@contextmanager
def start_redis(home: Path) -> Iterator[str]:
    """URL of a real Redis with its search module, data under ``home``; stopped on the way out."""
    url = ensure_redis(home)
    try:
        yield url
    finally:
        stop_redis(home)
