"""From lookups of real readers through Redis's counters and stored tables to an interval that covers the true lift."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from cachewarm_client.cache import WarmedSemanticCache

from cachewarm_pipeline.measurement.assets import serving_counts, warming_impact
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.settings import load_settings
from cachewarm_pipeline.workspace.workspace import Workspace
from tests.support.cache_fakes import DAY as PLANNED
from tests.support.cache_fakes import ROTATE, Clock, TrigramEmbedder
from tests.support.impact_days import write_made
from tests.support.pipeline import environment

pytest_plugins = ["tests.support.cache_fixtures"]

USERS, LOOKUPS, TRUE_LIFT = 80, 3, 0.6


def test_the_lift_of_simulated_users_is_found_through_redis_and_the_stored_tables(
    warmed: CacheStore, redis_url: str, tmp_path: Path, clock: Clock, embedder: TrigramEmbedder
) -> None:
    draw = np.random.default_rng(3)
    known = draw.permutation(np.repeat([0.3, 0.9], USERS // 2))  # by user: share of lookups that can hit
    with WarmedSemanticCache(warmed.name, redis_url, embedder=embedder, clock=clock, holdout=0.3) as cache:
        answered = 0
        for day in (23, 24):
            clock.now = datetime(2026, 11, day, 9, tzinfo=UTC)
            for user in range(USERS):
                for n in range(LOOKUPS):
                    prompt = ROTATE if draw.random() < known[user] else f"{user} {n} {day}: zzz qqq xxx?"
                    answered += bool(cache.check(prompt, agent_type="auditor", holdout_key=f"user {user}"))
    clock.now = datetime(2026, 11, 25, 2, tzinfo=UTC)
    values = {"CACHEWARM_HOME": str(tmp_path), "CACHEWARM_REDIS_URL": redis_url, "CACHEWARM_NAME": warmed.name}
    with environment(values):
        workspace = Workspace(load_settings(), clock)
    write_made(workspace, PLANNED)
    dg.materialize([serving_counts], partition_key="2026-11-23", resources={"workspace": workspace})
    dg.materialize([serving_counts, warming_impact], partition_key="2026-11-24", resources={"workspace": workspace})
    rows = workspace.datasets.read("warming_impact", workspace.datasets.days("warming_impact")[-1]).to_pylist()
    total = next(row for row in rows if row["scope"] == "total")
    assert total["warmed_lookups"] + total["holdout_lookups"] == 2 * USERS * LOOKUPS
    assert 0.2 < total["holdout_lookups"] / (2 * USERS * LOOKUPS) < 0.4
    assert (total["warmed_hits"], total["holdout_hits"]) == (answered, 0)
    assert total["lift_low"] <= TRUE_LIFT <= total["lift_high"]
    assert total["lift_high"] - total["lift_low"] < 0.4
    assert next(row["hits"] for row in rows if row["scope"] == "source" and row["name"] == "golden") == answered
    days = [row for row in rows if row["scope"] == "day"]
    assert [(row["name"], row["forecast_hit_rate"]) for row in days] == [
        ("2026-11-23", pytest.approx(0.4)),
        ("2026-11-24", pytest.approx(0.4)),
    ]
