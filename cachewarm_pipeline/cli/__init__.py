"""The command line. Heavy imports wait until a command needs them, so that `--help` answers at once."""

import sys

import typer

from cachewarm_pipeline.cli.console import EXIT_STOPPED, EXIT_USAGE, err
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
