"""The command line, `cachewarm`: settings from the environment and options come in, text, JSON and exit codes go out.

- ``warm``: `cachewarm warm`; ``days_to_warm``: which day and which log days; ``dagster_runs``: runs its Dagster jobs;
  ``warm_report_text``: what it prints.
- ``dry_run``: `cachewarm warm --dry-run`; ``dry_run_text``: the planned cost in words.
- ``report``: `cachewarm report`; ``entries``: `cachewarm entries`.
- ``inspect_cache``: `lookup`, `stats`, `generations`; ``operate_cache``: `rollback`, `release`, `withdraw`,
  `withdrawn`, `reinstate`.
- ``dev``: `dev` and `down`; ``console``: output streams, JSON, exit codes and settings that all commands share.

Heavy imports wait until a command needs them, so that `--help` answers at once.
"""

import sys
from typing import Annotated

import typer

from cachewarm_pipeline.cli.console import EXIT_STOPPED, EXIT_USAGE, err, out
from cachewarm_pipeline.cli.dev import dev, down
from cachewarm_pipeline.cli.entries import entries
from cachewarm_pipeline.cli.inspect_cache import generations, lookup, stats
from cachewarm_pipeline.cli.operate_cache import reinstate, release, rollback, withdraw, withdrawn
from cachewarm_pipeline.cli.report import report
from cachewarm_pipeline.cli.warm import warm
from cachewarm_pipeline.errors import CachewarmError, ConfigurationError

app = typer.Typer(
    name="cachewarm",
    help="Fills a semantic cache before users come, and proves what it will bring.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        out.print(f"cachewarm-pipeline {version('cachewarm-pipeline')}, cachewarm-client {version('cachewarm-client')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the versions and exit.")
    ] = False,
) -> None:
    """Fills a semantic cache before users come, and proves what it will bring."""


for command in (
    warm,
    lookup,
    stats,
    entries,
    report,
    generations,
    rollback,
    release,
    withdraw,
    withdrawn,
    reinstate,
    dev,
    down,
):
    app.command()(command)


def main() -> None:
    """Run the command. Exit 0: done. 1: a gate or a fault stopped it. 2: wrong usage or configuration."""
    try:
        app()
    except ConfigurationError as error:
        err.print(f"error: {error}")
        sys.exit(EXIT_USAGE)
    except CachewarmError as error:
        err.print(f"error: {error}")
        sys.exit(EXIT_STOPPED)
    except KeyboardInterrupt:
        err.print("interrupted; the live generation is untouched")
        sys.exit(130)
