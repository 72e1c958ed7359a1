"""`cachewarm dev` and `down` as real processes: the UI answers on loopback, and no process is left."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def wait_for(condition: "object", seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.2)
    return False


def processes_of(home: Path) -> list[str]:
    """Command lines of live processes whose environment names this home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CACHEWARM_", "OPENAI_", "DAGSTER_"))}
    values = {**kept, "CACHEWARM_HOME": str(tmp_path / "home")}
    yield values
    subprocess.run([sys.executable, "-m", "cachewarm_pipeline.cli", "down"], env=values, check=False)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for left-over processes under /proc")
def test_dev_serves_the_graph_on_loopback_and_sigterm_leaves_only_redis(
    environment: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "cachewarm_pipeline.cli", "dev", "--port", str(port)]
    # SIGINT is ignored, as when a shell starts a background job.
    child = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        assert wait_for(lambda: answers(port) or child.poll() is not None, 120)
        assert child.poll() is None
        query = {"query": "{ assetNodes { assetKey { path } } }"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql", json.dumps(query).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            nodes = json.load(reply)["data"]["assetNodes"]
        assert {"llm_query_logs", "warming_plan", "cache_entries"} <= {node["assetKey"]["path"][0] for node in nodes}
    finally:
        child.terminate()
        code = child.wait(timeout=60)
    assert code == 0
    assert not answers(port)
    assert wait_for(lambda: all("redis-server" in line for line in processes_of(tmp_path / "home")), 30)
    down = [sys.executable, "-m", "cachewarm_pipeline.cli", "down", "--json"]
    stopped = subprocess.run(down, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(stopped.stdout) == {"stopped": True}
    assert processes_of(tmp_path / "home") == []


def test_a_port_in_use_is_a_one_line_error_before_anything_starts(environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "cachewarm_pipeline.cli", "dev", "--port", str(port)]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"error: port {port} cannot be used")
    assert ran.stderr.count("\n") == 1
