"""Storing the counters of a day: only whole days, never fewer counts than are stored, hits of every live entry."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import redis
from cachewarm_client.keys import arms_key, served_key, stats_key
from cachewarm_client.text import entry_id

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.measurement.assets import entry_payback, serving_counts
from cachewarm_pipeline.measurement.checks import day_is_counted
from cachewarm_pipeline.measurement.entry_hits import EntryDetails, with_costs
from cachewarm_pipeline.measurement.redis_day_counters import read_day_counters
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.settings import load_settings
from cachewarm_pipeline.storage.schemas import WARMING_PLAN
from cachewarm_pipeline.workspace.workspace import Workspace
from tests.support.cache_fakes import PLAN, REVOKE, ROTATE, Clock, make_plan, publish
from tests.support.pipeline import environment
from tests.support.stored_rows import table

pytest_plugins = ["tests.support.cache_fixtures"]

DAY = date(2026, 11, 24)
"""A day on which the generation of `warmed` was live from the beginning: it is published on the 22nd."""


@pytest.fixture
def workspace(warmed: CacheStore, redis_url: str, tmp_path: Path, clock: Clock) -> Iterator[Workspace]:
    clock.now = datetime(2026, 11, 25, 2, tzinfo=UTC)
    values = {"CACHEWARM_HOME": str(tmp_path), "CACHEWARM_REDIS_URL": redis_url, "CACHEWARM_NAME": warmed.name}
    with environment(values):
        yield Workspace(load_settings(), clock)


def run(workspace: Workspace, day: date = DAY) -> dict[str, Any]:
    result = dg.materialize(
        [serving_counts], partition_key=day.isoformat(), resources={"workspace": workspace}, raise_on_error=True
    )
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def count(client: redis.Redis, name: str, hour: int = 9, day: date = DAY) -> None:
    """Four lookups of the warmed arm, two answered by a warmed entry, one by an app entry; and two of the holdout."""
    at = f"{day:%Y%m%d}{hour:02d}"
    fields = {
        "warmed:exact:auditor": 2,
        "warmed:semantic:auditor": 1,
        "warmed:miss:auditor": 1,
        "warmed:own:auditor": 1,
        "warmed:hit_us:auditor": 3_000,
        "warmed:miss_us:auditor": 8_000,
        "holdout:exact:auditor": 1,
        "holdout:miss:a:b": 1,
        "holdout:would:a:b": 1,
        "holdout:error:c": 2,
        "odd": 1,
        "warmed:exact:x": "many",
        "third:exact:auditor": 5,
    }
    client.hset(stats_key(name, at), mapping=fields)
    client.hset(served_key(name, at), mapping={entry_id(ROTATE, "auditor"): 2, "no id": 7})
    buckets = {"warmed:3:hit:auditor": 3, "warmed:3:miss:auditor": 1, "holdout:15:miss:a:b": 1, "warmed:16:hit:a": 1}
    client.hset(arms_key(name, f"{day:%Y%m%d}"), mapping=buckets)


def stored(workspace: Workspace, name: str, day: date = DAY) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = workspace.datasets.read(name, day).to_pylist()
    return rows


def test_counts_of_a_day_are_stored_by_arm_hour_bucket_and_entry(workspace: Workspace, client: redis.Redis) -> None:
    name = workspace.settings.name
    count(client, name)
    count(client, name, hour=23)
    metadata = run(workspace)
    assert metadata["lookups"] == 12
    assert metadata["warmed_hit_rate"] == 0.75
    assert metadata["holdout_hit_rate"] == 0.5
    assert metadata["cold_cache_hit_rate"] == 1.0
    assert metadata["lookups_that_raised"] == 4
    assert metadata["holdout_share"] == pytest.approx(1 / 3)
    assert (metadata["hit_ms"], metadata["miss_ms"]) == (0.75, 4.0)
    assert "data:image/png" in metadata["hit_rate_by_hour"]
    first = stored(workspace, "hour_counts")
    assert [(r["hour"].hour, r["arm"], r["agent_type"]) for r in first] == [
        (hour, *rest)
        for hour in (9, 23)
        for rest in (("holdout", "a:b"), ("holdout", "auditor"), ("holdout", "c"), ("warmed", "auditor"))
    ]
    warmed = {**first[3], "hour": None}
    assert warmed == {
        "hour": None,
        "arm": "warmed",
        "agent_type": "auditor",
        "exact": 2,
        "semantic": 1,
        "misses": 1,
        "warmed_hits": 2,
        "hit_seconds": 0.003,
        "miss_seconds": 0.008,
        "would_hits": 0,
        "errors": 0,
    }
    others = {row["agent_type"]: (row["misses"], row["would_hits"], row["errors"]) for row in (first[0], first[2])}
    assert others == {"a:b": (1, 1, 0), "c": (0, 0, 2)}  # a lookup that raised does not count as a miss
    assert first[1]["warmed_hits"] == 0
    assert [tuple(row.values()) for row in stored(workspace, "arm_counts")] == [
        ("holdout", "a:b", 15, 0, 1),
        ("warmed", "auditor", 3, 3, 4),
    ]
    hits = {(row["prompt"], row["agent_type"]): row for row in stored(workspace, "entry_hits")}
    assert set(hits) == {(row["prompt"], row["agent_type"]) for row in PLAN}
    rotate, revoke = hits[ROTATE, "auditor"], hits[REVOKE, "auditor"]
    assert (rotate["hits"], rotate["last_hit"]) == (4, datetime(2026, 11, 24, 23, tzinfo=UTC))
    assert (revoke["hits"], revoke["last_hit"], revoke["source"]) == (0, None, "query_log")
    assert all(row["whole_day"] and row["generation"] for row in hits.values())


def test_a_day_that_is_not_over_and_one_that_expired_are_not_stored(workspace: Workspace, client: redis.Redis) -> None:
    count(client, workspace.settings.name, day=date(2026, 11, 25), hour=1)
    assert "not over" in run(workspace, date(2026, 11, 25))["why_not"]
    assert "counters live 90 days" in run(workspace, date(2026, 8, 20))["why_not"]
    assert not workspace.datasets.days("hour_counts")


def test_counts_that_are_stored_are_never_replaced_by_fewer(
    workspace: Workspace, client: redis.Redis, clock: Clock
) -> None:
    name = workspace.settings.name
    count(client, name)
    run(workspace)
    before = {dataset: stored(workspace, dataset) for dataset in ("hour_counts", "arm_counts", "entry_hits")}
    client.delete(stats_key(name, "2026112409"), served_key(name, "2026112409"), arms_key(name, "20261124"))
    assert len(run(workspace)["kept"]) == 3
    count(client, name)
    clock.now += timedelta(days=9)  # hits by entry have expired by then
    (kept,) = run(workspace)["kept"]
    assert "entry_hits of 2026-11-24 was not written" in kept
    assert {dataset: stored(workspace, dataset) for dataset in before} == before


def test_an_entry_in_both_generations_was_live_all_day_and_an_entry_in_one_was_not(
    workspace: Workspace, client: redis.Redis, warmed: CacheStore
) -> None:
    run(workspace, DAY - timedelta(days=1))
    new = [*PLAN[:2], {"prompt": "Where are the logs?", "agent_type": "auditor"}]
    client.hset(served_key(warmed.name, "2026112401"), entry_id(ROTATE, "planner"), "1")
    for plan, as_of, hour in ((new, 23, datetime(2026, 11, 24, 2, tzinfo=UTC)), (PLAN, 24, workspace.now())):
        publish(warmed, make_plan(plan), as_of=date(2026, 11, as_of), now=hour)
    run(workspace)  # only the stored rows of the day before show what was live as the day began
    rows = stored(workspace, "entry_hits")
    assert {row["prompt"] for row in rows if row["whole_day"]} == {ROTATE, REVOKE}
    assert {row["prompt"] for row in rows if row["generation"]} == {ROTATE, REVOKE, "Where are the logs?"}
    (gone,) = [row for row in rows if not row["generation"]]
    assert (gone["entry_id"], gone["agent_type"], gone["hits"]) == (entry_id(ROTATE, "planner"), "planner", 1)


def test_a_served_entry_in_no_generation_gets_its_details_from_the_last_plan_that_had_it(
    workspace: Workspace, client: redis.Redis, warmed: CacheStore
) -> None:
    gone = {"entry_id": entry_id("gone", "ops"), "agent_type": "ops", "prompt": "gone", "source": "golden"}
    workspace.datasets.write("warming_plan", DAY - timedelta(days=2), table(WARMING_PLAN, {**gone, "cost_usd": 0.02}))
    client.hset(served_key(warmed.name, "2026112401"), gone["entry_id"], "3")
    run(workspace)
    (row,) = [row for row in stored(workspace, "entry_hits") if row["entry_id"] == gone["entry_id"]]
    assert (row["agent_type"], row["cost_usd"], row["hits"], row["generation"]) == ("ops", 0.02, 3, None)


def test_before_the_first_publication_there_are_no_counts_and_no_error(
    workspace: Workspace, client: redis.Redis
) -> None:
    client.delete(f"warm:{workspace.settings.name}:generations")
    assert run(workspace)["lookups"] == 0
    assert [stored(workspace, name) for name in ("hour_counts", "arm_counts", "entry_hits")] == [[], [], []]


def test_a_failure_to_measure_stops_no_run_and_is_reported_on_the_page_and_by_the_check(workspace: Workspace) -> None:
    folder = Path(workspace.settings.datasets) / "hour_counts"
    folder.mkdir(parents=True)
    (folder / f"{DAY}.parquet").write_text("no parquet")
    assert "DatasetError" in run(workspace)["why_not"]
    results = dg.materialize(
        [entry_payback, day_is_counted],
        partition_key=DAY.isoformat(),
        resources={"workspace": workspace},
        raise_on_error=True,
    ).get_asset_check_evaluations()
    assert [(one.passed, one.severity, one.description) for one in results] == [
        (False, dg.AssetCheckSeverity.WARN, "The measurements of 2026-11-24 are incomplete: entry_hits missing.")
    ]
    (folder / f"{DAY}.parquet").unlink()
    assert "lookups" in run(workspace)


def test_a_lost_connection_to_redis_is_reported_with_the_day() -> None:
    nowhere = redis.Redis(host="127.0.0.1", port=1, retry=None)
    with pytest.raises(CacheError, match="lost Redis while reading the counters of 2026-11-24"):
        read_day_counters(nowhere, "nothing", DAY)


def test_an_entry_without_a_known_cost_gets_the_mean_of_its_agent_type() -> None:
    entries = {
        name: EntryDetails(agent_type=of) for name, of in (("a", "ops"), ("b", "ops"), ("golden", "ops"), ("c", "x"))
    }
    priced = with_costs(entries, {"a": 0.01, "b": 0.03, "golden": None})
    assert {name: entry.cost_usd for name, entry in priced.items()} == {"a": 0.01, "b": 0.03, "golden": 0.02, "c": None}
