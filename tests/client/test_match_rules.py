"""Match rules as data: a reader decides by what was published, and refuses what it does not know."""

import json
import math
from dataclasses import replace

import pytest
from cachewarm_client.certificate import Certificate
from cachewarm_client.match_features import FEATURES, VERSION
from cachewarm_client.match_model import MatchModel
from cachewarm_client.match_rules import NEIGHBOURS, MatchRule, MatchRules, near_enough, neighbours_needed
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.errors import CacheError
from tests.support.cache_fakes import distance_rules

thresholds = st.floats(0, 2)
names = st.text(min_size=1, max_size=20)
certificates = st.builds(
    Certificate,
    alpha=st.just(0.05),
    delta=st.just(0.01),
    threshold=st.floats(-30, 30),
    hits=st.integers(0, 10**6),
    wrong=st.integers(0, 100),
    upper=st.floats(0, 1),
    queries=st.integers(0, 10**6),
    tested=st.integers(0, 50),
)
models = st.builds(
    MatchModel,
    version=st.just(VERSION),
    intercept=st.floats(-9, 9),
    weights=st.tuples(*[st.floats(-9, 9)] * len(FEATURES)),
    penalty=st.just(1.0),
)
distances = st.none() | thresholds
rules = st.one_of(
    st.builds(lambda n, d, c: MatchRule(n, "distance", d, True, None, c, c), names, thresholds, certificates),
    st.builds(lambda n, d, m, c: MatchRule(n, "learned", d, True, m, c), names, distances, models, certificates),
    st.builds(lambda n, why: MatchRule(n, "exact_only", why=why), names, st.text(max_size=20)),
)


@given(default=thresholds, others=st.lists(rules, max_size=5), words=st.dictionaries(names, st.floats(-9, 9)))
def test_rules_come_back_from_json_as_they_were(
    default: float, others: list[MatchRule], words: dict[str, float]
) -> None:
    own = {rule.agent_type: rule for rule in others}
    published = replace(distance_rules(default), rules=own, words=words)
    assert MatchRules.from_json(published.to_json()) == published


def distance_rule(threshold: float) -> MatchRule:
    return distance_rules(threshold).for_agent_type("a")


@given(threshold=thresholds, distance=st.floats(0, 2))
def test_a_distance_rule_serves_up_to_its_threshold_and_no_further(threshold: float, distance: float) -> None:
    assert near_enough(distance_rule(threshold), distance) is (distance <= threshold)


def test_the_threshold_itself_is_served() -> None:
    assert near_enough(distance_rule(0.03), 0.03)
    assert not near_enough(distance_rule(0.03), math.nextafter(0.03, 1))


def test_a_distance_that_is_not_a_number_is_never_served() -> None:
    assert not near_enough(distance_rule(2.0), math.nan)


def test_exact_only_serves_no_neighbour_and_needs_none() -> None:
    rule = MatchRule("a", "exact_only")
    assert not near_enough(rule, 0.0)
    assert neighbours_needed(rule, 3) == 0
    assert neighbours_needed(distance_rule(0.5), 3) == NEIGHBOURS
    assert neighbours_needed(distance_rule(0.5), 30) == 30


def test_an_agent_type_without_a_rule_gets_the_default_rule_under_its_name() -> None:
    strict = MatchRule("b", "exact_only")
    published = replace(distance_rules(0.1), rules={"b": strict})
    assert published.for_agent_type("a") == replace(published.default, agent_type="a")
    assert published.for_agent_type("b") is strict
    assert [row["agent_type"] for row in published.describe()] == ["b", "*"]


def published_json(**changes: object) -> str:
    return json.dumps({**distance_rules(0.1).as_dict(), **changes})


@pytest.mark.parametrize("version", [1, 3])
def test_an_older_and_a_newer_version_are_refused_with_the_advice_to_upgrade_or_warm_again(version: int) -> None:
    with pytest.raises(CacheError, match=rf"version {version}.*upgrade cachewarm-client .* warm the cache again"):
        MatchRules.from_json(published_json(version=version))


def test_an_unknown_rule_is_refused_with_the_advice_to_upgrade() -> None:
    row = {"agent_type": "a", "rule": "guessed", "distance_threshold": 0.1}
    with pytest.raises(CacheError, match=r"'a'.*'guessed'.*upgrade cachewarm-client"):
        MatchRules.from_json(published_json(rules=[row]))


@pytest.mark.parametrize(
    "default",
    [
        {"agent_type": "", "rule": "distance", "distance_threshold": 0.03, "certified": False},
        {"agent_type": "", "rule": "exact_only", "distance_threshold": 0.03},
    ],
)
def test_an_uncertified_distance_is_refused(default: dict[str, object]) -> None:
    with pytest.raises(CacheError, match="'exact_only' has"):
        MatchRules.from_json(published_json(default=default))


@given(rules)
def test_a_withheld_agent_type_serves_exact_hits_only_and_gives_the_reason(rule: MatchRule) -> None:
    published = MatchRules(MatchRule("", "exact_only"), {rule.agent_type: rule, "other": rule})
    kept = published.withhold({rule.agent_type: "looked suspect"})
    withheld = kept.for_agent_type(rule.agent_type)
    assert (withheld.rule, withheld.why, withheld.distance_threshold) == ("exact_only", "looked suspect", None)
    assert neighbours_needed(withheld, 1) == 0
    if rule.agent_type != "other":
        assert kept.for_agent_type("other") == rule


def test_fields_that_a_newer_writer_adds_are_ignored() -> None:
    default = {**distance_rules(0.1).as_dict()["default"], "note": "new"}
    assert MatchRules.from_json(published_json(default=default, author="x")) == distance_rules(0.1)


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
