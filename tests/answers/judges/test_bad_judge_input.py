"""Too little or hostile evidence, through the command line: only exact hits are served, or the run stops."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from tests.query_log.test_bad_log_input import asked, one_line, write_source
from tests.support.chat_server import KEY, ChatServer, as_response, saying
from tests.support.pipeline import Cachewarm


@pytest.fixture
def cachewarm(capsys: pytest.CaptureFixture[str], tmp_path: Path, redis_url: str, cache_name: str) -> Cachewarm:
    return Cachewarm(
        capsys,
        {
            "CACHEWARM_HOME": str(tmp_path / "home"),
            "CACHEWARM_SOURCE_URL": str(tmp_path / "source"),
            "CACHEWARM_REDIS_URL": redis_url,
            "CACHEWARM_NAME": cache_name,
            "CACHEWARM_MIN_FREQUENCY": "2",
        },
    )


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    with HTTPServer(host="127.0.0.1", port=0, threaded=True) as http:
        yield ChatServer(http)


def reworded(question: str = "How do I rotate a key?") -> list[dict[str, object]]:
    """A question with two wordings of its answer, which a judge must compare."""
    return [
        asked(question, response=answer)
        for answer in (
            "Rotate the key in the vault of the team.",
            "Open your vault; a new secret is made every week there.",
        )
    ] * 3


def with_chat(chat: ChatServer, **more: str) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": chat.url,
        "CACHEWARM_JUDGE": "llm",
        "CACHEWARM_JUDGE_MAX_RETRIES": "0",
        **more,
    }


def test_three_queries_are_published_for_exact_hits_with_the_missing_evidence_named(
    cachewarm: Cachewarm, tmp_path: Path
) -> None:
    rows = [row for n in range(3) for row in [asked(f"question number {n}", response=f"answer {n}")] * 3]
    write_source(tmp_path / "source", rows, None)
    ran = cachewarm("warm", "--json", "-")
    assert ran.code == 0, ran.err
    assert ran.json["entries"]["total"] == 3
    (own,) = [rule for rule in ran.json["match_rules"] if rule["agent_type"] == "a"]
    assert (own["rule"], own["certified"]) == ("exact_only", False)
    assert "90" in own["why"]
    assert ran.json["replay"] is None


def test_answers_that_are_all_different_are_volatile_and_the_gate_says_so(cachewarm: Cachewarm, tmp_path: Path) -> None:
    answers = (
        "Look into the vault first.",
        "The printer on the third floor needs paper.",
        "Tomatoes grow best in full sun.",
        "A harbour pilot boards each ship.",
        "Choirs rehearse on Thursday evenings.",
        "Boil the kettle and wait for a while.",
    )
    rows = [asked(response=answer) for answer in answers]
    rows += [asked("What is two plus two?", response="four")] * 2
    write_source(tmp_path / "source", rows, None)
    ran = cachewarm("warm", "--json", "-", "--judge", "exact")
    assert ran.code == 1
    assert ran.json["blocked_by"] == ["volatile_or_personal_share"]
    assert "75.0% of the frequent demand is volatile" in ran.json["reason"]


def test_a_chat_judge_that_says_yes_warms_reworded_answers(
    cachewarm: Cachewarm, tmp_path: Path, chat: ChatServer
) -> None:
    chat.verdict = lambda left, right: True
    write_source(tmp_path / "source", reworded(), None)
    ran = cachewarm("warm", "--json", "-", **with_chat(chat))
    assert ran.code == 0, ran.err
    assert ran.json["entries"]["total"] == 1
    assert ran.json["cost"]["judge_usd"] > 0
    asked_before = len(chat.requests)
    again = cachewarm("warm", "--json", "-", **with_chat(chat))
    assert again.code == 0
    assert len(chat.requests) == asked_before
    assert again.json["cost"]["judge_usd"] == 0


def test_a_chat_judge_without_valid_verdicts_stops_the_run_and_the_live_generation_stays(
    cachewarm: Cachewarm, tmp_path: Path, chat: ChatServer
) -> None:
    write_source(tmp_path / "source", [asked()] * 3, None)
    live = cachewarm("warm", "--json", "-").json["generation"]
    write_source(tmp_path / "source", reworded("How do I revoke a key?"), None)
    chat.change = lambda _: saying('{"equivalent": "perhaps"}')
    ran = cachewarm("warm", **with_chat(chat))
    assert ran.code == 1
    line = one_line(ran.err)
    assert "frequent_queries" in line
    assert live in line
    assert KEY not in ran.err + ran.out
    assert cachewarm("generations", "--json").json[0]["id"] == live


def test_a_chat_judge_that_does_not_answer_in_time_stops_the_run(
    cachewarm: Cachewarm, tmp_path: Path, chat: ChatServer
) -> None:
    write_source(tmp_path / "source", reworded(), None)
    chat.hold = 1.5
    ran = cachewarm("warm", **with_chat(chat, CACHEWARM_JUDGE_TIMEOUT_SECONDS="0.3"))
    assert ran.code == 1
    assert "nothing is live" in one_line(ran.err)


def test_answers_that_a_chat_judge_over_its_cap_counts_as_different_vary_and_one_of_them_is_warmed(
    cachewarm: Cachewarm, tmp_path: Path, chat: ChatServer
) -> None:
    chat.verdict = lambda left, right: True
    write_source(tmp_path / "source", reworded(), None)
    ran = cachewarm("warm", "--json", "-", **with_chat(chat, CACHEWARM_JUDGE_MAX_USD="0"))
    assert ran.code == 0, ran.err
    assert chat.requests == []
    assert ran.json["entries"]["total"] == 1


def test_the_chat_judge_needs_a_key(cachewarm: Cachewarm, tmp_path: Path) -> None:
    write_source(tmp_path / "source", [asked()] * 3, None)
    assert "OPENAI_API_KEY" not in os.environ
    ran = cachewarm("warm", "--judge", "llm")
    assert ran.code == 2
    assert "OPENAI_API_KEY" in one_line(ran.err)


def test_an_unavailable_server_is_named_without_the_key(cachewarm: Cachewarm, tmp_path: Path, chat: ChatServer) -> None:
    write_source(tmp_path / "source", reworded(), None)
    chat.faults = [as_response({"error": {"message": f"bad key {KEY}", "type": "auth"}})] * 9
    ran = cachewarm("warm", **with_chat(chat))
    assert ran.code == 1, ran.out + ran.err
    assert chat.url in one_line(ran.err)
    assert KEY not in ran.err + ran.out
