"""Fixtures shared by all tests: one real server of each kind for each pytest process."""

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from pytest_httpserver import HTTPServer

from tests.support.dagster_storage import forget_connections
from tests.support.openai_server import FakeServer
from tests.support.postgres_server import postgres_url  # noqa: F401 (a fixture: importing it here registers it)
from tests.support.servers import start_redis

# The same examples in every run, and no failures from time limits on a busy machine.
settings.register_profile("cachewarm", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cachewarm")


@pytest.fixture(autouse=True)
def _no_connections_left() -> Iterator[None]:
    yield
    forget_connections()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real Redis for each xdist worker. Tests share it: each uses a `cache_name` of its own, or flushes it."""
    with start_redis(tmp_path_factory.mktemp("redis home")) as url:
        yield url


@pytest.fixture
def cache_name(request: pytest.FixtureRequest) -> str:
    """A cache name that no other test uses."""
    return "t-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


@pytest.fixture(scope="session")
def _openai_http() -> Iterator[HTTPServer]:
    with HTTPServer(host="127.0.0.1", port=0, threaded=True) as http:
        yield http


@pytest.fixture
def openai_server(_openai_http: HTTPServer) -> FakeServer:
    """An HTTP server that speaks OpenAI's embeddings protocol. For each test it starts without requests and faults."""
    _openai_http.clear()
    return FakeServer(_openai_http)


@pytest.fixture(params=["folder", "fsspec"])
def store_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new folder for a store of segments: on the disk, with a blank in its name, or in fsspec's memory."""
    return str(tmp_path / "a folder") if request.param == "folder" else f"memory://{uuid.uuid4()}/store"
