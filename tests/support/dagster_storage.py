"""Dagster's local storage without the work that it repeats for every event and run.

For each event Dagster creates an engine, opens the SQLite file, waits for the disk and closes the file. For each run it
loads all its migrations to stamp a new file, and starts four processes that copy log files to the console. This takes
more than half of a small run. Here, engines and connections live as long as a test, migrations are loaded once a
process, a commit does not wait for the disk, and log files are not copied. Dagster still decides what is stored, and by
which statements.
"""

import sqlite3
from contextlib import nullcontext
from typing import Any

_engines: dict[str, Any] = {}
_migrations: dict[str, Any] = {}
_kept = False


def forget_connections() -> None:
    """Closes all connections, so that the folders of a test can be removed."""
    for engine in _engines.values():
        type(engine).dispose(engine)
    _engines.clear()


def keep_connections() -> None:
    """Reuses connections from now on, for every Dagster instance of this process that is on SQLite files."""
    global _kept
    if _kept:
        return
    _kept = True
    from alembic.script import ScriptDirectory
    from dagster._core.execution import compute_logs
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

    modules: tuple[Any, ...] = (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage)
    for module in modules:
        module.create_engine = _engine
    compute_logs.execute_posix_tail = lambda path, stream: nullcontext((None, None))  # type: ignore[assignment]
    load = ScriptDirectory.from_config

    def from_config(config: Any) -> Any:
        location = str(config.get_main_option("script_location"))
        if location not in _migrations:
            _migrations[location] = load(config)
        return _migrations[location]

    ScriptDirectory.from_config = from_config  # type: ignore[method-assign, assignment]


def _engine(url: str, **options: Any) -> Any:
    import sqlalchemy as sa

    if url not in _engines:
        engine = sa.create_engine(url, **{**options, "poolclass": sa.pool.QueuePool})
        sa.event.listen(engine, "connect", _commit_without_waiting)
        engine.dispose = lambda close=True: None  # type: ignore[method-assign]  # Dagster disposes of the engine after each event
        _engines[url] = engine
    return _engines[url]


def _commit_without_waiting(connection: sqlite3.Connection, _: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")
