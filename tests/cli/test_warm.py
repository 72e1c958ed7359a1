"""The main job through the command line: real Dagster, real Redis, the real embedded model.

Tests that depend on the log use the synthetic sample, the others a small application.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from cachewarm_client.cache import WarmedSemanticCache

from cachewarm_pipeline.embedded.sample.ground_truth import Truth
from tests.query_log.test_bad_log_input import asked, write_source
from tests.support.pipeline import LAST_DAY, Buffers, Cachewarm, home_with_shared_vectors, merge_vectors, small_sample
from tests.support.small_app import App, settings_of

DAY = LAST_DAY.isoformat()
SHARED = "t-warm"
"""The cache that the module warms once, for tests that only read it."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for the module: vectors and mined days are reused, as in production."""
    return home_with_shared_vectors(tmp_path_factory)


@pytest.fixture(scope="module")
def values(home: Path, source: Path, redis_url: str) -> dict[str, str]:
    return {
        "CACHEWARM_HOME": str(home),
        "CACHEWARM_SOURCE_URL": str(source),
        "CACHEWARM_REDIS_URL": redis_url,
        "CACHEWARM_NAME": SHARED,
        "CACHEWARM_LOOKBACK_DAYS": "10",
    }


@pytest.fixture(scope="module")
def report(values: dict[str, str]) -> Any:
    """The report of a first `cachewarm warm` of the sample, which is then live under SHARED."""
    with Buffers() as buffers:
        ran = Cachewarm(buffers, values)("warm", "--json", "-")
    assert ran.code == 0, ran.err
    merge_vectors(values)
    return ran.json


@pytest.fixture
def warmed(capsys: pytest.CaptureFixture[str], values: dict[str, str], report: Any) -> Cachewarm:
    """The command line with the sample live."""
    return Cachewarm(capsys, values)


@pytest.fixture
def cachewarm(capsys: pytest.CaptureFixture[str], values: dict[str, str], cache_name: str) -> Cachewarm:
    """The command line on the sample, with nothing live."""
    return Cachewarm(capsys, {**values, "CACHEWARM_NAME": cache_name})


@pytest.fixture
def small(tmp_path: Path, redis_url: str, cache_name: str, capsys: pytest.CaptureFixture[str]) -> Cachewarm:
    """The command line on the log of a small application, in a home of its own, with nothing live."""
    (tmp_path / "home").mkdir()
    app = App(tmp_path / "source")
    app.history(datetime(2026, 3, 23, tzinfo=UTC), 6)
    return Cachewarm(capsys, settings_of(tmp_path / "home", app.folder, redis_url, cache_name))


def write_commands(client: "redis.Redis") -> dict[str, int]:
    """The number of calls so far of each command that changes data."""
    stats = client.info("commandstats")
    writing = ("hset", "hdel", "del", "unlink", "expire", "set", "FT.CREATE", "FT.ALIASUPDATE", "FT.DROPINDEX")
    return {name: stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in writing}


def test_a_reader_finds_what_warm_published(report: Any, redis_url: str, source: Path) -> None:
    assert report["published"] is True
    assert report["as_of"] == DAY
    assert report["entries"]["golden"] > 10  # of the 200, those that were asked
    assert report["entries"]["query_log"] > 50
    assert report["entries"]["total"] == sum(report["entries"][s] for s in ("golden", "query_log", "synthetic"))

    truth = Truth(source)
    with WarmedSemanticCache(name=SHARED, redis_url=redis_url) as cache:
        assert cache.generation == report["generation"]
        right = wrong = 0
        log = truth_queries(source)
        for agent_type, prompt in log:
            for hit in cache.check(prompt=prompt, agent_type=agent_type):
                assert hit["agent_type"] == agent_type
                is_right = truth.is_right(agent_type, prompt, hit["response"])
                right += bool(is_right)
                wrong += is_right is False
    assert right > 50
    assert wrong <= 0.05 * right


def truth_queries(source: Path) -> list[tuple[str, str]]:
    """The distinct clean questions of the last day that have one right answer."""
    from cachewarm_pipeline.embedded.sample.ground_truth import day_rows

    rows = day_rows(source, LAST_DAY).to_pylist()
    asked = {(r["agent_type"], r["query"]) for r in rows if not r["dirty"] and r["answer_id"] and r["query"]}
    return sorted(asked)


def test_an_unchanged_second_run_embeds_nothing_and_writes_nothing(
    warmed: Cachewarm, report: Any, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        before, keys = write_commands(client), client.dbsize()
        again = warmed("warm", "--json", "-").json
        after = write_commands(client)
        assert client.dbsize() == keys
    assert again["generation"] == report["generation"]
    assert again["published"] is True
    # The publish lock is acquired and released: one SET and its release. No entry, index or alias changes.
    changed = {name for name in before if after[name] != before[name]}
    assert changed <= {"set", "del"}
    assert again["cost"]["embedding_tokens"] == 0


def test_the_report_has_its_documented_shape(cachewarm: Cachewarm, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    assert cachewarm("warm", "--budget", "20", "--json", str(target)).code == 0
    report = json.loads(target.read_text())
    assert list(report) == [
        "as_of",
        "generation",
        "published",
        "blocked_by",
        "reason",
        "loading",
        "budget",
        "entries",
        "plan",
        "replay",
        "match_rules",
        "cost",
        "savings",
        "timings",
        "counts",
        "synthetic",
        "savings_told",
        "dry_run",
        "planned_cost",
    ]
    assert report["budget"] == 20
    assert report["entries"]["total"] == 20
    assert report["counts"]["over_budget"] > 0
    assert set(report["cost"]) == {
        "embedding_tokens",
        "embedding_usd",
        "generation_tokens",
        "generation_usd",
        "judge_tokens",
        "judge_usd",
        "seconds",
        "prices_as_of",
    }
    replay = report["replay"]
    assert replay["lookups"] > 500
    assert replay["lift"] == pytest.approx(replay["hit_rate"] - replay["cold_hit_rate"])
    assert replay["lift_interval"][0] <= replay["lift"] <= replay["lift_interval"][1]
    assert replay["wrong_hits"] <= replay["judged_hits"] <= replay["hits"] <= replay["lookups"]
    assert 0 <= replay["wrong_hit_rate"] <= replay["wrong_hit_rate_upper"] <= 1
    assert report["match_rules"][0].keys() >= {"agent_type", "rule", "threshold", "distance_threshold", "certified"}
    savings = report["savings"]
    assert all(value is None or isinstance(value, float) for value in savings.values())
    assert savings["per_day_usd_low"] <= savings["per_day_usd"] <= savings["per_day_usd_high"]
    assert savings["measured_per_day_usd"] is None  # there are no lookups yet
    (sentence,) = report["savings_told"]
    assert sentence.startswith("expected: saves" if savings["per_day_usd"] >= 0 else "expected: loses")
    assert report["timings"].keys() >= {"golden_candidates", "warming_plan", "cache_entries"}


def test_a_plan_that_fails_its_gate_leaves_the_live_generation_untouched(small: Cachewarm) -> None:
    live = small("warm", "--json", "-").json["generation"]
    assert live
    blocked = small("warm", "--json", "-", CACHEWARM_MIN_QUALITY="1", CACHEWARM_MIN_FREQUENCY="1000000")
    assert blocked.code == 1
    assert blocked.json["blocked_by"] == ["quality_threshold"]
    assert blocked.json["published"] is False
    assert blocked.json["generation"] == live
    assert "quality_threshold" in blocked.err
    assert live in blocked.err
    assert small("generations", "--json").json[0]["id"] == live


def test_an_older_day_replaces_a_newer_generation_only_with_allow_rollback(small: Cachewarm) -> None:
    live = small("warm", "--json", "-").json["generation"]
    assert live
    earlier = "2026-03-21"
    refused = small("warm", "--as-of", earlier, "--json", "-")
    assert refused.code == 1
    assert refused.json["generation"] == live
    assert "--allow-rollback" in refused.json["reason"]
    assert "is newer" in refused.err
    assert small("warm", "--as-of", earlier, "--allow-rollback").code == 0
    assert small("generations", "--json").json[0]["as_of"] == earlier


def test_rollback_makes_the_previous_generation_live_again(small: Cachewarm) -> None:
    first = small("warm", "--budget", "3", "--json", "-").json["generation"]
    second = small("warm", "--budget", "4", "--json", "-").json["generation"]
    assert first
    assert second
    assert first != second
    assert small("rollback", "--json").json["id"] == first
    assert small("generations", "--json").json[0]["id"] == first


def test_lookup_and_stats_show_what_an_application_would_see(warmed: Cachewarm, report: Any) -> None:
    misses = warmed("stats", "--json").json["agent_types"].get("security_auditor", {"misses": 0})["misses"]
    with_entry = warmed("lookup", "zzz no such question", "--agent-type", "security_auditor", "--json")
    assert (with_entry.code, with_entry.json) == (0, {"hit": False, "hits": []})
    stats = warmed("stats", "--json").json
    assert stats["redis_url"].startswith("redis://")
    assert stats["total_entries"] == report["entries"]["total"] > 100
    assert stats["agent_types"]["security_auditor"]["misses"] == misses + 1


def test_a_tenant_with_quotes_commas_braces_and_spaces_is_served_like_any_other(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, redis_url: str, cache_name: str
) -> None:
    tenant, prompt = 'team "A", {beta}', "How do I rotate a key?"
    write_source(tmp_path / "source", [asked(prompt, tenant)] * 5 + [asked(prompt, "team")] * 5, None)
    (tmp_path / "home").mkdir()
    values = settings_of(tmp_path / "home", tmp_path / "source", redis_url, cache_name)
    ran = Cachewarm(capsys, values)("warm", "--json", "-")
    assert ran.code == 0, ran.err
    with WarmedSemanticCache(name=cache_name, redis_url=redis_url) as cache:
        assert cache.check(prompt=prompt, agent_type=tenant)[0]["agent_type"] == tenant
        assert cache.check(prompt=prompt, agent_type='team "A"') == []


def test_a_target_for_which_no_rule_is_certified_publishes_exact_hits_only(
    cachewarm: Cachewarm, redis_url: str, cache_name: str
) -> None:
    ran = cachewarm("warm", "--max-wrong-hit-rate", "0.02", "--json", "-")
    assert ran.code == 0, ran.err
    rules = {rule["agent_type"]: rule for rule in ran.json["match_rules"]}
    assert {rule["rule"] for rule in rules.values()} == {"exact_only"}
    assert "228" in rules["api_designer"]["why"]
    with WarmedSemanticCache(name=cache_name, redis_url=redis_url) as cache, redis.Redis.from_url(redis_url) as client:
        entries = client.scan_iter(f"warm:{cache_name}:{cache.generation}:*", _type="HASH")
        key = next(key for key in entries if client.hget(key, "source") == b"query_log")
        prompt, agent_type = (client.hget(key, field).decode() for field in ("prompt", "agent_type"))
        assert cache.check(prompt=prompt, agent_type=agent_type)[0]["match"] == "exact"
        assert cache.check(prompt=f"{prompt} please", agent_type=agent_type) == []


def test_a_second_warm_in_the_same_home_is_refused_while_the_first_runs(small: Cachewarm) -> None:
    from cachewarm_pipeline.cli.dagster_runs import warm_lock

    with warm_lock(Path(small.environment["CACHEWARM_HOME"])):
        ran = small("warm")
    assert ran.code == 1
    assert "another `cachewarm warm` is running" in ran.err
    assert small("warm").code == 0


def test_the_next_warm_marks_a_killed_run_as_failed() -> None:
    import dagster as dg

    from cachewarm_pipeline.cli.dagster_runs import end_dead_runs

    tags = {"cachewarm/started_by": "cachewarm warm"}
    with dg.instance_for_test() as instance:
        dead = instance.create_run_for_job(dg.job(name="killed")(lambda: None), tags=tags)
        other = instance.create_run_for_job(dg.job(name="queued")(lambda: None))
        end_dead_runs(instance, tags)
        found = {run.run_id: run.status for run in instance.get_runs()}
    assert found == {dead.run_id: dg.DagsterRunStatus.FAILURE, other.run_id: dg.DagsterRunStatus.NOT_STARTED}
