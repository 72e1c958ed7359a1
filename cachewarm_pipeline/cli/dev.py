"""`cachewarm dev` and `cachewarm down`: the embedded servers and Dagster's UI."""

import os
import signal
import socket
import subprocess
import sys
from typing import Annotated

import typer

from cachewarm_pipeline.cli.console import Json, emit, err, out, settings_with
from cachewarm_pipeline.errors import ConfigurationError


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} cannot be used ({error.strerror}): choose another with --port"
            ) from None


def dev(port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the UI on 127.0.0.1.")] = 3000) -> None:
    """Dagster's UI on 127.0.0.1, with the same graph and the same storage as `warm`."""
    settings = settings_with()
    _check_free(port)
    from cachewarm_pipeline.cli.dagster_runs import prepare_dagster_home

    prepare_dagster_home(settings)
    if settings.redis_url is None:
        from cachewarm_pipeline.embedded.redis_server import ensure_redis

        err.print(f"redis {ensure_redis(settings.home)}")
    err.print(f"Dagster's UI: http://127.0.0.1:{port} (Ctrl-C ends it; `cachewarm down` stops Redis)")
    # A shell that starts this process in the background ignores SIGINT. The child would inherit that, and Dagster
    # handles SIGTERM like SIGINT: it would do nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "dagster", "dev", "-m", "cachewarm_pipeline.definitions"]
    child = subprocess.Popen([*command, "-h", "127.0.0.1", "-p", str(port)], env=os.environ.copy())
    # Ctrl-C reaches the child directly; SIGTERM does not, and a killed parent would leave the servers running.
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        code = child.wait()
    except KeyboardInterrupt:
        code = child.wait()
    raise typer.Exit(0 if code in (0, -signal.SIGTERM, -signal.SIGINT) else 1)


def down(json: Annotated[bool, Json] = False) -> None:
    """Stop the embedded servers. Their data stays on disk."""
    settings = settings_with()
    from cachewarm_pipeline.embedded.redis_server import stop_redis

    stopped = stop_redis(settings.home)
    if json:
        emit({"stopped": stopped})
    else:
        out.print(
            "stopped the embedded Redis" if stopped else f"no embedded server was running under {settings.home}",
            markup=False,
        )
