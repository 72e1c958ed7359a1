"""The cost of a run, traced to the ledger, and `warm --dry-run`: one home and three paid models, over real HTTP."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import redis
from pytest_httpserver import HTTPServer

from cachewarm_pipeline.cli.dry_run import PLANNED
from cachewarm_pipeline.cli.dry_run_text import counts_line, planned_lines
from cachewarm_pipeline.models.usage_ledger import read_usage
from cachewarm_pipeline.models.usage_prices import PURPOSES, Price, totals
from cachewarm_pipeline.planning.planned_cost import PaidStep, TokenEstimate, planned_cost
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.storage.datasets import DatasetStore
from cachewarm_pipeline.workspace.dry_run import DryWorkspace
from cachewarm_pipeline.workspace.workspace import Workspace
from tests.support.paid_models import PaidModels, write_log
from tests.support.payback_data import back, hits_row, hits_table, hours_table
from tests.support.pipeline import LAST_DAY, Cachewarm, Ran, environment

NAME = "t-paid"


CAP = 0.000015
"""USD: less than the first request of a run can cost, so the run stops before it pays anything."""


@dataclass
class Paid:
    """A home in which a first run stopped at its cap and a second one published."""

    models: PaidModels
    home: Path
    values: dict[str, str]
    stopped: Ran
    published: Ran
    usd: tuple[float, float]
    """The cost of each run, as the models reported it."""

    def usage(self) -> list[dict[str, Any]]:
        workspace = Workspace(Settings(home=self.home))
        return list(read_usage(workspace.usage_folder, date.min, date.max).to_pylist())

    def files(self) -> dict[str, bytes]:
        return stored_files(self.home)


def stored_files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def server() -> Iterator[HTTPServer]:
    with HTTPServer(host="127.0.0.1", port=0, threaded=True) as http:
        yield http


@pytest.fixture(scope="module")
def paid(
    server: HTTPServer, tmp_path_factory: pytest.TempPathFactory, redis_url: str, request: pytest.FixtureRequest
) -> Paid:
    folder, models = tmp_path_factory.mktemp("paid"), PaidModels(server)
    more = {"CACHEWARM_NAME": NAME, "CACHEWARM_REDIS_URL": redis_url, "CACHEWARM_SYNTHETIC_TOP": "2"}
    values = models.environment(folder / "home", Path(write_log(folder / "log")), **more)
    capture = request.getfixturevalue("module_capture")
    cachewarm = Cachewarm(capture, values)
    stopped = cachewarm("warm", "--json", "-", CACHEWARM_MAX_USD=f"{CAP:f}")
    usd = models.usd()
    published = cachewarm("warm", "--json", "-")
    assert published.code == 0, published.err
    return Paid(models, folder / "home", values, stopped, published, (usd, models.usd() - usd))


@pytest.fixture(scope="module")
def module_capture(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Captures output for the fixtures of the module."""
    from _pytest.capture import CaptureFixture, SysCapture

    captured = CaptureFixture(SysCapture, request, _ispytest=True)
    captured._start()
    yield captured
    captured.close()


@pytest.fixture
def cachewarm(paid: Paid, capsys: pytest.CaptureFixture[str]) -> Cachewarm:
    return Cachewarm(capsys, paid.values)


def test_every_dollar_of_the_report_is_the_sum_of_stored_rows(paid: Paid) -> None:
    rows = paid.usage()
    runs = sorted({row["run_id"] for row in rows}, key=lambda run: min(r["at"] for r in rows if r["run_id"] == run))
    assert (len(runs), paid.stopped.json["cost"]["embedding_usd"]) == (1, 0)  # the stopped run paid nothing
    for run, ran, reported in zip(runs, (paid.published,), paid.usd[1:], strict=True):
        cost, own = ran.json["cost"], totals(row for row in rows if row["run_id"] == run)
        for name, purpose in (("embedding", "embedding"), ("generation", "generation"), ("judge", "judging")):
            assert (cost[f"{name}_tokens"] or 0, cost[f"{name}_usd"] or 0) == (own[purpose].tokens, own[purpose].usd)
        assert sum(total.usd for total in own.values()) == pytest.approx(reported, rel=1e-9)
    assert all(total.usd > 0 for total in totals(rows).values())
    assert sum(row["prompt_tokens"] for row in rows if row["purpose"] == "embedding") == paid.models.embedding_tokens
    assert {row["asset"] for row in rows} >= {"frequent_queries", "synthetic_variants", "embeddings"}


def test_the_cost_on_each_assets_page_is_the_sum_of_its_rows(paid: Paid) -> None:
    spent: dict[str, float] = {}
    rows = paid.usage()
    last = max(rows, key=lambda row: row["at"])["run_id"]
    for row in rows:
        if row["run_id"] == last:
            spent[row["asset"]] = spent.get(row["asset"], 0.0) + row["usd"]
    where = {"DAGSTER_HOME": str(paid.home / "dagster")}
    with environment(paid.values | where), dg.DagsterInstance.get() as instance:
        for asset in ("frequent_queries", "synthetic_variants", "embeddings", "warming_plan", "match_rules", "replay"):
            event = instance.get_latest_materialization_event(dg.AssetKey(asset))
            assert event is not None
            assert event.asset_materialization is not None
            shown = event.asset_materialization.metadata["cost_usd"].value
            assert shown == pytest.approx(spent.get(asset, 0.0), rel=1e-8)


def test_a_run_whose_embedding_reaches_its_cap_stops_and_reports_what_is_missing(paid: Paid) -> None:
    assert paid.stopped.code == 1
    assert paid.usd[0] == 0
    report = paid.stopped.json
    assert (report["published"], report["generation"]) == (False, None)
    assert "CACHEWARM_MAX_USD" in report["reason"]
    assert "new texts are not embedded" in report["reason"]
    assert "nothing is live" in paid.stopped.err


def dump(client: "redis.Redis") -> dict[bytes, Any]:
    return {key: client.dump(key) for key in client.scan_iter()}


def test_a_dry_run_changes_neither_redis_nor_stored_files_and_calls_no_paid_server(
    paid: Paid, cachewarm: Cachewarm, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        before, files, requests = dump(client), paid.files(), paid.models.requests
        commands = client.info("commandstats").keys()
        ran = cachewarm("warm", "--dry-run", "--json", "-")
        assert client.info("commandstats").keys() <= commands | {"cmdstat_dump", "cmdstat_scan"}
        assert dump(client) == before
    assert ran.code == 0, ran.err
    assert (paid.files(), paid.models.requests) == (files, requests)
    report, real = ran.json, paid.published.json
    assert list(report) == list(real)
    assert (report["dry_run"], real["dry_run"], real["planned_cost"]) == (True, False, None)
    assert (report["published"], report["generation"]) == (False, None)
    # Everything is embedded, judged and written, so the plan is the published one and the next run pays nothing.
    for part in ("entries", "plan", "replay", "match_rules"):
        assert report[part] == real[part]
    planned = report["planned_cost"]
    assert (planned["stand_in"], planned["usd"], planned["usd_at_most"]) == (False, 0.0, 0.0)
    assert planned["prices_as_of"] == Settings().prices_as_of.isoformat()


def test_a_dry_run_needs_no_redis_and_plans_texts_without_vectors_with_the_local_model(
    paid: Paid, cachewarm: Cachewarm
) -> None:
    files, requests = paid.files(), paid.models.requests
    changed = {
        "CACHEWARM_EMBEDDING_MODEL": "another",
        "CACHEWARM_JUDGE_MODEL": "another",
        "CACHEWARM_LLM_MODEL": "another",
        "CACHEWARM_REDIS_URL": "redis://127.0.0.1:1",
        "CACHEWARM_LLM_MAX_USD": "0.001",
    }
    ran = cachewarm("warm", "--dry-run", **changed)
    assert ran.code == 0, ran.err
    assert (paid.files(), paid.models.requests) == (files, requests)
    assert "Dry run for 2026-03-20: nothing was published or paid" in ran.out
    assert "A dry run reads no counters." in ran.err
    assert "planned with the local model all-MiniLM-L6-v2" in ran.out
    assert "expected, with what this would cost: " in ran.out
    assert "figures may differ" in ran.out
    assert f"prices of {Settings().prices_as_of}" in ran.out
    assert "not more: CACHEWARM_LLM_MAX_USD is the cap" in ran.out
    for purpose in ("embedding", "writing", "judging"):
        assert f"             {purpose} " in ran.out


def test_a_dry_run_names_the_gate_that_would_stop_a_run(cachewarm: Cachewarm) -> None:
    ran = cachewarm("warm", "--dry-run", "--json", "-", CACHEWARM_MIN_FREQUENCY="1000000")
    assert ran.code == 1
    assert ran.json["blocked_by"] == ["quality_threshold"]
    assert "a run would be stopped: quality_threshold" in ran.err


def test_the_plan_of_a_dry_run_excludes_entries_that_become_idle_tonight(
    paid: Paid, cachewarm: Cachewarm, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(paid.home, home)
    stored = DatasetStore(str(home / "data"))
    asked = [row["prompt"] for row in stored.read("warming_plan", LAST_DAY).to_pylist()]
    idle = asked[0]
    for day in back(LAST_DAY, 5):  # so the day of the plan is the fifth without a hit
        rows = [hits_row(prompt, day, 0 if prompt == idle else 4, agent_type="support") for prompt in asked]
        stored.write("entry_hits", day, hits_table(rows))
        stored.write("hour_counts", day, hours_table(day, {"support": 100}))
    before = stored_files(home)
    settings = {"CACHEWARM_HOME": str(home), "CACHEWARM_IDLE_DAYS": "5"}
    ran = cachewarm("warm", "--dry-run", "--json", str(tmp_path / "plan.json"), **settings)
    assert ran.code == 0, ran.err
    report = json.loads((tmp_path / "plan.json").read_text())
    assert report["counts"]["earned_nothing"] == 1
    assert report["entries"]["total"] == len(asked) - 1
    assert "reader counts are stored up to" not in ran.err
    assert stored_files(home) == before


def test_a_dry_run_makes_the_sample_in_a_scratch_folder_if_the_home_has_none(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", sample_rows_per_day=2)
    dry = DryWorkspace(settings, tmp_path / "scratch")
    assert Path(dry.source_url).is_relative_to(tmp_path / "scratch")
    again = DryWorkspace(settings, tmp_path / "another", after=dry)
    assert again.source_url == dry.source_url
    assert not (tmp_path / "home").exists()
    shutil.copytree(dry.source_url, tmp_path / "home" / "sample")
    third = DryWorkspace(settings, tmp_path / "third")
    assert third.source_url == str(tmp_path / "home" / "sample")
    third.settings.sample_seed = 8  # the stored sample has another random seed
    assert DryWorkspace(third.settings, tmp_path / "third")._sample_folder() == tmp_path / "third" / "sample"


def test_each_asset_of_a_run_is_planned_or_excluded_for_a_reason() -> None:
    from cachewarm_pipeline.definitions import assets

    made = {spec.key.to_user_string() for asset in assets for spec in getattr(asset, "specs", [asset])}
    in_redis = {"cache_entries", "live_cache", "cache_counters", "serving_counts"}
    of_past_days = {"warming_impact"}  # no plan reads it
    sources = {"analyses", "findings", "llm_query_logs"}
    assert made == {*PLANNED} | in_redis | of_past_days | sources | {"answer_checks"}


def planned(max_usd: float | None = None, local: bool = False, **prices: float) -> str:
    """The printed cost of one step for each purpose, with 1,000 tokens, at most 4,000, as one line."""
    tokens = TokenEstimate(1000, 0, 4000, 0)
    steps = {name: PaidStep(3, tokens, Price(name, "m", prices.get(name, 0.0))) for name in PURPOSES}
    conditions = {
        "prices_as_of": "2026-11-25",
        "planned_with": "m",
        "stand_in": False,
        "local": local,
        "max_usd": max_usd,
    }
    found = planned_cost(steps, **conditions)  # type: ignore[arg-type]
    return " ".join(" ".join(planned_lines(found)).split())


def test_reader_counts_that_end_before_the_day_of_the_plan_are_reported() -> None:
    last = date(2026, 3, 20)
    line = counts_line(28, date(2026, 3, 18), last)
    assert line is not None
    assert "reader counts are stored up to 2026-03-18" in line
    # Counts up to date; no reader counts; idle entries are never excluded.
    assert [counts_line(28, last, last), counts_line(28, None, last), counts_line(0, date(2026, 3, 18), last)] == [
        None
    ] * 3


def test_a_missing_price_is_reported_and_not_shown_as_free() -> None:
    assert planned(judging=0.4).count("no price is set") == 2
    assert "judging 3 pairs of answers without a verdict yet (m): about 1,000 tokens and $0.0004" in planned(
        judging=0.4
    )
    assert "under $0.0001" in planned(embedding=0.02)
    assert "embedding 3 new texts with m: free, on this machine" in planned(local=True)


def test_a_cap_that_may_stop_the_run_is_reported_with_its_effect() -> None:
    assert "CACHEWARM_MAX_USD" not in planned(judging=0.4)
    assert "CACHEWARM_MAX_USD" not in planned(1.0, judging=0.4)
    assert "would cost about $0.0004, at most $0.0010;" in planned(0.001, judging=0.4)
    assert "CACHEWARM_MAX_USD=0.001 may stop it early" in planned(0.001, judging=0.4)
