"""A folder with an export of LiteLLM's SpendLogs, warmed by the command line without any change."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.log_format_data import Row, chat, completion, spend_log
from tests.support.pipeline import Cachewarm
from tests.support.small_app import AGENT, USUAL, settings_of, truth

NOW = datetime(2026, 3, 23, tzinfo=UTC)


def calls() -> Iterator[Row]:
    """Six days of sixty calls; each day has some calls that cannot be cached."""
    for back in range(6, 0, -1):
        for n in range(60):
            at = NOW - timedelta(days=back) + timedelta(minutes=20 * n)
            when = {"startTime": at.isoformat()[:-6], "endTime": (at + timedelta(seconds=2)).isoformat()[:-6]}
            question = USUAL[n % len(USUAL)]
            common: Row = {"end_user": f"user {n % 5}", "request_tags": [AGENT, "User-Agent: curl"], **when}
            yield spend_log(question, truth(question), **common)
            if n % 20 == 0:
                more = chat("And then?", {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"})
                yield spend_log(proxy_server_request={"messages": more}, **common)
                yield spend_log(proxy_server_request={}, response={}, **common)
                yield spend_log(question, call_type="aembedding", **common)
                yield spend_log(question, response=completion("Half an ans", finish="length"), **common)


def test_an_export_of_litellm_is_warmed_and_serves_answers(
    tmp_path: Path, redis_url: str, cache_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").mkdir()
    source = tmp_path / "source"
    source.mkdir()
    lines = [json.dumps(row) + "\n" for row in calls()]
    (source / "LiteLLM_SpendLogs.jsonl").write_text("".join(lines), encoding="utf-8")
    settings = settings_of(tmp_path / "home", source, redis_url, cache_name, CACHEWARM_LOG_FORMAT="litellm")
    cachewarm = Cachewarm(capsys, settings)

    ran = cachewarm("warm", "--json", str(tmp_path / "report.json"))
    assert ran.code == 0, ran.err
    assert f"{len(lines)} log rows" in ran.err + ran.out
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["published"], report["as_of"]) == (True, "2026-03-22")
    assert report["entries"] == {"total": len(USUAL), "golden": 0, "query_log": len(USUAL), "synthetic": 0}
    for reason in ("multi_turn", "text_not_recorded", "not_a_chat_call", "unfinished_answer"):
        assert report["counts"][reason] > 0

    for question in USUAL:
        found = cachewarm("lookup", question, "--agent-type", AGENT)
        assert found.out.startswith("hit")
        assert truth(question) in found.out
    assert cachewarm("lookup", "And then?", "--agent-type", AGENT).out.startswith("miss")


def test_a_wrong_format_stops_before_anything_is_done(
    tmp_path: Path, redis_url: str, cache_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "LiteLLM_SpendLogs.jsonl").write_text(json.dumps(spend_log()) + "\n", encoding="utf-8")
    settings = settings_of(tmp_path / "home", tmp_path, redis_url, cache_name)
    unknown = Cachewarm(capsys, {**settings, "CACHEWARM_LOG_FORMAT": "langsmith"})("warm")
    assert unknown.code == 2
    assert "CACHEWARM_LOG_FORMAT" in unknown.err
    assert "'litellm', 'langfuse' or 'otel'" in unknown.err
    other = Cachewarm(capsys, {**settings, "CACHEWARM_LOG_FORMAT": "langfuse"})("warm")
    assert other.code == 1
    assert "has neither observations_v2 or observations nor both analyses and findings" in other.err
