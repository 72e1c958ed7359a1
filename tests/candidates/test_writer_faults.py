"""How a writing model and its server can be wrong: what is asked once more, what is counted, and what ends the run."""

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Response

from cachewarm_pipeline.candidates.variant_writers.writer_question import EMPTY, answer_question, variants_question
from cachewarm_pipeline.errors import ConfigurationError, DatasetError
from cachewarm_pipeline.models.chat_completion import CUT, NO_CHOICES, NO_COMPLETION, OTHER_SCHEMA, REFUSAL
from cachewarm_pipeline.models.chat_model import read_reply
from tests.support.chat_server import KEY, MODEL, PROMPT_TOKENS, as_response, saying
from tests.support.openai_server import SOON, error_answer
from tests.support.writer_server import (
    PER_ANSWER,
    WriterServer,
    asked,
    bases,
    counted,
    open_model,
    open_writer,
    refusal,
    variants_of,
    written,
)

GOOD = '{"variants": ["a", "b"]}'

WRONG: list[tuple[object, str]] = [
    (saying("a, b and c"), OTHER_SCHEMA),
    (saying('["a", "b"]'), OTHER_SCHEMA),
    (saying('{"variants": "a"}'), OTHER_SCHEMA),
    (saying('{"variants": ["a", 1]}'), OTHER_SCHEMA),
    (saying('{"variants": ["a"], "why": "x"}'), OTHER_SCHEMA),
    (saying('{"answer": "a"}'), OTHER_SCHEMA),
    (saying(f"```json\n{GOOD}\n```"), OTHER_SCHEMA),
    (saying("null"), OTHER_SCHEMA),
    (saying(None), OTHER_SCHEMA),
    (saying('{"variants": []}'), EMPTY),
    (saying('{"variants": ["", " "]}'), EMPTY),
    (saying(None, refusal="I cannot do that"), REFUSAL),
    (saying(GOOD, "content_filter"), REFUSAL),
    (saying('{"variants": ["a', "length"), CUT),
    (saying(GOOD, "length"), CUT),
    ({**saying(""), "choices": []}, NO_CHOICES),
    ({**saying(""), "choices": None}, NO_CHOICES),
    ({**saying(""), "choices": [{}]}, NO_COMPLETION),
    ({}, NO_COMPLETION),
    ([], NO_COMPLETION),
    (None, NO_COMPLETION),
    (b"<html>gateway error</html>", NO_COMPLETION),
    (b"", NO_COMPLETION),
    (b"\xff\xfe", NO_COMPLETION),
]


@pytest.fixture
def server(_openai_http: HTTPServer) -> WriterServer:
    _openai_http.clear()
    return WriterServer(_openai_http)


def wrong(body: object) -> Response:
    return Response(body, content_type="text/html") if isinstance(body, bytes) else as_response(body)


@pytest.mark.parametrize(("body", "kind"), WRONG)
def test_a_wrong_answer_is_asked_once_more_then_counted_and_never_stored(
    server: WriterServer, tmp_path: Path, body: object, kind: str
) -> None:
    server.fault(wrong(body), wrong(body))
    messages: list[str] = []
    writer = open_writer(server, tmp_path, messages=messages)
    assert writer.variants(bases(1)) == [None]
    assert (len(server.requests), writer.usage.failed, counted(writer)) == (2, {kind: 1}, 1)
    assert messages == [f"{MODEL}: no variants for 1 base: 1 {kind}"]
    assert writer.variants(bases(1)) == [None]  # not asked again in this run
    assert (len(server.requests), counted(writer)) == (2, 1)
    again = open_writer(server, tmp_path)
    assert again.variants(bases(1)) == [variants_of(bases(1)[0])]
    assert (again.usage.written, again.usage.known) == (1, 0)


@pytest.mark.parametrize("body", ['{"answer": ""}', '{"answer": ["a"]}', '{"answer": null}', "{}", "yes"])
def test_a_wrong_answer_to_a_question_is_none(server: WriterServer, tmp_path: Path, body: str) -> None:
    server.fault(as_response(saying(body)), as_response(saying(body)))
    writer = open_writer(server, tmp_path)
    assert writer.answers(bases(1)) == [None]
    assert sum(writer.usage.failed.values()) == 1


def test_a_good_answer_at_the_second_ask_counts_and_both_asks_are_paid(server: WriterServer, tmp_path: Path) -> None:
    server.fault(as_response(saying("hm")))
    writer = open_writer(server, tmp_path)
    assert writer.variants(bases(1)) == [variants_of(bases(1)[0])]
    assert (writer.usage.written, writer.usage.failed) == (1, {})
    assert writer.usage.prompt_tokens == 2 * PROMPT_TOKENS
    assert writer._budget.tokens == 2 * PER_ANSWER


def test_bad_bases_do_not_stop_the_others(server: WriterServer, tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> dict[str, Any]:
        number = int(asked(body)["request"].split()[-1].rstrip("?"))
        return saying(json.dumps(written(asked(body)))) if number % 3 else saying(None, refusal="no")

    server.reply = reply
    writer = open_writer(server, tmp_path)
    texts = writer.variants(bases(30))
    assert [number for number, text in enumerate(texts) if text is None] == list(range(0, 30, 3))
    assert (writer.usage.written, writer.usage.failed) == (20, {REFUSAL: 10})


@pytest.mark.parametrize("code", ["content_filter", "content_policy_violation"])
def test_a_base_that_the_servers_filter_stops_is_a_refusal(server: WriterServer, tmp_path: Path, code: str) -> None:
    body = json.dumps({"error": {"message": "filtered", "code": code}})
    server.fault(*(Response(body, 400, content_type="application/json") for _ in range(2)))
    writer = open_writer(server, tmp_path, concurrency=1)
    assert writer.variants(bases(2)) == [None, variants_of(bases(2)[1])]
    assert writer.usage.failed == {REFUSAL: 1}


def test_a_transient_fault_is_retried(server: WriterServer, tmp_path: Path) -> None:
    server.fault(error_answer(429, "slow down", SOON), error_answer(500, "oops", SOON))
    writer = open_writer(server, tmp_path)
    assert writer.variants(bases(1)) == [variants_of(bases(1)[0])]
    assert (len(server.requests), writer.usage.written, writer.usage.failed) == (3, 1, {})


def test_the_wait_that_the_server_asks_for_is_kept(server: WriterServer, tmp_path: Path) -> None:
    server.fault(error_answer(429, headers={"retry-after": "1"}))
    started = time.monotonic()
    open_writer(server, tmp_path).variants(bases(1))
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    ("status", "tries", "expected"),
    [
        (429, 3, "limits the rate or the quota is used up (HTTP 429 in up to 3 attempts): said why"),
        (500, 3, "failed (HTTP 500 in up to 3 attempts): said why"),
        (401, 1, "refused the key (HTTP 401); check OPENAI_API_KEY"),
        (403, 1, "refused the key (HTTP 403); check OPENAI_API_KEY"),
        (404, 1, "not found (HTTP 404): said why; check CACHEWARM_LLM_MODEL and OPENAI_BASE_URL"),
        (400, 1, "refused the request (HTTP 400): said why; set a CACHEWARM_LLM_MODEL"),
    ],
)
def test_a_lasting_fault_ends_the_run_and_is_reported_without_the_key(
    server: WriterServer, tmp_path: Path, status: int, tries: int, expected: str
) -> None:
    server.fault(*[error_answer(status, f"said why,\n {KEY} and sk-other-Qsecret", SOON)] * tries)
    message = refusal(open_writer(server, tmp_path))
    assert expected.replace("said why", "said why, *** and ***") in message
    assert server.url in message
    assert MODEL in message
    assert len(server.requests) == tries


def test_a_slow_server_is_reported_after_the_time_outs(server: WriterServer, tmp_path: Path) -> None:
    server.gate.clear()
    try:
        message = refusal(open_writer(server, tmp_path, timeout=0.05, max_retries=1))
    finally:
        server.gate.set()
    assert "within 0.05 s in up to 2 attempts; see CACHEWARM_LLM_TIMEOUT_SECONDS" in message


def test_an_unreachable_server_is_reported(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:Qsecret@127.0.0.1:{unused.getsockname()[1]}/v1"
        message = refusal(open_writer(url, tmp_path, max_retries=0))
    assert "cannot reach writer http://***@127.0.0.1" in message
    assert "check OPENAI_BASE_URL" in message


def test_a_fault_in_the_middle_keeps_all_that_was_finished(server: WriterServer, tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> object:
        number = int(asked(body)["request"].split()[-1].rstrip("?"))
        return error_answer(401) if number >= 21 else saying(json.dumps(written(asked(body))))

    server.reply = reply
    writer = open_writer(server, tmp_path)
    assert "refused the key" in refusal(writer, bases(60))
    assert writer.usage.written == 21
    assert writer.usage.over_cap == 0
    server.reply = lambda body: saying(json.dumps(written(asked(body))))
    server.requests.clear()
    again = open_writer(server, tmp_path)
    assert None not in again.variants(bases(60))
    assert (again.usage.known, again.usage.written, len(server.requests)) == (21, 39, 39)


def test_the_same_writer_continues_after_a_fault(server: WriterServer, tmp_path: Path) -> None:
    server.fault(error_answer(401))
    writer = open_writer(server, tmp_path)
    refusal(writer, bases(3))
    assert None not in writer.variants(bases(3))
    assert counted(writer) == 3


@pytest.mark.parametrize("usage", [None, {}, "free", {"prompt_tokens": None, "completion_tokens": 3}])
def test_a_server_that_reports_no_usage_is_charged_the_most_it_can_have_used(
    server: WriterServer, tmp_path: Path, usage: object
) -> None:
    server.reply = lambda body: {**saying(GOOD), "usage": usage}
    writer = open_writer(server, tmp_path)
    writer.variants(bases(1))
    most = variants_question(3, 0.8).most_tokens(bases(1)[0])
    assert (writer.usage.prompt_tokens, writer.usage.completion_tokens) == most
    assert server.requests[0]["max_completion_tokens"] == most[1]


def test_a_text_store_that_cannot_be_written_ends_the_run(server: WriterServer, tmp_path: Path) -> None:
    (tmp_path / "written").write_text("a file")
    with pytest.raises(DatasetError, match="written texts"):
        open_writer(server, tmp_path).variants(bases(1))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"api_key": "Qsecret\nx-injected: 1"}, "no HTTP header can carry"),
        ({"base_url": "localhost:8080"}, "is not usable"),
        ({"base_url": "http://:Qsecret@host:port"}, "is not usable"),
    ],
)
def test_an_invalid_key_or_url_is_reported_without_its_value(options: dict[str, str], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected) as caught:
        open_model("http://localhost/v1", **options)
    assert "secret" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "usage", "finish_reason", "refusal", "variants", "answer"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    body=st.one_of(
        st.binary(max_size=60),
        json_values.map(lambda value: json.dumps(value).encode()),
        json_values.map(lambda value: json.dumps(saying(json.dumps(value))).encode()),
        st.lists(st.text(max_size=9), max_size=6).map(
            lambda texts: json.dumps(saying(json.dumps({"variants": texts}))).encode()
        ),
    )
)
def test_any_answer_gives_texts_or_one_kind_of_fault(body: bytes) -> None:
    for question, most_texts in ((variants_question(3, 0.8), 3), (answer_question(), 1)):
        reply = read_reply(body, question.parse, (1, 1))
        assert (reply.value is None) == bool(reply.wrong)
        assert reply.prompt_tokens >= 0
        assert reply.completion_tokens >= 0
        if reply.value is not None:
            assert 1 <= len(reply.value) <= most_texts
            assert all(text.strip() and text.encode() for text in reply.value)
