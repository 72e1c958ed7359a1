"""The Dagster graph itself: ranges as one run, metadata a day, gates that a separate run cannot slip past."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from tests.pipeline import LAST_DAY, environment, small_sample


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def _in_project(source: Path, tmp_path: Path, redis_url: str, cache_name: str) -> Iterator[None]:
    values = {
        "CACHEWARM_HOME": str(tmp_path / "home"),
        "CACHEWARM_SOURCE_URL": str(source),
        "CACHEWARM_REDIS_URL": redis_url,
        "CACHEWARM_NAME": cache_name,
    }
    with environment(values):
        yield


def run_range(job: str, first: date, last: date, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    from cachewarm_pipeline.definitions import defs

    tags = {
        "dagster/asset_partition_range_start": first.isoformat(),
        "dagster/asset_partition_range_end": last.isoformat(),
    }
    return defs.resolve_job_def(job).execute_in_process(instance=instance, tags=tags, raise_on_error=False)


@pytest.mark.usefixtures("_in_project")
def test_a_range_of_days_is_one_run_with_each_days_own_metadata() -> None:
    from cachewarm_pipeline.resources.workspace import Workspace

    first = LAST_DAY - timedelta(days=2)
    with dg.instance_for_test() as instance:
        assert run_range("mine_log", first, LAST_DAY, instance).success
        assert instance.get_runs_count() == 1
        events = instance.fetch_materializations(dg.AssetKey("daily_query_counts"), limit=10).records
    rows = {e.partition_key: e.asset_materialization.metadata["dagster/row_count"].value for e in events}  # type: ignore[union-attr]
    datasets = Workspace().datasets
    days = [first + timedelta(days=n) for n in range(3)]
    assert rows == {d.isoformat(): datasets.read("daily_query_counts", d).num_rows for d in days}
    assert len(set(rows.values())) > 1


@pytest.mark.usefixtures("_in_project")
def test_every_asset_page_has_row_count_schema_examples_and_left_out_counts() -> None:
    with dg.instance_for_test() as instance:
        assert run_range("mine_log", LAST_DAY, LAST_DAY, instance).success
        from cachewarm_pipeline.definitions import defs

        result = defs.resolve_job_def("warm_cache").execute_in_process(
            instance=instance, partition_key=LAST_DAY.isoformat()
        )
    found = {
        e.asset_key.to_user_string(): e.metadata
        for e in result.get_asset_materialization_events()
        for e in [e.materialization]
    }
    assert set(found) == {
        "golden_candidates",
        "daily_query_counts",
        "frequent_queries",
        "embeddings",
        "warming_plan",
        "cache_entries",
    }
    for metadata in found.values():
        assert metadata["dagster/row_count"].value > 0
        assert {"dagster/column_schema", "examples", "left_out"} <= set(metadata)
    checks = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    assert checks == {"embedding_sanity": True, "quality_threshold": True, "loaded_equals_planned": True}


@pytest.mark.usefixtures("_in_project")
def test_publishing_alone_asks_the_gate_again_and_publishes_nothing_that_fails_it() -> None:
    from cachewarm_pipeline.assets.cache_entries import cache_entries
    from cachewarm_pipeline.core.schemas import WARMING_PLAN
    from cachewarm_pipeline.resources.workspace import Workspace, WorkspaceResource

    workspace = Workspace()
    bad = {f.name: None for f in WARMING_PLAN} | {
        "entry_id": "e",
        "agent_type": "a",
        "prompt": "p",
        "response": "r",
        "source": "golden",
        "quality_score": 0.1,
        "demand": 0.0,
        "provenance": "{}",
        "answer_group": "g",
        "embedding_key": "k",
        "rank": 0,
    }
    import pyarrow as pa

    workspace.datasets.write("warming_plan", LAST_DAY, pa.Table.from_pylist([bad], schema=WARMING_PLAN))
    result = dg.materialize(
        [
            cache_entries,
            *(
                dg.AssetSpec(name, partitions_def=cache_entries.partitions_def)
                for name in ("warming_plan", "embeddings")
            ),
        ],
        selection=["cache_entries"],
        partition_key=LAST_DAY.isoformat(),
        resources={"workspace": WorkspaceResource()},
        raise_on_error=False,
    )
    assert not result.success
    failure = result.failure_data_for_node("cache_entries")
    assert failure is not None
    assert "quality_threshold" in str(failure.error)
    assert workspace.cache.live() is None


def test_a_day_whose_log_was_not_mined_is_refused_by_name(tmp_path: Path, source: Path) -> None:
    values = {"CACHEWARM_HOME": str(tmp_path), "CACHEWARM_SOURCE_URL": str(source)}
    with environment(values), dg.instance_for_test() as instance:
        from cachewarm_pipeline.assets.frequent_queries import frequent_queries
        from cachewarm_pipeline.resources.workspace import WorkspaceResource

        result = dg.materialize(
            [frequent_queries, dg.AssetSpec("daily_query_counts", partitions_def=frequent_queries.partitions_def)],
            selection=["frequent_queries"],
            partition_key=LAST_DAY.isoformat(),
            resources={"workspace": WorkspaceResource()},
            instance=instance,
            raise_on_error=False,
        )
    failure = result.failure_data_for_node("frequent_queries")
    assert failure is not None
    assert "daily_query_counts of 2026-03-20" in str(failure.error)
