"""The supervisor of the embedded Redis, on the real server: how it can be found, lost, killed or refused."""

import importlib.metadata
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import redis

from cachewarm_pipeline.embedded import redis_server
from cachewarm_pipeline.embedded.redis_server import ensure_redis, running_redis, stop_redis
from cachewarm_pipeline.errors import EmbeddedError
from tests.support.servers import start_redis

ENSURE = "import sys, pathlib\nfrom cachewarm_pipeline.embedded.redis_server import ensure_redis\n"


def _pid_of(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def _port_of(url: str) -> int:
    return int(url.removeprefix("redis://127.0.0.1:").removesuffix("/0"))


def _processes_in(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.readlink(process / "cwd") == str(folder):
                found.append(process.name)
    return found


def _kill(url: str, number: int = signal.SIGKILL) -> None:
    """Sends the signal. After SIGKILL, waits until the process, a child of this one, is reaped."""
    pid = _pid_of(url)
    os.kill(pid, number)
    if number == signal.SIGKILL:
        for child in redis_server._children:
            if child.pid == pid:
                child.wait(10)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    stop_redis(tmp_path / "home")


def test_a_server_is_started_once_and_found_again(home: Path) -> None:
    assert running_redis(home) is None
    url = ensure_redis(home)
    assert running_redis(home) == url
    assert ensure_redis(home) == url


def test_stop_ends_the_server_and_returns_whether_there_was_one(home: Path) -> None:
    assert stop_redis(home) is False
    assert not home.exists()
    pid = _pid_of(ensure_redis(home))
    assert stop_redis(home) is True
    assert running_redis(home) is None
    assert redis_server._pid(home / "redis") != pid
    assert stop_redis(home) is False


def test_data_and_port_survive_a_stop(home: Path) -> None:
    url = ensure_redis(home)
    redis.Redis.from_url(url).set("k", "v")
    stop_redis(home)
    assert ensure_redis(home) == url
    assert redis.Redis.from_url(url).get("k") == b"v"


def test_it_listens_on_loopback_only_keeps_every_write_and_never_evicts(home: Path) -> None:
    with redis.Redis.from_url(ensure_redis(home), decode_responses=True) as client:
        expected = {"bind": "127.0.0.1", "protected-mode": "yes", "appendonly": "yes", "save": ""}
        for name, value in {**expected, "maxmemory-policy": "noeviction"}.items():
            assert client.config_get(name)[name] == value
        assert client.info("server")["redis_version"].startswith("8.")
        assert client.execute_command("FT._LIST") == []


@pytest.mark.parametrize("folder", ["with space", 'it\'s a "home" # ☃ {x} 100%'])
def test_paths_with_unusual_characters_work(tmp_path: Path, folder: str) -> None:
    with start_redis(tmp_path / folder) as url:
        assert redis.Redis.from_url(url).ping()
        assert (tmp_path / folder / "redis" / "redis.log").read_text().strip()


def test_a_relative_home_works_from_any_folder(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    url = ensure_redis(Path("home"))
    monkeypatch.chdir("/")
    assert running_redis(home) == url


def test_the_server_outlives_the_command_and_holds_none_of_its_pipes_or_keys(home: Path) -> None:
    # run() returns only when nobody holds the pipes any more, so a server that kept them would time it out.
    done = subprocess.run(
        [sys.executable, "-c", ENSURE + "print(ensure_redis(pathlib.Path(sys.argv[1])))", str(home)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "OPENAI_API_KEY": "sk-very-secret"},
    )
    url = done.stdout.strip()
    assert running_redis(home) == url
    assert os.getsid(_pid_of(url)) != os.getsid(0)
    assert b"sk-very-secret" not in Path(f"/proc/{_pid_of(url)}/environ").read_bytes()


def test_commands_at_the_same_time_get_one_server(home: Path) -> None:
    script = ENSURE + "sys.stdin.read()\nprint(ensure_redis(pathlib.Path(sys.argv[1])))"
    commands = [
        subprocess.Popen([sys.executable, "-c", script, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for command in commands:  # all have been started: now let them go together
        assert command.stdin is not None
        command.stdin.close()
    urls = set()
    for command in commands:
        assert command.stdout is not None
        urls.add(command.stdout.read().decode().strip())
        command.stdout.close()
        assert command.wait(60) == 0
    assert urls == {running_redis(home)}
    assert len(_processes_in(home / "redis")) == 1


def test_threads_at_the_same_time_get_one_server(home: Path) -> None:
    urls: list[str] = []
    threads = [threading.Thread(target=lambda: urls.append(ensure_redis(home))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(urls) == 4
    assert len(set(urls)) == 1


def test_a_killed_server_comes_back_with_data_index_and_alias(home: Path) -> None:
    url = ensure_redis(home)
    with redis.Redis.from_url(url) as client:
        client.execute_command(
            "FT.CREATE", "warm:x:1", "PREFIX", "1", "warm:x:1:", "SCHEMA", "agent_type", "TAG",
            "v", "VECTOR", "FLAT", "6", "TYPE", "FLOAT32", "DIM", "2", "DISTANCE_METRIC", "COSINE",
        )  # fmt: skip
        client.execute_command("FT.ALIASADD", "x", "warm:x:1")
        for number in range(50):
            client.hset(f"warm:x:1:{number}", mapping={"agent_type": "a", "v": b"\0\0\x80\x3f\0\0\0\0"})
        client.expire("warm:x:1:0", 1_000)
    _kill(url)
    assert running_redis(home) is None
    assert ensure_redis(home) == url
    with redis.Redis.from_url(url) as client:
        assert client.dbsize() == 50
        assert 0 < client.ttl("warm:x:1:0") <= 1_000
        deadline = time.monotonic() + 10
        while client.execute_command("FT.SEARCH", "x", "@agent_type:{a}", "LIMIT", "0", "0")[b"total_results"] != 50:
            assert time.monotonic() < deadline, "the index did not come back"


def test_a_stale_port_file_of_a_dead_server_is_no_obstacle(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        (home / "redis").mkdir(parents=True)
        (home / "redis" / "redis.port").write_text(str(taken.getsockname()[1]))
    assert running_redis(home) is None
    assert redis.Redis.from_url(ensure_redis(home)).ping()


@pytest.mark.parametrize("content", ["", "garbage", "-5", "0", "99999999", "\x00\xff"])
def test_a_damaged_port_file_is_no_obstacle(home: Path, content: str) -> None:
    (home / "redis").mkdir(parents=True)
    (home / "redis" / "redis.port").write_text(content)
    assert running_redis(home) is None
    assert stop_redis(home) is False
    assert redis.Redis.from_url(ensure_redis(home)).ping()


def test_another_homes_server_at_our_old_port_is_neither_used_nor_stopped(home: Path, tmp_path: Path) -> None:
    with start_redis(tmp_path / "other") as other:
        (home / "redis").mkdir(parents=True)
        (home / "redis" / "redis.port").write_text(str(_port_of(other)))
        assert running_redis(home) is None
        assert stop_redis(home) is False
        url = ensure_redis(home)
        assert url != other
        assert stop_redis(home) is True
        assert redis.Redis.from_url(other).ping()


def test_another_process_with_the_old_pid_is_not_mistaken_for_the_server(home: Path) -> None:
    """Only a redis-server whose working folder this is counts as ours, whichever process has the old pid or folder."""
    url = ensure_redis(home)
    _kill(url)
    with subprocess.Popen([sys.executable, "-c", "input()"], cwd=home / "redis", stdin=subprocess.PIPE) as bystander:
        assert running_redis(home) is None
        assert stop_redis(home) is False
        assert ensure_redis(home) == url
        os.kill(_pid_of(url), signal.SIGSTOP)  # does not answer, so stop has to kill, and must kill the right one
        assert stop_redis(home) is True
        assert bystander.poll() is None
        bystander.communicate(b"\n")


class _Web(BaseHTTPRequestHandler):
    def handle(self) -> None:
        self.request.recv(100)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_server_of_another_kind_at_our_old_port_is_left_alone(home: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), _Web) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        try:
            (home / "redis").mkdir(parents=True)
            (home / "redis" / "redis.port").write_text(str(web.server_port))
            assert running_redis(home) is None
            assert _port_of(ensure_redis(home)) != web.server_port
        finally:
            web.shutdown()
            thread.join()


def test_a_port_taken_between_choosing_and_binding_is_tried_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = redis_server._free_port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [taken.getsockname()[1]] * 2
        monkeypatch.setattr(redis_server, "_free_port", lambda preferred: ports.pop() if ports else choose(None))
        url = ensure_redis(home)
        assert not ports
        assert _port_of(url) != taken.getsockname()[1]
        assert redis.Redis.from_url(url).ping()


def test_ports_that_are_always_taken_give_a_one_line_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(redis_server, "_free_port", lambda preferred: port)
        with pytest.raises(EmbeddedError, match=r"did not start.*listening on port"):
            ensure_redis(home)


def test_a_hanging_server_is_reported_not_duplicated_and_can_be_stopped(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = ensure_redis(home)
    monkeypatch.setattr(redis_server, "BOOT_SECONDS", 0.1)
    monkeypatch.setattr(redis_server, "ANSWER_SECONDS", 0.2)
    pid = _pid_of(url)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(EmbeddedError, match=f"pid {pid}.*does not answer.*cachewarm down"):
        ensure_redis(home)
    assert stop_redis(home) is True
    assert running_redis(home) is None


def test_a_lost_port_file_never_leads_to_two_servers_on_one_data_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = ensure_redis(home)
    (home / "redis" / "redis.port").unlink()
    monkeypatch.setattr(redis_server, "BOOT_SECONDS", 0.1)
    with pytest.raises(EmbeddedError, match="cachewarm down"):
        ensure_redis(home)
    assert redis.Redis.from_url(url).ping()
    assert stop_redis(home) is True


def test_damaged_data_is_reported_with_the_last_line_of_the_servers_log(home: Path) -> None:
    url = ensure_redis(home)
    with redis.Redis.from_url(url) as client:
        for number in range(20):
            client.set(f"key{number}", "x" * 50)
    stop_redis(home)
    [log] = (home / "redis" / "appendonlydir").glob("*.incr.aof")
    content = log.read_bytes()
    log.write_bytes(content[: len(content) // 2] + b"garbage" + content[len(content) // 2 :])
    with pytest.raises(EmbeddedError, match=r"did not start.*redis.log ends with: .*[Bb]ad file format") as caught:
        ensure_redis(home)
    assert "\n" not in str(caught.value)


def test_missing_wheels_name_the_variable_and_a_container(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(EmbeddedError, match=r"CACHEWARM_REDIS_URL.*docker run.*redis:8"):
        ensure_redis(home)


def test_a_home_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(EmbeddedError, match=r"cannot write .*home.*CACHEWARM_HOME"):
        ensure_redis(tmp_path / "home")
    assert running_redis(tmp_path / "home") is None


@contextmanager
def _as_ordinary_user() -> Iterator[None]:
    """Drops to an ordinary user's rights for a while, because root may write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("prepare", [lambda home: None, lambda home: (home / "redis").mkdir()])
def test_a_read_only_home_is_reported(prepare: Callable[[Path], None]) -> None:
    top = Path(tempfile.mkdtemp(prefix="cachewarm-test-"))  # not tmp_path: an ordinary user cannot look into root's
    try:
        home = top / "home"
        home.mkdir()
        prepare(home)
        for path in (*home.iterdir(), home, top):
            path.chmod(0o555)
        with _as_ordinary_user(), pytest.raises(EmbeddedError, match=r"cannot write .*(?i:permission).*CACHEWARM_HOME"):
            ensure_redis(home)
    finally:
        for path in (top, home, *home.iterdir()):
            path.chmod(0o755)
        shutil.rmtree(top)


def test_a_file_size_limit_or_full_disk_is_reported_before_anything_runs(home: Path) -> None:
    script = (
        ENSURE + "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
        "from cachewarm_pipeline.errors import EmbeddedError\n"
        "try:\n    ensure_redis(pathlib.Path(sys.argv[1]))\nexcept EmbeddedError as error:\n    print(error)"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run([sys.executable, "-c", script, str(home)], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("cannot write "), done
    assert "the disk is full" in done.stdout
    assert redis_server._pid(home / "redis") is None


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting a small disk needs root")
@pytest.mark.parametrize("pages", [0, 1, 2, 3])
def test_a_disk_that_fills_while_starting_is_reported_and_leaves_no_server(tmp_path: Path, pages: int) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with open(tmp_path / "filler", "wb") as filler:
            filler.write(b"x" * (65_536 - 4_096 * pages))
        with pytest.raises(EmbeddedError) as caught:
            ensure_redis(tmp_path / "home")
        assert "\n" not in str(caught.value)
        assert "disk" in str(caught.value) or "No space left on device" in str(caught.value)
        assert redis_server._pid(tmp_path / "home" / "redis") is None
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
