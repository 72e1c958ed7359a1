"""Match rules as data: what is published is what a reader decides by, and what it does not know it refuses."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.core.errors import CacheError
from cachewarm_pipeline.core.match import NEIGHBOURS, MatchRule, MatchRules, decide, neighbours

thresholds = st.floats(0, 2)
counts = st.none() | st.integers(0, 10**9)
rules = st.builds(
    MatchRule,
    agent_type=st.text(min_size=1, max_size=20),
    rule=st.sampled_from(["distance", "exact_only"]),
    distance_threshold=thresholds,
    certified=st.booleans(),
    threshold=st.none() | thresholds,
    hits=counts,
    wrong_hits=counts,
    upper=st.none() | st.floats(0, 1),
)


@given(default=thresholds, others=st.lists(rules, max_size=5))
def test_rules_come_back_from_json_as_they_were(default: float, others: list[MatchRule]) -> None:
    published = MatchRules(MatchRule("", "distance", default), {rule.agent_type: rule for rule in others})
    assert MatchRules.from_json(published.to_json()) == published


@given(threshold=thresholds, distance=st.floats(0, 2))
def test_a_distance_rule_serves_up_to_its_threshold_and_no_further(threshold: float, distance: float) -> None:
    assert decide(MatchRule("a", "distance", threshold), distance) is (distance <= threshold)


def test_the_threshold_itself_is_served() -> None:
    assert decide(MatchRule("a", "distance", 0.03), 0.03)
    assert not decide(MatchRule("a", "distance", 0.03), math.nextafter(0.03, 1))


def test_a_distance_that_is_no_number_is_never_served() -> None:
    assert not decide(MatchRule("a", "distance", 2.0), math.nan)


def test_exact_only_serves_no_neighbour_and_asks_for_none() -> None:
    rule = MatchRule("a", "exact_only", 0.5)
    assert not decide(rule, 0.0)
    assert neighbours(rule, 3) == 0
    assert neighbours(MatchRule("a", "distance", 0.5), 3) == NEIGHBOURS
    assert neighbours(MatchRule("a", "distance", 0.5), 30) == 30


def test_an_agent_type_without_a_rule_of_its_own_gets_the_default_under_its_name() -> None:
    strict = MatchRule("b", "exact_only")
    published = MatchRules(MatchRule("", "distance", 0.1), {"b": strict})
    assert published.for_agent_type("a") == MatchRule("a", "distance", 0.1)
    assert published.for_agent_type("b") is strict
    assert [row["agent_type"] for row in published.describe()] == ["b", "*"]


def published_json(**changes: object) -> str:
    return json.dumps({**MatchRules.uniform(0.1).as_dict(), **changes})


def test_a_newer_version_is_refused_with_the_advice_to_upgrade() -> None:
    with pytest.raises(CacheError, match=r"version 2.*upgrade cachewarm-pipeline"):
        MatchRules.from_json(published_json(version=2))


def test_an_unknown_rule_is_refused_with_the_advice_to_upgrade() -> None:
    row = {"agent_type": "a", "rule": "learned", "distance_threshold": 0.1}
    with pytest.raises(CacheError, match=r"'learned'.*'a'.*upgrade cachewarm-pipeline"):
        MatchRules.from_json(published_json(rules=[row]))


def test_fields_that_a_newer_writer_adds_are_ignored() -> None:
    default = {**MatchRules.uniform(0.1).as_dict()["default"], "note": "new"}
    assert MatchRules.from_json(published_json(default=default, author="x")) == MatchRules.uniform(0.1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        published_json(rules=None),
        published_json(rules=[3]),
        published_json(default={"agent_type": "", "rule": "distance", "distance_threshold": "near"}),
        published_json(default={"agent_type": "", "rule": "distance", "distance_threshold": 2.5}),
        published_json(default={"agent_type": "", "rule": "distance", "distance_threshold": float("nan")}),
        published_json(default={"agent_type": "", "rule": "distance"}),
        published_json(version="one"),
    ],
)
def test_damaged_rules_are_an_error_and_not_a_guess(text: str) -> None:
    with pytest.raises(CacheError):
        MatchRules.from_json(text)
