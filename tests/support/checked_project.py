"""A small log and the datasets made from it, for tests of the answer checks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from cachewarm_pipeline.storage.datasets import DatasetStore
from tests.support.pipeline import LAST_DAY, environment

NUMBER = 36
FEW = 8
CHANGED = 3
DAYS = 9
CANDIDATES = ["golden_candidates", "frequent_queries", "synthetic_variants"]
AT = datetime(LAST_DAY.year, LAST_DAY.month, LAST_DAY.day, tzinfo=UTC) + timedelta(days=1)
Row = dict[str, Any]


def question(n: int) -> str:
    return f"How do I mend engine number {n}?"


def log_of(
    answer: Callable[[int, int], str | None],
    model: Callable[[int], str | None] = lambda back: "m1",
    number: int = FEW,
) -> list[Row]:
    """Log rows: each question once a day, from DAYS before LAST_DAY to nine days after it.

    ``answer`` gets the number of the question and the days before LAST_DAY. None: the question is not asked."""
    return [
        {
            "query": question(n),
            "agent_type": "a",
            "response": text,
            "created_at": datetime(2026, 3, 20, 12, tzinfo=UTC) - timedelta(days=back),
            "model": model(back),
        }
        for back in range(-9, DAYS)
        for n in range(number)
        if (text := answer(n, back)) is not None
    ]


def steady(n: int, back: int) -> str | None:
    return f"Answer {n}" if back >= 0 else None


def changing(n: int, back: int) -> str | None:
    """The first CHANGED questions get another answer in the last four days."""
    return None if back < 0 else f"New answer {n}" if n < CHANGED and back < 4 else f"Answer {n}"


class Project:
    """A source, and the datasets that the assets make from it."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.source = source
        source.mkdir(exist_ok=True)
        self.environment = {
            "CACHEWARM_HOME": str(folder / "home"),
            "CACHEWARM_SOURCE_URL": str(self.source),
            "CACHEWARM_JUDGE": "exact",
            "CACHEWARM_SELECTION": "frequency",
            "CACHEWARM_SYNTHETIC_TOP": "0",
            "CACHEWARM_LOOKBACK_DAYS": str(DAYS),
            "CACHEWARM_MIN_STABILITY": "0",
            "CACHEWARM_MIN_ENTRY_QUALITY": "0",
            "CACHEWARM_MIN_FREQUENCY": "2",
        }
        self.datasets = DatasetStore(str(folder / "home" / "data"))

    def log(self, rows: list[Row]) -> None:
        pq.write_table(pa.Table.from_pylist(rows), self.source / "llm_query_logs.parquet")

    def mine(self, last: date = LAST_DAY, days: int = DAYS) -> None:
        tags = {
            "dagster/asset_partition_range_start": (last - timedelta(days=days - 1)).isoformat(),
            "dagster/asset_partition_range_end": last.isoformat(),
        }
        self._run(["daily_query_counts"], tags=tags)

    def plan(self, day: date = LAST_DAY, **settings: str) -> list[Row]:
        """Makes the plan of a day as the daily run does, and returns its rows."""
        before = [*CANDIDATES, "labelled_queries", "embeddings"]
        self.metadata = self._run([*self._missing(before, day), "warming_plan"], day, **settings)
        rows: list[Row] = self.datasets.read("warming_plan", day).to_pylist()
        return rows

    def planned(self) -> list[Row]:
        """The stored plan of LAST_DAY."""
        rows: list[Row] = self.datasets.read("warming_plan", LAST_DAY).to_pylist()
        return rows

    def check(self, day: date = LAST_DAY, whole: bool = False, **settings: str) -> dict[str, Row]:
        """Runs the answer checks of a day as the weekly run does. Returns their rows by prompt."""
        config = {"ops": {"answer_checks": {"config": {"whole": whole}}}}
        self.metadata = self._run(
            [*self._missing(CANDIDATES, day), "answer_checks"], day, run_config=config, **settings
        )
        return {row["prompt"]: row for row in self.datasets.read("answer_checks", day).to_pylist()}

    def rates(self, day: date = LAST_DAY) -> list[Row]:
        rows: list[Row] = self.datasets.read("change_rates", day).to_pylist()
        return rows

    def _missing(self, names: Sequence[str], day: date) -> list[str]:
        """The assets that are not yet made for the day; the log does not change."""
        return [name for name in names if not self.datasets.exists(name, day)]

    def _run(self, names: list[str], day: date | None = None, **options: Any) -> dict[str, Any]:
        """Materializes the assets. Returns the metadata of the last one."""
        settings = {name: options.pop(name) for name in list(options) if name.isupper()}
        with environment(self.environment | settings):
            from cachewarm_pipeline.definitions import defs
            from cachewarm_pipeline.lineage.workspace_resource import WorkspaceResource

            found = [a for a in defs.assets or [] if isinstance(a, dg.AssetsDefinition) and a.key.path[-1] in names]
            done = dg.materialize(
                found,
                partition_key=day.isoformat() if day else None,
                resources={"workspace": WorkspaceResource()},
                **options,
            )
        last = [e for e in done.get_asset_materialization_events() if e.asset_key == dg.AssetKey(names[-1])][-1]
        return {name: value.value for name, value in last.materialization.metadata.items()}

    @contextmanager
    def workspace(self, **settings: str) -> Iterator[Any]:
        with environment(self.environment | settings):
            from cachewarm_pipeline.workspace.workspace import Workspace

            yield Workspace()
