"""Faults of the model behind the `llm` judge, over real HTTP: errors, time-outs, invalid verdicts, killed runs."""

import os
import signal
import socket
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from werkzeug import Response

from cachewarm_pipeline.answers.judges import llm
from cachewarm_pipeline.answers.judges.judge_question import JudgeModel
from cachewarm_pipeline.answers.judges.llm import STORE_EVERY, LlmJudge
from cachewarm_pipeline.errors import JudgeError
from tests.support.chat_server import (
    KEY,
    MODEL,
    PAIR,
    PROMPT_TOKENS,
    ChatServer,
    as_response,
    many,
    open_judge,
    open_model,
    saying,
)
from tests.support.openai_server import SOON, error_answer


@pytest.fixture(autouse=True)
def _one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pair is one request."""
    monkeypatch.setattr(llm, "SWAP_SHARE", 0.0)


def refusal(model: JudgeModel | LlmJudge) -> str:
    """The message of the JudgeError: one short line without secrets."""
    with pytest.raises(JudgeError) as caught:
        model.ask(PAIR) if isinstance(model, JudgeModel) else model.same([PAIR])
    message = str(caught.value)
    assert "\n" not in message
    assert "Qsecret" not in message
    assert len(message) < 500
    return message


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_a_temporary_fault_is_retried(server: ChatServer, status: int) -> None:
    server.faults = [error_answer(status, "try again", SOON)] * 2
    assert open_model(server).ask(PAIR).equivalent
    assert len(server.requests) == 3


def test_the_servers_retry_after_is_respected(server: ChatServer) -> None:
    server.faults = [error_answer(429, "slow down", {"retry-after": "1"})]
    started = time.monotonic()
    assert open_model(server).ask(PAIR).equivalent
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    ("status", "tries", "expected"),
    [
        (429, 3, "limits the rate or the quota is used up (HTTP 429 in up to 3 attempts): said why"),
        (500, 3, "failed (HTTP 500 in up to 3 attempts): said why"),
        (401, 1, "refused the key (HTTP 401); check OPENAI_API_KEY"),
        (403, 1, "refused the key (HTTP 403); check OPENAI_API_KEY"),
        (404, 1, "not found (HTTP 404): said why; check CACHEWARM_JUDGE_MODEL and OPENAI_BASE_URL"),
        (400, 1, "refused the request (HTTP 400): said why"),
    ],
)
def test_a_lasting_fault_is_an_error_without_the_key(
    server: ChatServer, status: int, tries: int, expected: str
) -> None:
    server.faults = [error_answer(status, f"said why,\n {KEY} and sk-other-Qsecret", SOON)] * tries
    message = refusal(open_model(server))
    assert expected.replace("said why", "said why, *** and ***") in message
    assert server.url in message
    assert MODEL in message
    assert len(server.requests) == tries


WRONG: list[tuple[object, str]] = [
    (saying("yes"), "another answer than the schema's: yes"),
    (saying('{"equivalent": "true"}'), "another answer than the schema's"),
    (saying('{"equivalent": 1}'), "another answer than the schema's"),
    (saying('{"equivalent": true, "why": "x"}'), "another answer than the schema's"),
    (saying('```json\n{"equivalent": true}\n```'), "another answer than the schema's"),
    (saying("[true]"), "another answer than the schema's"),
    (saying(None), "another answer than the schema's"),
    (saying([{"type": "text"}]), "another answer than the schema's"),
    (saying(f"my key is {KEY} and " + "x" * 200), "another answer than the schema's: my key is *** and xxx"),
    (saying(None, refusal="I cannot do that"), "a refusal: I cannot do that"),
    (saying("", "content_filter"), "a refusal"),
    (saying('{"equivalent": tr', "length"), "an answer cut at the token limit"),
    (saying('{"equivalent": true}', "length"), "an answer cut at the token limit"),
    ({**saying(""), "choices": []}, "no choices"),
    ({**saying(""), "choices": None}, "no choices"),
    ({**saying(""), "choices": [{}]}, "something that is no chat completion"),
    ({**saying(""), "choices": [{"message": None}]}, "something that is no chat completion"),
    ({**saying(""), "choices": 7}, "something that is no chat completion"),
    ({}, "something that is no chat completion"),
    ([], "something that is no chat completion"),
    (None, "something that is no chat completion"),
    (b"<html>gateway error</html>", "something that is no chat completion: <html>gateway error</html>"),
    (b"", "something that is no chat completion"),
    (b"\xff\xfe", "something that is no chat completion"),
]


def wrong(body: object) -> Response:
    return Response(body, content_type="text/html") if isinstance(body, bytes) else as_response(body)


@pytest.mark.parametrize(("body", "expected"), WRONG)
def test_a_reply_that_is_not_a_verdict_is_asked_once_more_and_then_is_an_error(
    server: ChatServer, body: object, expected: str
) -> None:
    server.faults = [wrong(body), wrong(body)]
    message = refusal(open_model(server))
    assert expected in message
    assert "CACHEWARM_JUDGE_MODEL" in message
    assert "x" * 81 not in message
    assert len(server.requests) == 2


def test_a_verdict_at_the_second_attempt_counts_and_both_attempts_are_paid(server: ChatServer, tmp_path: Path) -> None:
    server.faults = [as_response(saying("hm"))]
    judge = open_judge(server, tmp_path)
    assert judge.same([PAIR]).tolist() == [True]
    assert judge.usage.asked == 1
    assert judge.usage.prompt_tokens == 2 * PROMPT_TOKENS


def test_a_slow_server_is_an_error_after_the_time_outs(server: ChatServer) -> None:
    server.hold = 0.3
    message = refusal(open_model(server, timeout=0.05, max_retries=0))
    assert "within 0.05 s in 1 attempt" in message
    assert "CACHEWARM_JUDGE_TIMEOUT_SECONDS" in message


def test_an_unreachable_server_is_an_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:Qsecret@127.0.0.1:{unused.getsockname()[1]}/v1"
        message = refusal(open_model(url, max_retries=0))
    assert "cannot reach" in message
    assert "check OPENAI_BASE_URL" in message


def test_an_error_in_the_middle_keeps_the_paid_verdicts(server: ChatServer, tmp_path: Path) -> None:
    pairs = many(30)
    answered = count(1)  # count answers, not requests: several requests run at once
    server.change = lambda answer: answer if next(answered) <= 22 else saying("no more")
    judge = open_judge(server, tmp_path)
    with pytest.raises(JudgeError, match="no more"):
        judge.same(pairs)
    assert judge.usage.asked == 22
    server.change = lambda answer: answer
    server.requests.clear()
    again = open_judge(server, tmp_path)
    again.same(pairs)
    assert (again.usage.known, again.usage.asked, len(server.requests)) == (22, 8, 8)


def test_a_killed_run_loses_only_the_verdicts_not_yet_stored(server: ChatServer, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from cachewarm_pipeline.answers.judges import llm\n"
        "from tests.support.chat_server import open_judge\n"
        "from tests.support.chat_server import many\n"
        "llm.SWAP_SHARE = 0.0\n"
        "open_judge(sys.argv[1], sys.argv[2], concurrency=2).same(many(200))\n"
    )
    command = [sys.executable, "-c", script, server.url, str(tmp_path)]
    killed: list[int] = []

    def kill_in_the_middle(answer: dict[str, Any]) -> dict[str, Any]:
        if len(server.requests) >= 3 * STORE_EVERY + 5 and not killed:
            killed.append(len(server.requests))
            os.kill(process.pid, signal.SIGKILL)
        return answer

    server.change = kill_in_the_middle
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as process:
        process.wait()
    assert process.returncode == -signal.SIGKILL
    paid = len(server.requests)
    judge = open_judge(server, tmp_path)
    judge.same(many(200))
    assert judge.usage.known >= paid - STORE_EVERY - 2 * 2
    assert judge.usage.known + judge.usage.asked == 200
