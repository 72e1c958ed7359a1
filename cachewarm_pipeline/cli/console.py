"""What all commands share: output streams, exit codes, and settings that options override."""

import json
import math
import os
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from cachewarm_pipeline.errors import CachewarmError, ConfigurationError
from cachewarm_pipeline.settings import Settings, load_settings

# No markup: the output holds prompts, paths and names, and "[/b]" in one of them must not be read as markup.
out = Console(highlight=False, soft_wrap=True, markup=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)

EXIT_STOPPED = 1
EXIT_USAGE = 2

Json = typer.Option("--json", help="Print JSON for a program instead of text for a person.")
Name = typer.Option("--name", help="Name of the cache. (env: CACHEWARM_NAME)")
RedisUrl = typer.Option("--redis-url", help="Redis 8+ with its query engine. (env: CACHEWARM_REDIS_URL)")


def settings_with(**overrides: Any) -> Settings:
    """The settings of the environment, overridden by a command's options.

    Options become environment variables, so that Dagster's own processes see them too.
    """
    for field, value in overrides.items():
        if value is not None:
            os.environ[f"CACHEWARM_{field.upper()}"] = str(value)
    return load_settings()


def parse_day(text: str | None) -> date | None:
    """The day of ``--as-of``. Raises ConfigurationError for text that is not a day."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigurationError(f"--as-of {text!r} is not a day: write YYYY-MM-DD") from None


def check_target(to: str | None, option: str = "--json") -> None:
    """Check that a file can be written before any work starts. Raises ConfigurationError if it cannot."""
    if to in (None, "-"):
        return
    folder = Path(to or "").absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or Path(to or "").is_dir():
        raise ConfigurationError(
            f"{option} {to}: {folder} is not a folder that can be written to, or the name is a folder"
        )


def emit(value: Any, to: str = "-") -> None:
    """JSON to standard output, or to a file that is written whole or not at all.

    Raises CachewarmError, before anything is written, for NaN and infinity, which JSON does not have.
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        where = ", ".join(_not_finite(value)) or "an unknown place"
        raise CachewarmError(
            f"no JSON was written: NaN or infinity at {where}, which JSON cannot hold; please report this"
        ) from None
    if to == "-":
        sys.stdout.write(text + "\n")
        return
    write(text + "\n", to)


def _not_finite(value: Any, at: str = "") -> Iterator[str]:
    """The paths of keys that lead to numbers which are not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        yield at or "the top"
    for key, inside in value.items() if isinstance(value, dict) else ():
        yield from _not_finite(inside, f"{at}.{key}" if at else str(key))
    for place, inside in enumerate(value) if isinstance(value, list | tuple) else ():
        yield from _not_finite(inside, f"{at}[{place}]")


def write(text: str, to: str) -> None:
    """Write a file whole or not at all."""
    path = Path(to)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
