"""The ledger of withdrawn answers: rows are only added, and it lists what plans exclude."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.freshness.withdrawn_entries import (
    active,
    add,
    empty,
    reinstate,
    reinstated,
    variants_of,
    withdrawn_answers,
)
from cachewarm_pipeline.storage.schemas import WITHDRAWN_ENTRIES

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def bad(entry_id: str = "e", response: str = "wrong", **more: Any) -> dict[str, Any]:
    row = {"agent_type": "a", "prompt": "How?", "why": "it is wrong", "reports": 2, "by": "reports"}
    return {"entry_id": entry_id, "response": response, **row, **more}


def test_added_answers_are_withdrawn_and_earlier_rows_are_kept() -> None:
    first = add(empty(), [bad()], NOW)
    table = add(first, [bad("f", by="log"), bad("g", by="person")], LATER)
    assert table.schema.equals(WITHDRAWN_ENTRIES)
    assert [(r["entry_id"], r["withdrawn_at"], r["reinstated_at"]) for r in table.to_pylist()] == [
        ("e", NOW, None),
        ("f", LATER, None),
        ("g", LATER, None),
    ]
    assert active(table) == {"e", "f", "g"}
    assert withdrawn_answers(table)["e"] == ["wrong"]
    assert withdrawn_answers(empty()) == {}


def test_the_same_withdrawal_twice_is_one_and_keeps_the_larger_number_of_reports() -> None:
    table = add(empty(), [bad(response='{"a": 1, "b": 2}')], NOW)
    again = add(table, [bad(response='{"b":2,"a":1}', reports=5)], LATER)
    assert [(r["reports"], r["withdrawn_at"]) for r in again.to_pylist()] == [(5, NOW)]
    assert add(again, [bad(response='{"a": 1, "b": 2}', reports=1)], LATER).equals(again)


def test_another_wrong_answer_of_an_entry_is_withdrawn_as_well() -> None:
    table = add(add(empty(), [bad()], NOW), [bad(response="wrong too")], LATER)
    assert withdrawn_answers(table) == {"e": ["wrong", "wrong too"]}


def test_a_reinstated_answer_may_be_warmed_again_and_withdrawn_again() -> None:
    table = reinstate(add(empty(), [bad(), bad("f")], NOW), ["e"], LATER)
    assert (active(table), reinstated(table)) == ({"f"}, {"e": LATER})
    assert set(withdrawn_answers(table)) == {"f"}
    once_more = add(table, [bad()], LATER + timedelta(hours=1))
    assert active(once_more) == {"e", "f"}
    assert [r["reinstated_at"] for r in once_more.to_pylist()] == [LATER, None, None]


def test_reinstating_an_entry_that_is_not_withdrawn_is_refused_and_names_it() -> None:
    table = add(empty(), [bad()], NOW)
    with pytest.raises(ConfigurationError, match="nothing to reinstate: x"):
        reinstate(table, ["e", "x"], LATER)


def test_prompts_and_reasons_are_stored_masked() -> None:
    (row,) = add(empty(), [bad(prompt="Ask ada.moss@corp.io", why="says ada.moss@corp.io")], NOW).to_pylist()
    assert "ada.moss" not in row["prompt"] + row["why"]


def test_a_withdrawal_by_an_unknown_party_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"entry e: by is one of reports, log, person, not 'me'"):
        add(empty(), [bad(by="me")], NOW)


def planned(entry_id: str, response: str, base: str | None = None) -> dict[str, Any]:
    return {"entry_id": entry_id, "response": response, "provenance": json.dumps({"base_id": base} if base else {})}


def test_only_variants_with_the_same_response_are_withdrawn_with_their_base() -> None:
    rows = [
        planned("base", '{"a": 1}'),
        planned("variant", '{ "a":1 }', "base"),
        planned("answered otherwise", '{"a": 2}', "base"),
        planned("of another", '{"a": 1}', "other"),
        planned("no variant", '{"a": 1}'),
        planned("of one that is not planned", '{"a": 1}', "gone"),
    ]
    assert variants_of(["base", "gone"], rows) == ["variant"]
    assert variants_of(["base", "variant"], rows) == []
    assert variants_of(["variant"], rows) == []
    assert variants_of([], rows) == []
