"""The Batch API: submitted by one run, collected by a later one, half the price, and no base paid for twice."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Response

from cachewarm_pipeline.candidates.variant_writers import openai_batches as batch_module
from cachewarm_pipeline.candidates.variant_writers.openai_batches import LINE_ERROR, NO_LINE
from cachewarm_pipeline.candidates.variant_writers.openai_writer import OpenAIWriter
from cachewarm_pipeline.candidates.variant_writers.writer_question import variants_question
from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.models.chat_completion import NO_COMPLETION, OTHER_SCHEMA, REFUSAL
from tests.support.chat_server import KEY, MODEL, PROMPT_TOKENS, as_response, saying
from tests.support.openai_server import SOON, error_answer
from tests.support.writer_server import (
    PRICE,
    WriterServer,
    asked,
    bases,
    counted,
    open_writer,
    refusal,
    variants_of,
)


@pytest.fixture
def server(_openai_http: HTTPServer) -> WriterServer:
    _openai_http.clear()
    return WriterServer(_openai_http)


def opened(server: WriterServer, folder: Path, **options: Any) -> OpenAIWriter:
    """The writer of a new run."""
    server.paths.clear()
    return open_writer(server, folder, **{"batch": True, **options})


def submitted(server: WriterServer, folder: Path, n: int = 3) -> None:
    assert opened(server, folder).variants(bases(n)) == [None] * n


def records(folder: Path) -> list[Path]:
    return sorted(folder.rglob("batches/*.json"))


def test_one_run_submits_and_a_later_one_collects_at_half_the_price(server: WriterServer, tmp_path: Path) -> None:
    messages: list[str] = []
    writer = opened(server, tmp_path, messages=messages)
    assert writer.variants(bases(5)) == [None] * 5
    assert server.paths == ["POST /v1/files", "POST /v1/batches"]
    assert (writer.usage.pending, counted(writer), writer.usage.usd) == (5, 5, 0.0)
    assert f"{MODEL}: 5 bases submitted as batch_0, for $0.00 at most; a later run collects the texts" in messages

    server.finish("batch_0")
    writer = opened(server, tmp_path, messages=messages)
    assert writer.variants(bases(5)) == [variants_of(base) for base in bases(5)]
    assert server.paths == ["GET /v1/batches/batch_0", "GET /v1/files/file-output_file_id-batch_0/content"]
    assert (writer.usage.written, counted(writer)) == (5, 5)
    assert writer.usage.prompt_tokens == 5 * PROMPT_TOKENS
    assert writer.usage.usd == pytest.approx(5 * PRICE / 2)
    assert messages[-1] == f"{MODEL}: batch_0 completed; 5 of 5 bases written"
    assert records(tmp_path) == []

    writer = opened(server, tmp_path)
    assert writer.variants(bases(5)) == [variants_of(base) for base in bases(5)]
    assert server.paths == []
    assert writer.usage.known == 5


def test_the_lines_of_a_batch_are_the_requests_made_without_one(server: WriterServer, tmp_path: Path) -> None:
    submitted(server, tmp_path)
    opened(server, tmp_path / "direct", batch=False, concurrency=1).variants(bases(3))
    lines = server.lines("batch_0")
    assert [line["body"] for line in lines] == server.requests
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    assert [line["custom_id"] for line in lines] == [variants_question(3, 0.8).key(MODEL, base) for base in bases(3)]
    batch = server.batches["batch_0"]
    assert (batch["endpoint"], batch["completion_window"]) == ("/v1/chat/completions", "24h")


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing", "cancelling", "something new"])
def test_a_batch_under_way_is_asked_about_once_and_its_bases_are_not_submitted_again(
    server: WriterServer, tmp_path: Path, status: str
) -> None:
    submitted(server, tmp_path)
    server.batches["batch_0"]["status"] = status
    writer = opened(server, tmp_path)
    for _ in range(2):
        assert writer.variants(bases(3)) == [None] * 3
    assert server.paths == ["GET /v1/batches/batch_0"]
    assert (writer.usage.pending, counted(writer)) == (3, 3)


def test_new_bases_make_another_batch(server: WriterServer, tmp_path: Path) -> None:
    submitted(server, tmp_path)
    writer = opened(server, tmp_path)
    assert writer.variants(bases(5)) == [None] * 5
    assert [line["custom_id"] for line in server.lines("batch_1")] == [
        variants_question(3, 0.8).key(MODEL, base) for base in bases(5)[3:]
    ]
    assert writer.usage.pending == 5
    server.finish("batch_1")
    writer = opened(server, tmp_path)
    assert [text is None for text in writer.variants(bases(5))] == [True] * 3 + [False] * 2
    assert (writer.usage.pending, writer.usage.written) == (3, 2)


def test_a_pending_base_is_not_asked_for_by_a_run_without_batches_either(server: WriterServer, tmp_path: Path) -> None:
    submitted(server, tmp_path)
    writer = opened(server, tmp_path, batch=False)
    assert [text is None for text in writer.variants(bases(4))] == [True] * 3 + [False]
    assert server.prompts == [bases(4)[3].prompt]
    assert (writer.usage.pending, writer.usage.written) == (3, 1)


def test_answers_have_their_own_batches(server: WriterServer, tmp_path: Path) -> None:
    writer = opened(server, tmp_path)
    assert writer.variants(bases(2)) == [None] * 2
    assert writer.answers(bases(2)) == [None] * 2
    for id in server.batches:
        server.finish(id)
    writer = opened(server, tmp_path)
    assert writer.answers(bases(2)) == [f"The answer to {base.prompt}" for base in bases(2)]
    assert None not in writer.variants(bases(2))
    assert {line["body"]["temperature"] for line in server.lines("batch_1")} == {0.0}


def line_changes(wanted: str) -> dict[str, Any]:
    """What can be wrong with one line of output, by the kind that it is counted under."""

    def body(new: object) -> Any:
        return lambda line: {**line, "response": {**line["response"], "body": new}}

    return {
        "status": lambda line: {**line, "response": {"status_code": 400, "body": {"error": {"message": KEY}}}},
        "error": lambda line: {**line, "response": None, "error": {"code": "server_error", "message": KEY}},
        "nothing": lambda line: {"custom_id": line["custom_id"]},
        "schema": body(saying("no")),
        "refusal": body(saying(None, refusal="no")),
        "body": body(None),
        "absent": lambda line: None,
        "nonsense": lambda line: b"\xff{",
        "other id": lambda line: {**line, "custom_id": "another"},
    }[wanted]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("status", LINE_ERROR),
        ("error", LINE_ERROR),
        ("nothing", LINE_ERROR),
        ("schema", OTHER_SCHEMA),
        ("refusal", REFUSAL),
        ("body", NO_COMPLETION),
        ("absent", NO_LINE),
        ("nonsense", NO_LINE),
        ("other id", NO_LINE),
    ],
)
def test_a_bad_line_is_counted_and_submitted_again_only_by_the_next_run(
    server: WriterServer, tmp_path: Path, change: str, kind: str
) -> None:
    submitted(server, tmp_path)
    bad = server.lines("batch_0")[1]["custom_id"]
    changed: Any = line_changes(change)
    server.finish("batch_0", change=lambda line: changed(line) if line["custom_id"] == bad else line)
    writer = opened(server, tmp_path)
    first, second, third = bases(3)
    assert writer.variants(bases(3)) == [variants_of(first), None, variants_of(third)]
    assert (writer.usage.written, writer.usage.failed, counted(writer)) == (2, {kind: 1}, 3)
    assert "POST /v1/batches" not in server.paths
    writer = opened(server, tmp_path)
    writer.variants(bases(3))
    assert [asked(line["body"])["request"] for line in server.lines("batch_1")] == [second.prompt]
    assert (writer.usage.known, writer.usage.pending) == (2, 1)


def test_failed_lines_are_read_from_the_error_file(server: WriterServer, tmp_path: Path) -> None:
    submitted(server, tmp_path)
    bad = server.lines("batch_0")[0]["custom_id"]
    error = {"id": "b", "custom_id": bad, "response": {"status_code": 400, "body": {}}, "error": None}
    server.finish("batch_0", change=lambda line: None if line["custom_id"] == bad else line, errors=[error])
    writer = opened(server, tmp_path)
    assert [text is None for text in writer.variants(bases(3))] == [True, False, False]
    assert writer.usage.failed == {LINE_ERROR: 1}


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_bases_that_an_ended_batch_left_are_submitted_again(server: WriterServer, tmp_path: Path, status: str) -> None:
    submitted(server, tmp_path)
    done, *others = [line["custom_id"] for line in server.lines("batch_0")]
    errors = [{"custom_id": others[0], "response": None, "error": {"code": "batch_expired", "message": "late"}}]
    server.finish("batch_0", status, change=lambda line: line if line["custom_id"] == done else None, errors=errors)
    messages: list[str] = []
    writer = opened(server, tmp_path, messages=messages)
    assert writer.variants(bases(3)) == [variants_of(bases(3)[0]), None, None]
    assert messages[0] == f"{MODEL}: batch_0 {status}; 1 of 3 bases written, 2 will be asked for again"
    assert [line["custom_id"] for line in server.lines("batch_1")] == others
    assert (writer.usage.written, writer.usage.pending, writer.usage.failed) == (1, 2, {})


def test_a_failed_batch_says_why_and_is_submitted_again(server: WriterServer, tmp_path: Path) -> None:
    submitted(server, tmp_path)
    errors = {"object": "list", "data": [{"code": "token_limit_exceeded", "message": f"too much\nfor {KEY}"}]}
    server.batches["batch_0"] |= {"status": "failed", "errors": errors}
    messages: list[str] = []
    writer = opened(server, tmp_path, messages=messages)
    assert writer.variants(bases(3)) == [None] * 3
    assert messages[0] == f"{MODEL}: batch_0 failed: too much for ***; 0 of 3 bases written, 3 will be asked for again"
    assert (writer.usage.pending, list(server.batches)) == (3, ["batch_0", "batch_1"])
    assert len(records(tmp_path)) == 1


def test_a_batch_or_output_that_the_server_has_lost_is_reported_and_submitted_again(
    server: WriterServer, tmp_path: Path
) -> None:
    messages: list[str] = []
    submitted(server, tmp_path)
    del server.batches["batch_0"]
    server.batches["taken"] = {}
    opened(server, tmp_path, messages=messages).variants(bases(3))
    assert "does not know batch_0; 3 bases will be asked for again" in messages[0]
    server.finish("batch_1")
    del server.files["file-output_file_id-batch_1"]
    writer = opened(server, tmp_path, messages=messages)
    assert writer.variants(bases(3)) == [None] * 3
    assert "batch_1 has lost its output; 0 of 3 bases written, 3 will be asked for again" in messages[2]
    assert (writer.usage.pending, writer.usage.failed) == (3, {})


def test_a_run_killed_before_it_noted_the_batch_finds_it_again(server: WriterServer, tmp_path: Path) -> None:
    submitted(server, tmp_path)
    [record] = records(tmp_path)
    record.write_text(json.dumps({**json.loads(record.read_text()), "batch_id": None}))
    writer = opened(server, tmp_path)
    writer.variants(bases(3))
    assert server.paths == ["GET /v1/batches", "GET /v1/batches/batch_0"]
    assert writer.usage.pending == 3
    assert json.loads(record.read_text())["batch_id"] == "batch_0"


def test_a_run_killed_before_it_created_the_batch_submits_it_again(server: WriterServer, tmp_path: Path) -> None:
    server.fault(error_answer(401), at="POST /v1/batches")
    assert "refused the key" in refusal(opened(server, tmp_path), bases(3))
    assert len(records(tmp_path)) == 1
    writer = opened(server, tmp_path)
    writer.variants(bases(3))
    assert list(server.batches) == ["batch_0"]
    assert (writer.usage.pending, len(records(tmp_path))) == (3, 1)


def test_a_second_batch_from_a_create_that_seemed_lost_is_cancelled(server: WriterServer, tmp_path: Path) -> None:
    first = iter([True])

    class Lost(Response):
        """Says that it failed after the batch was made."""

        def __call__(self, environ: Any, start_response: Any) -> Any:
            if next(first, False):
                server.create({"metadata": {"cachewarm": records(tmp_path)[0].stem}})
            return super().__call__(environ, start_response)

    server.fault(Lost(status=500, headers=SOON), at="POST /v1/batches")
    submitted(server, tmp_path)
    assert server.batches["batch_0"]["status"] == "cancelling"
    assert server.batches["batch_1"]["status"] == "validating"


def test_a_killed_collection_is_collected_by_the_next_run(server: WriterServer, tmp_path: Path) -> None:
    submitted(server, tmp_path)
    server.finish("batch_0")
    server.fault(error_answer(401), at="GET /v1/files/file-output_file_id-batch_0/content")
    assert "refused the key" in refusal(opened(server, tmp_path), bases(3))
    assert None not in opened(server, tmp_path).variants(bases(3))


def test_transient_faults_are_retried(server: WriterServer, tmp_path: Path) -> None:
    for at in ("POST /v1/files", "POST /v1/batches", "GET /v1/batches/batch_0"):
        server.fault(error_answer(429, headers=SOON), error_answer(500, headers=SOON), at=at)
    submitted(server, tmp_path)
    server.finish("batch_0")
    assert None not in opened(server, tmp_path).variants(bases(3))


@pytest.mark.parametrize("at", ["POST /v1/files", "POST /v1/batches"])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error_answer(404), "no Batch API there (HTTP 404); check OPENAI_BASE_URL, or set CACHEWARM_LLM_BATCH=false"),
        (error_answer(401, f"{KEY}"), "refused the key (HTTP 401)"),
        (as_response({"object": "x"}), "answered with something that is no"),
        (as_response({"id": "../x"}), "answered with something that is no"),
        (Response("<html>"), "answered with something that is no"),
    ],
)
def test_a_server_without_batches_is_reported(
    server: WriterServer, tmp_path: Path, at: str, answer: Response, expected: str
) -> None:
    server.fault(answer, at=at)
    assert expected in refusal(opened(server, tmp_path), bases(3))


def test_many_bases_make_several_batches(server: WriterServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "MAX_LINES", 4)
    submitted(server, tmp_path, 10)
    assert [len(server.lines(id)) for id in server.batches] == [4, 4, 2]
    for id in server.batches:
        server.finish(id)
    assert None not in opened(server, tmp_path).variants(bases(10))
    monkeypatch.setattr(batch_module, "MAX_BYTES", 1)
    submitted(server, tmp_path / "bytes", 2)
    assert len(server.batches) == 5


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.floats(0, 0.004), max_tokens=st.one_of(st.none(), st.integers(0, 12_000)), n=st.integers(0, 12))
def test_submitted_batches_can_never_cost_more_than_the_caps(
    server: WriterServer, tmp_path: Path, limit: float, max_tokens: int | None, n: int
) -> None:
    server.batches.clear()
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    writer = opened(server, folder, limit=limit, max_tokens=max_tokens)
    writer.variants(bases(n))
    most = [variants_question(3, 0.8).most_tokens(base) for base in bases(n)[: writer.usage.pending]]
    assert sum(prompt * 0.2 + completion * 0.8 for prompt, completion in most) / 1e6 <= limit + 1e-12
    assert max_tokens is None or sum(map(sum, most)) <= max_tokens
    assert sum(len(server.lines(id)) for id in server.batches) == writer.usage.pending
    assert writer.usage.pending + writer.usage.over_cap == n == counted(writer)
    if writer.usage.over_cap:
        prompt, completion = variants_question(3, 0.8).most_tokens(bases(n)[writer.usage.pending])
        usd = (prompt * 0.2 + completion * 0.8) / 1e6
        assert not (
            writer._budget.spent + usd <= limit
            and (max_tokens is None or writer._budget.tokens + prompt + completion <= max_tokens)
        )


def test_a_submitted_batch_is_collected_even_with_a_cap_of_zero(server: WriterServer, tmp_path: Path) -> None:
    submitted(server, tmp_path)
    server.finish("batch_0")
    writer = opened(server, tmp_path, limit=0.0)
    assert None not in writer.variants(bases(3))
    assert writer._budget.spent == 0.0
    assert writer.usage.usd > 0


@pytest.mark.parametrize("damage", ["", "[]", '{"most": {"k": 1}, "batch_id": "b"}'])
def test_a_damaged_record_is_named_with_what_to_do(server: WriterServer, tmp_path: Path, damage: str) -> None:
    submitted(server, tmp_path)
    [record] = records(tmp_path)
    record.write_text(damage)
    with pytest.raises(
        DatasetError, match=r"damaged or unreadable.*delete it: its bases are submitted again"
    ) as caught:
        opened(server, tmp_path).variants(bases(3))
    assert record.name in str(caught.value)
