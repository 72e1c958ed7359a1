"""Rejected answers in the log are attributed to the entry that gave them."""

from datetime import UTC, datetime

from cachewarm_client.text import entry_id
from cachewarm_client.wrong_hit_reports import ServedAnswer

from cachewarm_pipeline.publishing.wrong_hit_attribution import RejectedAnswer, attribute_to_entries

AT = datetime(2026, 3, 4, tzinfo=UTC)


def row(query: str, response: str, *users: str, agent_type: str = "a") -> RejectedAnswer:
    return RejectedAnswer(agent_type, query, response, users, AT)


def entry(prompt: str, response: str, agent_type: str = "a") -> ServedAnswer:
    return ServedAnswer(entry_id(prompt, agent_type), agent_type, prompt, response, "query_log", "{}")


def first(query: str, able: object) -> str:
    raise AssertionError("no choice was necessary")


def test_a_rejected_answer_is_attributed_to_the_entry_of_its_own_prompt() -> None:
    entries = [entry("How to rotate a key", "one"), entry("How to rotate keys", "one")]
    rows = [row("how to  rotate A key?", "one", "u1")]
    assert attribute_to_entries(rows, entries, first) == {entries[0].entry_id: rows}


def test_a_semantic_hit_is_attributed_to_the_only_entry_with_its_answer() -> None:
    entries = [entry("rotate", "one"), entry("revoke", "two"), entry("rotate", "one", "b")]
    rows = [row("how do I rotate", "one", "u1")]
    assert attribute_to_entries(rows, entries, first) == {entries[0].entry_id: rows}


def test_among_entries_with_the_same_answer_the_nearest_gets_the_attribution() -> None:
    entries = [entry("rotate", "one"), entry("turn", "one")]
    asked = []

    def nearest(query: str, able: object) -> str:
        asked.append((query, able))
        return entries[1].entry_id

    rows = [row("turn it", "one", "u1")]
    assert attribute_to_entries(rows, entries, nearest) == {entries[1].entry_id: rows}
    assert asked == [("turn it", [one.entry_id for one in entries])]


def test_an_answer_is_not_attributed_to_an_entry_that_has_another_answer_now() -> None:
    assert attribute_to_entries([row("rotate", "old", "u1")], [entry("rotate", "new")], first) == {}
