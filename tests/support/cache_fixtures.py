"""Fixtures for tests of the cache: a connected store, a store with a small plan published, and a reader of it.

Test modules load them with ``pytest_plugins = ["tests.support.cache_fixtures"]``.
"""

from collections.abc import Iterator

import pytest
import redis
from cachewarm_client.cache import WarmedSemanticCache

from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.connect import connect
from tests.support.cache_fakes import PLAN, Clock, TrigramEmbedder, doze, make_plan, publish


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def store(client: redis.Redis, cache_name: str) -> CacheStore:
    """A store in which nothing is published."""
    return CacheStore(client, cache_name, sleep=doze)


@pytest.fixture
def warmed(store: CacheStore) -> CacheStore:
    """The store with PLAN published."""
    publish(store, make_plan(PLAN))
    return store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def embedder() -> TrigramEmbedder:
    return TrigramEmbedder()


@pytest.fixture
def cache(warmed: CacheStore, redis_url: str, embedder: TrigramEmbedder, clock: Clock) -> Iterator[WarmedSemanticCache]:
    with WarmedSemanticCache(warmed.name, redis_url, embedder=embedder, clock=clock) as cache:
        yield cache
