"""LiteLLM's SpendLogs as a log: what is read, what is excluded and why, in files and on a real Postgres."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.support.log_format_data import (
    ANSWER,
    DAY,
    QUESTION,
    Row,
    Write,
    chat,
    completion,
    counted,
    is_the_one_call,
    read,
    reasons,
    spend_log,
    writer,
)
from tests.support.source_data import mined

TABLE = "LiteLLM_SpendLogs"


@pytest.fixture(params=["jsonl", "parquet", "postgres", "postgres json"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    return writer(request, tmp_path / "source")


def test_a_call_is_a_row_with_all_our_columns(write: Write) -> None:
    is_the_one_call(mined(read(write(TABLE, [spend_log()]), "litellm"), DAY))


def test_a_day_is_a_utc_day_and_the_log_reports_the_days_it_covers(write: Write) -> None:
    late = spend_log("Late?", startTime="2026-11-11T00:00:00.000", endTime="2026-11-11T00:00:01.000")
    source = read(write(TABLE, [spend_log(), late]), "litellm")
    info = source.describe(DAY.replace(day=20))
    assert (info.first_log_day, info.last_log_day) == (DAY, DAY.replace(day=11))
    assert info.log is not None
    assert info.log.name == TABLE
    assert set(info.log.columns) == {
        "query",
        "agent_type",
        "response",
        "created_at",
        "user_id",
        "cache_hit",
        "model",
        "prompt_tokens",
        "completion_tokens",
        "cost_usd",
        "latency_ms",
    }
    assert [prompt for _, prompt, *_ in counted(source)[0]] == [QUESTION]
    assert source.rejected(DAY).num_rows == 0


def test_older_versions_keep_the_prompt_in_messages(write: Write) -> None:
    rows = [spend_log("Now?"), spend_log("Never", messages=chat("Then?"), proxy_server_request={})]
    assert [prompt for _, prompt, *_ in counted(read(write(TABLE, rows), "litellm"))[0]] == ["Now?", "Then?"]


def _asked(*messages: Row) -> Row:
    return {"proxy_server_request": {"model": "fast", "messages": list(messages)}}


_PICTURE = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "https://x"}}]

PROMPTS: dict[str, tuple[Row, str | None]] = {
    "a call": ({}, None),
    "an answer that is none": ({"response": {}}, None),
    "texts switched off": ({"proxy_server_request": {}}, "text_not_recorded"),
    "no body": ({"proxy_server_request": None}, "text_not_recorded"),
    "redacted": (_asked(*chat("redacted-by-litellm")), "text_not_recorded"),
    "a secret is masked": (_asked(*chat("My key is REDACTED_BY_LITELM, why?")), "text_not_recorded"),
    "cut": (_asked(*chat("a" * 716 + "... (litellm_truncated skipped 9 chars) ...b")), "text_cut"),
    "cut by an older version": (_asked(*chat("Head (truncated 1200 chars)")), "text_cut"),
    "cut, of the system": (_asked(*chat(system="... (litellm_truncated skipped 9 chars) ...")), None),
    "two messages of a user": (_asked(*chat("And then?", {"role": "user", "content": "First"})), "multi_turn"),
    "a conversation": (
        _asked(*chat("And then?", {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"})),
        "multi_turn",
    ),
    "a result of a tool": (_asked(*chat(), {"role": "tool", "content": "42"}), "multi_turn"),
    "no system message": (_asked(*chat(system=None)), None),
    "a developer's message": (_asked({"role": "developer", "content": "Go"}, *chat()), None),
    "nobody asks": (_asked({"role": "system", "content": "Go"}), "no_text_message"),
    "a tool alone": (_asked({"role": "tool", "content": "42"}), "no_text_message"),
    "no messages": (_asked(), "no_text_message"),
    "an empty message": (_asked(*chat("")), "no_text_message"),
    "a null message": (_asked(*chat(None)), "no_text_message"),
    "no role": (_asked({"content": "Hi"}), "no_text_message"),
    "text completion": ({"proxy_server_request": {"prompt": "old style"}}, "no_text_message"),
    "a picture": (_asked(*chat(_PICTURE)), "no_text_message"),
    "an embedding": ({"call_type": "aembedding"}, "not_a_chat_call"),
    "another API": ({"call_type": "aresponses"}, "not_a_chat_call"),
    "failed": ({"status": "failure"}, "failed_call"),
    "failed, by an older version": ({"status": None, "metadata": {"status": "failure"}}, "failed_call"),
}

_TOOL = {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}]}

ANSWERS: dict[str, tuple[Row, str | None]] = {
    "text": (completion(), None),
    "JSON as text": (completion('{"risk": "low"}'), None),
    "no finish reason": (completion(finish=None), None),
    "not logged": ({}, "text_not_recorded"),
    "redacted": (completion("redacted-by-litellm"), "text_not_recorded"),
    "cut": (completion("Long ... (litellm_truncated skipped 9 chars) ... tail"), "text_cut"),
    "too few tokens": (completion("Half an ans", finish="length"), "unfinished_answer"),
    "filtered": (completion("", finish="content_filter"), "unfinished_answer"),
    "a tool call": (completion(None, "tool_calls", **_TOOL), "no_text_answer"),
    "text and a tool call": (completion("Looking.", "stop", **_TOOL), "no_text_answer"),
    "a function call": (completion(None, function_call={"name": "find"}), "no_text_answer"),
    "a refusal": (completion(None, refusal="I cannot."), "no_text_answer"),
    "no choices": ({"choices": []}, "no_text_answer"),
    "vectors": ({"object": "list", "data": [{"embedding": [0.5]}]}, "no_text_answer"),
}


def test_a_row_that_is_not_one_prompt_is_excluded_for_its_reason(write: Write) -> None:
    rows = [spend_log(request_id=name, **more) for name, (more, _) in PROMPTS.items()]
    found = reasons(write(TABLE, rows), "litellm", "request_id")
    assert {name: row for name, (row, _) in found.items()} == {name: reason for name, (_, reason) in PROMPTS.items()}


def test_an_answer_that_is_not_a_whole_text_is_excluded_for_its_reason(write: Write) -> None:
    rows = [spend_log(request_id=name, response=response) for name, (response, _) in ANSWERS.items()]
    found = reasons(write(TABLE, rows), "litellm", "request_id")
    assert found == {name: (None, reason) for name, (_, reason) in ANSWERS.items()}


def test_every_excluded_row_is_counted(write: Write) -> None:
    long, nobodys = spend_log("x" * 2001), spend_log(request_tags=[], metadata={})
    rows = [spend_log(**more) for more, _ in PROMPTS.values()]
    _, excluded = counted(read(write(TABLE, [*rows, long, nobodys]), "litellm"))
    expected = Counter(reason for _, reason in PROMPTS.values() if reason)
    # The row whose answer was not logged is not excluded, only its answer.
    assert excluded == expected + Counter(text_not_recorded=1, prompt_too_long=1, empty_agent_type=1)


@pytest.mark.parametrize(
    ("name", "answered"), [("not logged", 1), ("cut", 1), ("too few tokens", 1), ("a tool call", 2)]
)
def test_a_row_without_a_whole_text_answer_stays_demand_and_is_no_evidence(
    write: Write, name: str, answered: int
) -> None:
    """A tool call is another answer and makes the query less stable. An answer that was not logged may be the same."""
    response, reason = ANSWERS[name]
    rows, excluded = counted(read(write(TABLE, [spend_log(), spend_log(response=response)]), "litellm"))
    assert rows == [("support", QUESTION, 2, answered, [ANSWER])]
    assert excluded == {reason: 1}


def test_the_parts_of_a_message_are_joined_to_one_text(write: Write) -> None:
    parts = [{"type": "text", "text": "How do I"}, {"type": "text", "text": "log in?"}]
    rows = [spend_log(parts, response=completion([{"type": "text", "text": ANSWER}]))]
    (row,), excluded = counted(read(write(TABLE, rows), "litellm"))
    assert row == ("support", "How do I\nlog in?", 1, 1, [ANSWER])
    assert not excluded


def test_rows_served_by_litellms_own_cache_are_demand_but_no_evidence(write: Write) -> None:
    rows = [spend_log(cache_hit=value) for value in ("True", "False", "None", "", None)]
    (row,), excluded = mined(read(write(TABLE, rows), "litellm"), DAY)
    assert (row["count"], row["cache_hits"], row["answered"]) == (5, 1, 4)
    assert row["cost_usd"] == 0.25 * 4
    assert not excluded


def test_agent_type_is_the_requests_first_tag_then_its_agent_then_its_keys_alias(write: Write) -> None:
    rows = [
        spend_log("1?"),
        spend_log("2?", request_tags=[]),
        spend_log("3?", request_tags=["User-Agent: curl", "User-Agent: curl/8"]),
        spend_log("4?", request_tags=None, agent_id="a7"),
    ]
    found = {prompt: agent_type for agent_type, prompt, *_ in counted(read(write(TABLE, rows), "litellm"))[0]}
    assert found == {"1?": "support", "2?": "web shop", "3?": "web shop", "4?": "a7"}


@pytest.mark.parametrize(("theirs", "agent_type"), [("model_group", "fast"), ("metadata.team.name", "sales")])
def test_agent_type_can_be_mapped_to_another_column_or_to_a_key_in_its_json(
    write: Write, theirs: str, agent_type: str
) -> None:
    ((found, *_),), _ = counted(read(write(TABLE, [spend_log()]), "litellm", agent_type=theirs))
    assert found == agent_type


def test_texts_and_times_can_come_from_other_columns(write: Write) -> None:
    row = spend_log("Not this", metadata={"asked": "This?", "answered": "So."}, startTime="2026-11-09T12:00:00.000")
    columns = {"query": "metadata.asked", "response": "metadata.answered", "created_at": "endTime"}
    assert counted(read(write(TABLE, [row]), "litellm", **columns)) == ([("support", "This?", 1, 1, ["So."])], {})


def test_json_that_was_encoded_twice_is_decoded(write: Write) -> None:
    row = spend_log(proxy_server_request={"messages": chat()})
    twice = spend_log(proxy_server_request=json.dumps({"messages": chat()}), response=json.dumps(completion()))
    twice["proxy_server_request"] = json.dumps(twice["proxy_server_request"])
    twice["response"] = json.dumps(twice["response"])
    row["proxy_server_request"], row["response"] = json.dumps(row["proxy_server_request"]), json.dumps(row["response"])
    assert counted(read(write(TABLE, [row, twice]), "litellm")) == ([("support", QUESTION, 2, 2, [ANSWER])], {})


def test_mapped_feedback_reaches_the_rejected_answers(write: Write) -> None:
    rows = [
        spend_log(cache_hit="True", metadata={"thumb": -1, "status": "success"}),
        spend_log("Other?", cache_hit="True", metadata={"thumb": 1}),
        spend_log("Ours?", metadata={"thumb": -1}),
    ]
    source = read(write(TABLE, rows), "litellm", feedback="metadata.thumb")
    (row,) = source.rejected(DAY).to_pylist()
    assert (row["agent_type"], row["query"], row["response"], row["reports"]) == ("support", QUESTION, ANSWER, 1)
    responses = source.day_groups(DAY).responses
    assert dict(zip(*(responses[n].to_pylist() for n in ("query", "negative")), strict=True)) == {"Ours?": 1}
