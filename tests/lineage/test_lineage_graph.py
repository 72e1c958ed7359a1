"""The Dagster graph itself: ranges as one run, metadata per day, gates that a separate run cannot bypass."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from tests.support.pipeline import LAST_DAY, environment, home_with_shared_vectors, small_sample


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def _in_project(
    source: Path, tmp_path_factory: pytest.TempPathFactory, redis_url: str, cache_name: str
) -> Iterator[None]:
    values = {
        "CACHEWARM_HOME": str(home_with_shared_vectors(tmp_path_factory)),
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
    from cachewarm_pipeline.workspace.workspace import Workspace

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
def test_every_asset_page_has_row_count_schema_examples_and_exclusions() -> None:
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
        "synthetic_variants",
        "labelled_queries",
        "embeddings",
        "warming_plan",
        "match_rules",
        "replay",
        "cache_entries",
        "serving_counts",
        "entry_payback",
        "warming_impact",
        "net_return",
    }
    for name, metadata in found.items():
        # One day of log: nothing is held out; and nothing writes variants for a log that is not the sample.
        assert metadata["dagster/row_count"].value > 0 or name in (
            "replay",
            "synthetic_variants",
            "serving_counts",
            "entry_payback",
        )
        assert {"dagster/column_schema", "examples", "left_out"} <= set(metadata)
    assert "a replay needs 4" in found["replay"]["held_out"].value
    checks = {e.check_name: (e.passed, e.severity.value) for e in result.get_asset_check_evaluations()}
    assert checks.pop("false_positive_rate") == (False, "WARN")  # no evidence: exact hits only, which is published
    passed = ["embedding_sanity", "no_conflicting_entries", "quality_threshold", "volatile_or_personal_share"]
    assert checks == dict.fromkeys(
        [*passed, "loaded_equals_planned", "day_is_counted"], (True, checks["quality_threshold"][1])
    )


def test_a_day_without_mined_counts_is_refused_by_name(tmp_path: Path, source: Path) -> None:
    values = {"CACHEWARM_HOME": str(tmp_path), "CACHEWARM_SOURCE_URL": str(source)}
    with environment(values), dg.instance_for_test() as instance:
        from cachewarm_pipeline.candidates.assets import frequent_queries
        from cachewarm_pipeline.lineage.workspace_resource import WorkspaceResource

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
