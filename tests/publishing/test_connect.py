"""Opening Redis: a usable client, or a message of one line without the password."""

import logging
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from pytest_httpserver import HTTPServer

from cachewarm_pipeline.embedded import redis_server
from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis import connect as redis_client
from cachewarm_pipeline.publishing.redis.connect import connect
from tests.support.servers import start_redis

PASSWORD = "p@ss/w:rd-Qsecret"


def _refusal(url: str, **options: float) -> str:
    with pytest.raises(CacheError) as caught:
        connect(url, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert "Qsecret" not in message
    assert caught.value.__cause__ is None
    return message


@contextmanager
def _plain_server(folder: Path, *options: str) -> Iterator[str]:
    """The same Redis binary without the search module."""
    server, _ = redis_server._binaries()
    port = redis_server._free_port(None)
    command = [str(server), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            url = f"redis://127.0.0.1:{port}/0"
            with redis.Redis.from_url(url) as client:
                for _ in range(500):
                    try:
                        client.ping()
                        break
                    except redis.ConnectionError:
                        assert process.poll() is None
            yield url
        finally:
            process.kill()


def test_a_usable_server_gives_a_client_that_returns_bytes(redis_url: str, cache_name: str) -> None:
    with connect(redis_url) as client:
        client.set(cache_name, b"\xff\x00")
        assert client.get(cache_name) == b"\xff\x00"
        client.delete(cache_name)


def test_the_database_of_the_url_is_the_one_used(redis_url: str) -> None:
    with connect(redis_url) as client:
        assert client.connection_pool.connection_kwargs["db"] == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:6379",
        f"http://user:{PASSWORD}@host:1",
        f"redis://:{PASSWORD}@host:port/0",
        f"redis://{PASSWORD}@host/0",
        "redis://Qsecret/x@host/0",
        "redis://host:99999999/0",
        "redis://host/not-a-number",
        "postgresql://host/db",
    ],
)
def test_the_message_for_a_bad_url_shows_the_expected_form(url: str) -> None:
    message = _refusal(url)
    assert "CACHEWARM_REDIS_URL" in message or "cannot reach" in message


def test_a_port_without_a_server_is_reported_quickly() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"redis://user:Qsecret@127.0.0.1:{free.getsockname()[1]}/0"
        message = _refusal(url)
    assert message.startswith("cannot reach the Redis at redis://***@127.0.0.1:")
    assert "CACHEWARM_REDIS_URL" in message


def test_an_unknown_host_is_reported() -> None:
    assert "cannot reach the Redis at redis://no-such-host.invalid:6379" in _refusal(
        "redis://no-such-host.invalid:6379"
    )


def test_a_server_that_does_not_answer_is_reported_after_the_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(20)
        message = _refusal(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", socket_timeout=0.05)
    assert "did not answer in time" in message


def test_a_server_with_another_protocol_is_reported() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(20)

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1_000)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        message = _refusal(f"redis://127.0.0.1:{listener.getsockname()[1]}/0", socket_timeout=2)
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert "the Redis at redis://127.0.0.1" in message


def test_a_web_server_is_reported(httpserver: HTTPServer) -> None:
    assert f"127.0.0.1:{httpserver.port}" in _refusal(f"redis://127.0.0.1:{httpserver.port}/0", socket_timeout=2)


def test_a_wrong_and_a_missing_password_are_reported(tmp_path: Path) -> None:
    with start_redis(tmp_path) as url, redis.Redis.from_url(url) as admin:
        admin.config_set("requirepass", "right")
        try:
            place = url.removeprefix("redis://")
            assert "refused the user or password" in _refusal(url)
            assert "refused the user or password" in _refusal(f"redis://:Qsecret@{place}")
            assert "refused the user or password" in _refusal(f"redis://nobody:Qsecret@{place}")
            with connect(f"redis://:right@{place}") as client:
                assert client.ping()
        finally:
            admin.config_set("requirepass", "")


def test_the_message_for_a_user_without_rights_names_the_commands_that_are_needed(tmp_path: Path) -> None:
    with start_redis(tmp_path) as url, redis.Redis.from_url(url) as admin:
        admin.acl_setuser("limited", enabled=True, passwords=["+Qsecret"], commands=["+ping"])
        message = _refusal(f"redis://limited:Qsecret@{url.removeprefix('redis://')}")
    assert "does not let this user run PING, INFO and FT._LIST" in message


def test_a_server_without_the_query_engine_is_reported_with_its_version(tmp_path: Path) -> None:
    with _plain_server(tmp_path) as url:
        message = _refusal(url)
    assert "has no query engine" in message
    assert "version 8." in message


def test_a_cluster_node_is_refused(tmp_path: Path) -> None:
    with _plain_server(tmp_path, "--cluster-enabled", "yes") as url:
        assert "Redis Cluster" in _refusal(url)


def test_an_older_version_with_the_engine_logs_a_warning(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis_client, "MIN_MAJOR", 99)
    with caplog.at_level(logging.WARNING), connect(redis_url) as client:
        assert client.ping()
    assert "tested on 99 and later" in caplog.text
