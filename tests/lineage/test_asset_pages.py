"""Dagster's pages as a user interface: what every asset shows, before anything has run and after."""

from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from cachewarm_pipeline.definitions import defs
from cachewarm_pipeline.lineage.asset_page import column_schema, record_day, records

GRAPH = defs.resolve_asset_graph()
ASSETS = sorted(key.to_user_string() for key in GRAPH.get_all_asset_keys())
SPECS = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
PAID = {
    "synthetic_variants",
    "embeddings",
    "frequent_queries",
    "match_rules",
    "replay",
    "warming_plan",
}


@pytest.mark.parametrize("asset", ASSETS)
def test_every_asset_has_a_group_an_owner_kinds_and_a_description(asset: str) -> None:
    spec = SPECS[asset]
    assert spec.group_name in {"sources", "candidates", "verification", "cache", "measurement"}
    assert spec.owners
    assert spec.kinds
    assert len(spec.description or "") > 40


@pytest.mark.parametrize("asset", ["analyses", "findings", "llm_query_logs", "live_cache", "cache_counters"])
def test_external_assets_show_their_columns_before_anything_has_run(asset: str) -> None:
    assert "dagster/column_schema" in SPECS[asset].metadata


def test_the_lineage_goes_from_each_source_to_the_live_cache() -> None:
    reached, todo = set(), [dg.AssetKey("live_cache")]
    while todo:
        key = todo.pop()
        reached.add(key.to_user_string())
        todo += [parent for parent in GRAPH.get(key).parent_keys if parent.to_user_string() not in reached]
    assert {"analyses", "findings", "llm_query_logs"} <= reached


def test_assets_that_may_call_a_paid_server_share_a_pool() -> None:
    pools = {
        key.to_user_string(): assets.op.pool
        for assets in GRAPH.assets_defs
        if assets.is_executable
        for key in assets.keys
        if assets.is_materializable
    }
    assert {asset for asset, pool in pools.items() if pool == "openai"} >= PAID
    assert pools["cache_entries"] == "redis"


def test_the_counts_of_the_log_are_late_after_a_missed_night() -> None:
    policy = SPECS["daily_query_counts"].freshness_policy
    assert isinstance(policy, dg.FreshnessPolicy)
    assert policy.fail_window.to_timedelta().total_seconds() == 36 * 3600  # type: ignore[attr-defined]


def recorded(metadata: dict[str, Any], spent: float | None = None) -> dict[str, Any]:
    days = dg.DailyPartitionsDefinition("2026-03-01")

    @dg.asset(partitions_def=days)
    def one(context: dg.AssetExecutionContext) -> None:
        record_day(context, date(2026, 3, 20), metadata, spent)

    result = dg.materialize([one], partition_key="2026-03-20")
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_a_paid_asset_records_its_cost_for_free_days_too() -> None:
    assert recorded({"judge": "local"}, spent=0.0)["cost_usd"] == 0
    assert recorded({"judge": "llm"}, spent=1.75)["cost_usd"] == 1.75
    assert "cost_usd" not in recorded({"rows": 1})


def test_numbers_are_rounded_for_reading() -> None:
    shown = recorded({"hit_rate": 0.2614991482112436, "lift_interval": [-0.009748978240700298, 1.0], "rows": 1234567})
    assert (shown["hit_rate"], shown["lift_interval"], shown["rows"]) == (0.261499148, [-0.00974897824, 1.0], 1234567)


def test_nested_types_are_shown_by_the_names_of_their_parts() -> None:
    answers = pa.list_(pa.struct([("response", pa.string()), ("count", pa.int64())]))
    (column,) = column_schema(pa.schema([("responses", answers)])).columns
    assert column.type == "list of (response, count)"


def test_tables_show_dates_in_iso_format_and_mask_personal_data() -> None:
    table = records(
        [{"day": date(2026, 3, 20), "prompt": "call +43 1 5337123 or write to jane.doe@corp.at", "rate": 0.123456}]
    )
    (row,) = table.records  # type: ignore[attr-defined]
    assert row.data["day"] == "2026-03-20"
    assert "jane.doe" not in row.data["prompt"]
    assert row.data["rate"] == 0.1235
