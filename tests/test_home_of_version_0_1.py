"""A home that version 0.1 warmed (commit fabdbdc, before the code moved) is read, served and warmed again as it is.

The fixture holds datasets, the files of the embedded Redis, and the reports that 0.1 printed. Its log is made again by
the same function, so only the folder differs.
"""

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cachewarm_client import WarmedSemanticCache

from cachewarm_pipeline.storage.datasets import DatasetStore
from tests.match_rules.test_learned_pipeline import LAST, log_rows
from tests.support.pipeline import Cachewarm
from tests.support.servers import start_redis

FIXTURE = Path(__file__).parent / "fixtures" / "home_0_1.tar.xz"
GENERATION = "20260320-949698a617e2"
SEMANTIC = "How do I reset my password in the app?"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The folder of the home and the URL of its Redis."""
    folder = tmp_path_factory.mktemp("version 0.1")
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    with start_redis(folder / "redis") as url:
        yield folder, url


def opened(capsys: pytest.CaptureFixture[str], folder: Path, url: str) -> Cachewarm:
    (folder / "log").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(log_rows()), folder / "log" / "llm_query_logs.parquet")
    return Cachewarm(
        capsys,
        {
            "CACHEWARM_HOME": str(folder / "home"),
            "CACHEWARM_SOURCE_URL": str(folder / "log"),
            "CACHEWARM_REDIS_URL": url,
            "CACHEWARM_NAME": "old",
            "CACHEWARM_MIN_FREQUENCY": "1",
            "CACHEWARM_JUDGE": "exact",
            "CACHEWARM_BUDGET": "60",
            "CACHEWARM_CONFIDENCE": "0.95",
            "CACHEWARM_TTL_DAYS": "36500",
        },
    )


def figures(value: Any, path: str = "") -> dict[str, Any]:
    """The leaves of a report by their keys, but for sentences and what depends on the clock."""
    if isinstance(value, dict):
        return {k: v for name, part in value.items() for k, v in figures(part, f"{path}.{name}").items()}
    if isinstance(value, list):
        return {k: v for number, part in enumerate(value) for k, v in figures(part, f"{path}[{number}]").items()}
    if ".timings." in path or path.endswith((".seconds", ".live_since", ".created_at", ".counted_today")):
        return {path: "a time"}
    if isinstance(value, str) and " " in value:
        return {path: "a sentence"}
    return {path: pytest.approx(value, rel=1e-6) if isinstance(value, float) else value}


def test_its_generation_is_live_and_serves_as_it_did(old: tuple[Path, str]) -> None:
    with WarmedSemanticCache("old", old[1]) as cache:
        assert cache.generation == GENERATION
        (semantic,) = cache.check(SEMANTIC, agent_type="support")
        assert (semantic["match"], semantic["response"]) == ("semantic", "Answer 0")
        assert semantic["entry_id"] == "4aa595ba4660dc20c48cfa6feea7724e47fa0a6774563838bb6571e0b657df6d"
        (exact,) = cache.check(semantic["prompt"], agent_type="support")
        assert (exact["match"], exact["entry_id"]) == ("exact", semantic["entry_id"])
        (own,) = cache.check("My own question", agent_type="support")
        assert own["response"] == "My own answer"


def test_every_dataset_of_it_is_read(old: tuple[Path, str]) -> None:
    data = old[0] / "home" / "data"
    store = DatasetStore(str(data))
    names = {folder.name for folder in data.iterdir()} - {"vectors", "usage"}
    assert len(names) >= 20
    for name in names:
        days = store.days(name)
        assert days
        for day in days:
            assert store.read(name, day) is not None


def test_its_report_has_the_figures_that_0_1_reported(
    capsys: pytest.CaptureFixture[str], old: tuple[Path, str]
) -> None:
    folder, url = old
    ran = opened(capsys, folder, url)("report", "--json", "-")
    assert ran.code == 0, ran.err
    before, now = figures(json.loads((folder / "report.json").read_text())), figures(ran.json)
    assert {key: now[key] for key in before} == before  # later versions add keys


def test_warming_it_again_gives_the_same_plan_and_rules_and_changes_nothing_in_redis(
    capsys: pytest.CaptureFixture[str], old: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = old
    shutil.copytree(folder / "home", tmp_path / "home")
    shutil.copy(folder / "warm.json", tmp_path)
    before = json.loads((tmp_path / "warm.json").read_text())
    ran = opened(capsys, tmp_path, url)("warm", "--as-of", LAST.isoformat(), "--json", "-")
    assert ran.code == 0, ran.err
    assert (ran.json["generation"], ran.json["published"]) == (GENERATION, True)
    assert figures(ran.json) == figures(before)
    with WarmedSemanticCache("old", url) as cache:
        assert cache.generation == GENERATION
