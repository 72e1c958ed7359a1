"""Responses that differ in a fact contradict each other; rewordings do not."""

import pytest
from hypothesis import given

from cachewarm_pipeline.answers.contradictions import facts_agree, facts_differ
from cachewarm_pipeline.answers.facts import facts
from tests.support.any_response import RESPONSES

PIPELINE = "the release pipeline keeps working as the team knows it from the last quarter"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (
            f"Deleting the branch after the merge is allowed, {PIPELINE}, so ask nobody about it beforehand.",
            f"You are not allowed to delete the branch after the merge. In other words, {PIPELINE} and before that.",
        ),
        (
            f"Audit logs stay for thirty days, {PIPELINE}, and then a nightly job removes them all at once.",
            f"Audit logs stay for ninety days, {PIPELINE}, and then a nightly job removes them all at once.",
        ),
        (
            f"Strict mode is enabled for every service, {PIPELINE}, and the proxy in front reads it at start.",
            f"Strict mode is disabled for every service, {PIPELINE}, and the proxy in front reads it at start.",
        ),
    ],
)
def test_long_answers_contradict_each_other_in_a_negation_a_number_word_or_a_state(left: str, right: str) -> None:
    assert min(len(left.split()), len(right.split())) > 25
    assert facts_differ(facts(left), facts(right))
    assert facts_differ(facts(right), facts(left))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (
            "Plan 34 days, that is priority 4 of five for us",
            "It has priority 4 of 5 and takes 34 days, which is our plan",
        ),
        (
            "Before the release, do the test with 15 people who did not build the page themselves, and write it down.",
            "Let 15 outsiders do the test before the release, and keep a record of all of their findings somewhere.",
        ),
    ],
)
def test_number_words_and_negations_without_a_counterpart_are_rewordings(left: str, right: str) -> None:
    assert facts(left).key == facts(right).key
    assert not facts_differ(facts(left), facts(right))


@given(RESPONSES, RESPONSES)
def test_facts_agree_in_both_orders_and_only_under_one_key(left: str, right: str) -> None:
    assert facts_agree(left, right) == facts_agree(right, left)
    assert facts_agree(left, left)
    if facts_agree(left, right):
        assert facts(left).key == facts(right).key
