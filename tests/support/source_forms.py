"""A fixture that stores the same rows in every form of source: Parquet, CSV, JSONL, Postgres, Spark.

Test modules load it with ``pytest_plugins = ["tests.support.source_forms"]``.
"""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cachewarm_pipeline.ports import Source
from cachewarm_pipeline.query_log.sources.open_source import open_source
from tests.support.source_data import Data, write_csv, write_jsonl, write_parquet, write_postgres

SPARK = pytest.param(
    "spark",
    marks=pytest.mark.skipif(
        importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
        reason="needs the optional pyspark and Java 17",
    ),
)
Open = Callable[..., Source]


@pytest.fixture(params=["parquet", "csv", "jsonl", "postgres", SPARK])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Writes tables in one form and opens them as a source."""

    def write(data: Data) -> str:
        if request.param == "postgres":
            return write_postgres(request.getfixturevalue("postgres_url"), "forms", data)
        folder = tmp_path / "source"
        shutil.rmtree(folder, ignore_errors=True)
        if request.param == "spark":
            return "spark://" + write_parquet(folder, data)
        return {"parquet": write_parquet, "csv": write_csv, "jsonl": write_jsonl}[request.param](folder, data)

    def open_(data: Data, **options: Any) -> Source:
        return open_source(write(data), **({"tables": {}, "columns": {}} | options))

    return open_


def log(*rows: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {"llm_query_logs": list(rows)}
