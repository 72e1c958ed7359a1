"""A log with enough evidence through the whole job: a rule is learned, published, and serves as it was certified."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cachewarm_client.cache import WarmedSemanticCache

from cachewarm_pipeline.storage.datasets import DatasetStore
from tests.support.pipeline import Cachewarm

LAST = date(2026, 3, 20)
DAYS = 12
TOPICS = (
    "reset my password",
    "cancel my subscription",
    "export my invoices",
    "change my delivery address",
    "track my parcel",
    "close my account",
    "get a refund",
    "add a second user",
    "switch to yearly billing",
    "turn off newsletters",
)
FRAMES = ("How do I {}", "I want to {}", "Please tell me how to {}", "What must I do to {}", "Where can I {}")
ENDS = ("", " today", " quickly", " on my phone", " in the app", " without calling you", " from abroad", " myself")


def log_rows() -> list[dict[str, str]]:
    """Each wording once, spread over the days: a wording that is not warmed can only be a semantic hit."""
    rng = np.random.default_rng(0)
    asked = [
        (f"{frame.format(topic)}{end}?", f"Answer {number}")
        for number, topic in enumerate(TOPICS)
        for frame in FRAMES
        for end in ENDS
    ]
    return [
        {
            "query": query,
            "agent_type": "support",
            "response": response,
            "created_at": f"{LAST - timedelta(days=int(rng.integers(DAYS)))}T09:00:00Z",
        }
        for query, response in asked
    ]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    pq.write_table(pa.Table.from_pylist(log_rows()), folder / "llm_query_logs.parquet")
    return folder


def test_a_learned_rule_serves_its_held_out_queries_exactly_as_they_were_certified(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, source: Path, redis_url: str, cache_name: str
) -> None:
    cachewarm = Cachewarm(
        capsys,
        {
            "CACHEWARM_HOME": str(tmp_path),
            "CACHEWARM_SOURCE_URL": str(source),
            "CACHEWARM_REDIS_URL": redis_url,
            "CACHEWARM_NAME": cache_name,
            "CACHEWARM_MIN_FREQUENCY": "1",
            "CACHEWARM_JUDGE": "exact",
            "CACHEWARM_BUDGET": "80",
            "CACHEWARM_CONFIDENCE": "0.95",
        },
    )
    ran = cachewarm("warm", "--json", "-")
    assert ran.code == 0, ran.err
    (rule,) = [rule for rule in ran.json["match_rules"] if rule["agent_type"] == "support"]
    assert rule["rule"] == "learned"
    assert rule["upper"] <= 0.05

    store = DatasetStore(str(tmp_path / "data"))
    evidence = store.read("match_evidence", LAST).to_pylist()
    with WarmedSemanticCache(cache_name, redis_url) as cache:
        threshold = cache.explain("anything", agent_type="support")["threshold"]
        served = 0
        for row in evidence:
            hits = cache.check(row["prompt"], agent_type="support")
            if abs(row["score"] - threshold) > 0.05:  # half precision and the rounding of the search engine
                assert bool(hits) == (row["score"] > threshold), row
            if hits:
                served += 1
                assert hits[0]["match"] == "semantic"
                assert hits[0]["entry_id"] == row["entry_id"]
    assert abs(served - rule["hits"]) <= 2

    surest = max(evidence, key=lambda row: row["score"])
    prompt = surest["prompt"]
    shown = cachewarm("lookup", prompt, "--agent-type", "support", "--explain")
    assert shown.code == 0
    assert "hit   distance" in shown.out
    assert "why   semantic; rule learned" in shown.out
    assert "confidence" in shown.out
    explained = cachewarm("lookup", prompt, "--agent-type", "support", "--explain", "--json").json["explanation"]
    assert explained["picked"].endswith(surest["entry_id"])
