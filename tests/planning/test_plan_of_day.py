"""The plan of a day through the real job: two passes, the curves, cold starts, quotas and selection by frequency."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cachewarm_pipeline.storage.datasets import DatasetStore
from tests.support.pipeline import Cachewarm

LAST = date(2026, 3, 20)


def log_rows(agent_type: str, asked: dict[str, tuple[str, int]]) -> list[dict[str, Any]]:
    """Each text the given number of times, on the last days, by its own users."""
    return [
        {
            "query": text,
            "agent_type": agent_type,
            "response": answer,
            "created_at": f"{LAST - timedelta(days=number % 6)}T09:00:00Z",
            "user_id": f"u{number}",
        }
        for text, (answer, times) in asked.items()
        for number in range(times)
    ]


def golden_rows(folder: Path, agent_type: str, texts: list[str]) -> None:
    analyses = [
        {"id": str(n), "url": "https://example.com/x", "content_preview": text, "created_at": "2026-03-01T00:00:00Z"}
        for n, text in enumerate(texts)
    ]
    findings = [
        {
            "analysis_id": str(n),
            "agent_type": agent_type,
            "output": f'{{"answer": "golden {n}"}}',
            "confidence_score": 0.99 - 0.01 * n,
        }
        for n in range(len(texts))
    ]
    pq.write_table(pa.Table.from_pylist(analyses), folder / "analyses.parquet")
    pq.write_table(pa.Table.from_pylist(findings), folder / "findings.parquet")


class Home:
    """A source, and what `cachewarm warm` made of it."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path, redis_url: str, name: str) -> None:
        (folder / "source").mkdir()
        self.source, self.home = folder / "source", folder / "home"
        self.run = Cachewarm(
            capsys,
            {
                "CACHEWARM_HOME": str(self.home),
                "CACHEWARM_SOURCE_URL": str(self.source),
                "CACHEWARM_REDIS_URL": redis_url,
                "CACHEWARM_NAME": name,
                "CACHEWARM_JUDGE": "exact",
                "CACHEWARM_MIN_FREQUENCY": "2",
            },
        )

    def warm(self, *arguments: str, **more: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        ran = self.run("warm", "--json", "-", *arguments, **more)
        assert ran.code == 0, ran.err
        day = date.fromisoformat(ran.json["as_of"])
        return ran.json, DatasetStore(str(self.home / "data")).read("warming_plan", day).to_pylist()


@pytest.fixture
def home(capsys: pytest.CaptureFixture[str], tmp_path: Path, redis_url: str, cache_name: str) -> Home:
    return Home(capsys, tmp_path, redis_url, cache_name)


def test_the_plan_shows_expected_hits_and_what_further_entries_would_add(home: Home) -> None:
    asked = {f"How do I mend engine number {n}?": (f"Answer {n}", 12 - n) for n in range(10)}
    pq.write_table(pa.Table.from_pylist(log_rows("a", asked)), home.source / "llm_query_logs.parquet")
    report, rows = home.warm("--budget", "4")
    assert [row["prompt"] for row in rows] == list(asked)[:4]  # nothing is certified: what is asked most
    gains = [row["gain"] for row in rows]
    assert gains == sorted(gains, reverse=True)
    plan = report["plan"]
    assert plan["expected_hits_a_day"] == pytest.approx(sum(gains))
    assert plan["next_100"].startswith("The 6 remaining candidates would add")
    (here,) = [row for row in plan["curve"] if row["entries"] == 4]
    assert here["planned"]
    assert here["plan"] == pytest.approx(here["frequency"]) == pytest.approx(plan["expected_hits_a_day"])
    assert report["counts"]["over_budget"] == 6

    printed = home.run("warm", "--budget", "4").out
    assert "lookups a day are answered by these entries" in printed
    assert "<- the plan" in printed


def test_the_floor_stops_a_plan_before_its_budget(home: Home) -> None:
    asked = {f"How do I mend engine number {n}?": (f"Answer {n}", 12 - n) for n in range(10)}
    pq.write_table(pa.Table.from_pylist(log_rows("a", asked)), home.source / "llm_query_logs.parquet")
    report, rows = home.warm(CACHEWARM_MIN_GAIN="1.0")
    assert 0 < len(rows) < 10
    assert min(row["gain"] for row in rows) >= 1.0
    assert report["counts"]["below_min_gain"] == 10 - len(rows)


def test_without_a_log_golden_answers_are_warmed_by_confidence(home: Home) -> None:
    texts = [f"Contents of file {n}, unlike any other" for n in range(5)]
    golden_rows(home.source, "auditor", texts)
    report, rows = home.warm("--budget", "3")
    assert [row["prompt"] for row in rows] == texts[:3]
    assert report["entries"] == {"total": 3, "golden": 3, "query_log": 0, "synthetic": 0}
    assert report["counts"]["over_budget"] == 2


def test_golden_that_nobody_asks_does_not_displace_the_log_and_a_new_tenant_is_warmed(home: Home) -> None:
    golden_rows(home.source, "new tenant", [f"Contents of file {n}, unlike any other" for n in range(5)])
    asked = {f"How do I mend engine number {n}?": (f"Answer {n}", 9) for n in range(4)}
    pq.write_table(pa.Table.from_pylist(log_rows("a", asked)), home.source / "llm_query_logs.parquet")
    _, rows = home.warm("--budget", "6")
    assert [row["source"] for row in rows] == ["query_log"] * 4 + ["golden"] * 2
    _, rows = home.warm("--budget", "6", CACHEWARM_SELECTION="frequency")
    assert [row["source"] for row in rows] == ["golden"] * 5 + ["query_log"]
    assert {row["gain"] for row in rows} == {None}


def test_quotas_hold_through_the_job_and_too_large_ones_are_reported(home: Home) -> None:
    rows = [
        *log_rows("loud", {f"How do I mend engine number {n}?": (f"Answer {n}", 12) for n in range(6)}),
        *log_rows("quiet", {f"When is train number {n} due?": (f"Time {n}", 2) for n in range(6)}),
    ]
    pq.write_table(pa.Table.from_pylist(rows), home.source / "llm_query_logs.parquet")
    _, plan = home.warm("--budget", "6", CACHEWARM_QUOTAS='{"quiet": 2}')
    assert sorted(row["agent_type"] for row in plan) == ["loud"] * 4 + ["quiet"] * 2
    ran = home.run("warm", "--budget", "3", CACHEWARM_QUOTAS='{"quiet": 5}')
    assert ran.code == 2
    assert "over the budget of 3" in ran.err
