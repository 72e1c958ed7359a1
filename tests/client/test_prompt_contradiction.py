"""Prompts whose words contradict each other although their vectors are close."""

import pytest
from cachewarm_client.prompt_contradiction import contradiction
from cachewarm_client.words import tokens
from hypothesis import given
from hypothesis import strategies as st


def between(lookup: str, entry: str) -> str | None:
    return contradiction(tokens(lookup), tokens(entry))


@pytest.mark.parametrize(
    ("lookup", "entry"),
    [
        ("How do I move from MySQL to Postgres?", "How do I move from Postgres to MySQL?"),
        ("should i enable strict mode", "Should I not enable strict mode?"),
        ("Is it safe to disable it?", "Isn't it safe to disable it?"),
        ("Is TLS 1.2 enough?", "Is TLS 1.3 enough?"),
        ("plan for 3 services", "plan for 30 services"),
        ("What does `flush_all` do?", "What does `flush_one` do?"),
        ("call QUERY_SCORE here", "call RAW_SCORE here"),
        ("How do I call C# from Go?", "How do I call C++ from Go?"),
    ],
)
def test_a_changed_number_negation_name_or_order_contradicts(lookup: str, entry: str) -> None:
    assert between(lookup, entry) is not None
    assert between(entry, lookup) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [("before", "after"), ("increase", "decrease"), ("allow", "deny"), ("never allow", "not deny")],
)
def test_another_word_in_the_same_place_of_a_long_prompt_contradicts(one: str, other: str) -> None:
    lookup, entry = (
        f"Our team wants to {word} the connection limit on the main gateway when many new clients arrive at once"
        for word in (one, other)
    )
    assert between(lookup, entry) == between(entry, lookup) == "another word in the same place"


def test_two_negations_are_not_none() -> None:
    assert between("do not log it and do not retry", "log it and retry") == "one is negated"


def test_another_form_or_a_misspelling_of_a_word_in_a_long_prompt_does_not_contradict() -> None:
    prompt = "Our team wants to raise the connection limit on the main gateway when many new {} arrive at once"
    assert between(prompt.format("client"), prompt.format("clients")) is None
    assert between(prompt.format("credentials"), prompt.format("cedentials")) is None
    assert between("hey, quick question: " + prompt.format("clients"), prompt.format("clients") + " thanks") is None


@pytest.mark.parametrize(
    ("lookup", "entry"),
    [
        ("how do i rotate a key", "How do I rotate a key?"),
        ("HOW DO I ROTATE A KEY", "How do I rotate a key?"),
        ("hey, how do I rotate a key please", "How do I rotate a key?"),
        ("Is TLS 1.2 enough?", "is TLS 1.2 enough, really?"),
        ("Check `flush_all` for races", "check flush_all for races"),
    ],
)
def test_other_spelling_politeness_and_case_do_not_contradict(lookup: str, entry: str) -> None:
    assert between(lookup, entry) is None


@given(st.text(max_size=80))
def test_no_text_contradicts_itself(text: str) -> None:
    assert between(text, text) is None


@given(st.text(max_size=60), st.text(max_size=60))
def test_contradiction_is_symmetric(left: str, right: str) -> None:
    assert (between(left, right) is None) == (between(right, left) is None)
