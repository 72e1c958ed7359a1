"""The files of a store of segments."""

from pathlib import Path


def segments(base: Path) -> list[Path]:
    """The segments below a folder, ordered by name."""
    return sorted(base.rglob("*.parquet"))
