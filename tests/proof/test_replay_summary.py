"""What a replay's days add up to: the report's keys, and intervals that cover as often as they claim."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.certificate_simulation import allowed_breaks
from cachewarm_pipeline.numerics.binomial_bounds import effective_bounds, lower_bound, upper_bound
from cachewarm_pipeline.proof.replay_summary import lift_interval, summarise_replay
from cachewarm_pipeline.storage.schemas import REPLAY, REPLAY_DECISIONS, conform

FIRST = date(2026, 3, 1)
KEYS = [
    *("lookups", "hit_rate", "exact_hit_rate", "semantic_hit_rate", "distance_rule_hit_rate", "cold_hit_rate"),
    *("lift", "lift_interval", "hits", "judged_hits", "wrong_hits"),
    *("wrong_hit_rate", "wrong_hit_rate_upper", "wrong_hit_rate_lower"),
    *("semantic_judged_hits", "semantic_wrong_hits"),
    *("semantic_wrong_hit_rate", "semantic_wrong_hit_rate_upper", "semantic_wrong_hit_rate_lower"),
]


def day(agent_type: str, number: int, **counts: int) -> dict[str, Any]:
    zeros = dict.fromkeys(REPLAY.names[2:], 0)
    return {"agent_type": agent_type, "date": FIRST + timedelta(days=number), **zeros, **counts}


def decision(agent_type: str, prompt: str, kind: str, lookups: int, judged: int, wrong: int) -> dict[str, Any]:
    return {
        "agent_type": agent_type,
        "prompt": prompt,
        "kind": kind,
        "entry_id": "e",
        "entry_prompt": "p",
        "score": None if kind == "exact" else 1.5,
        "similarity": 0.9,
        "lookups": lookups,
        "judged": judged,
        "wrong": wrong,
        "served_response": "r",
        "own_response": None,
    }


def tables(rows: list[dict[str, Any]], decisions: list[dict[str, Any]]) -> tuple[pa.Table, pa.Table]:
    return (
        conform("replay", pa.Table.from_pylist(rows, schema=REPLAY)),
        conform("replay_decisions", pa.Table.from_pylist(decisions, schema=REPLAY_DECISIONS)),
    )


EXAMPLE = tables(
    [
        day("a", 0, lookups=10, cold_hits=2, warmed_hits=6, exact_hits=3, semantic_hits=2, own_hits=1, distance_hits=4)
        | {"exact_judged": 2, "semantic_judged": 2, "semantic_wrong": 1},
        day("a", 1, lookups=10, cold_hits=4, warmed_hits=7, exact_hits=5, own_hits=2, distance_hits=5),
        day("b", 0, lookups=20, cold_hits=10, warmed_hits=12, semantic_hits=8, own_hits=4)
        | {"semantic_judged": 8, "semantic_wrong": 1},
    ],
    [
        decision("a", "one", "exact", 8, 2, 0),
        decision("a", "two", "semantic", 2, 2, 1),
        decision("a", "far", "miss", 4, 4, 4),
        decision("b", "two", "semantic", 5, 5, 1),
        decision("b", "six", "semantic", 3, 3, 0),
    ],
)


def test_the_summary_has_the_reports_keys_of_all_and_of_each_agent_type() -> None:
    found = summarise_replay(*EXAMPLE, delta=0.05, seed=0)
    assert list(found) == [*KEYS, "agent_types"]
    assert list(found["agent_types"]) == ["a", "b"]
    assert all(list(part) == KEYS for part in found["agent_types"].values())


def test_an_example_by_hand() -> None:
    found = summarise_replay(*EXAMPLE, delta=0.05, seed=0)
    values = {key: found[key] for key in KEYS if "interval" not in key and not key.endswith(("upper", "lower"))}
    assert values == {
        "lookups": 40,
        "hit_rate": 25 / 40,
        "exact_hit_rate": 8 / 40,
        "semantic_hit_rate": 10 / 40,
        "distance_rule_hit_rate": 9 / 40,
        "cold_hit_rate": 16 / 40,
        "lift": 9 / 40,
        "hits": 18,
        "judged_hits": 12,
        "wrong_hits": 2,
        "wrong_hit_rate": 2 / 12,
        "semantic_judged_hits": 10,
        "semantic_wrong_hits": 2,
        "semantic_wrong_hit_rate": 2 / 10,
    }
    assert found["lift"] == pytest.approx(found["hit_rate"] - found["cold_hit_rate"])
    # A miss that came near is no hit: its four wrong answers count nowhere.
    bounds = effective_bounds([2, 2, 5, 3], [0, 1, 1, 0], 0.05)
    assert (found["wrong_hit_rate_lower"], found["wrong_hit_rate_upper"]) == bounds
    only = found["agent_types"]["b"]
    assert (only["semantic_wrong_hit_rate_lower"], only["semantic_wrong_hit_rate_upper"]) == effective_bounds(
        [5, 3], [1, 0], 0.05
    )
    # Two days of all: (6 - 2 + 12 - 10) / 30 and (7 - 4) / 10.
    assert found["lift_interval"] == lift_interval([6, 3], [30, 10], 0)
    assert only["lift_interval"] is None


def test_without_lookups_and_judged_answers_rates_are_null_and_bounds_are_trivial() -> None:
    found = summarise_replay(*tables([day("a", 0), day("a", 1)], []), delta=0.05, seed=0)
    nothing = {key for key in KEYS if found[key] is None}
    assert nothing == {key for key in KEYS if key.endswith("rate")} | {"lift", "lift_interval"}
    assert (found["wrong_hit_rate_lower"], found["wrong_hit_rate_upper"]) == (0.0, 1.0)


def test_rows_and_decisions_of_two_replays_are_refused() -> None:
    rows, decisions = EXAMPLE
    with pytest.raises(ValueError, match="exact hits 8 in rows, 0 in decisions"):
        summarise_replay(rows, decisions.slice(1), delta=0.05, seed=0)
    with pytest.raises(ValueError, match=r"\['b'\] have decisions but no rows"):
        summarise_replay(rows.slice(0, 2), decisions, delta=0.05, seed=0)


@pytest.mark.parametrize(("days", "least"), [(2, 0.90), (7, 0.90), (14, 0.92)])
def test_the_lift_interval_covers_a_known_lift(days: int, least: float) -> None:
    rng = np.random.default_rng(days)
    trials, covered = 300, 0
    for _ in range(trials):
        lookups = np.exp(rng.normal(6, 0.4, days)).astype(int)
        gain = (lookups * (0.2 + 0.05 * rng.standard_normal(days))).round().astype(int)
        interval = lift_interval(gain.tolist(), lookups.tolist(), seed=0)
        assert interval is not None
        covered += interval[0] <= 0.2 <= interval[1]
    assert covered / trials >= least


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8), st.integers(0, 3))
def test_a_lift_interval_contains_its_estimate_and_needs_two_days_with_lookups(
    days: list[tuple[int, int]], seed: int
) -> None:
    gain, lookups = [min(g, n) for g, n in days], [n for _, n in days]
    found = lift_interval(gain, lookups, seed)
    if sum(n > 0 for n in lookups) < 2:
        assert found is None
    else:
        assert found is not None
        assert -1 <= found[0] <= found[1] <= 1
        assert found[0] - 1e-9 <= sum(gain) / sum(lookups) <= found[1] + 1e-9
        assert found == lift_interval(gain, lookups, seed)


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 9), st.sampled_from([0.01, 0.05]))
def test_bounds_of_equal_weights_are_those_of_as_many_single_trials(
    wrong: list[bool], weight: int, delta: float
) -> None:
    n, bad = len(wrong), sum(wrong)
    found = effective_bounds([weight] * n, [weight * w for w in wrong], delta)
    assert found == (lower_bound(bad, n, delta), upper_bound(bad, n, delta) if n else 1.0)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=30))
def test_repeats_of_one_query_never_tighten_the_bounds(queries: list[tuple[int, int]]) -> None:
    weights, wrong = [w for w, _ in queries], [min(w, x) for w, x in queries]
    lower, upper = effective_bounds(weights, wrong, 0.05)
    if sum(weights):
        assert lower <= sum(wrong) / sum(weights) <= upper
        assert upper >= upper_bound(sum(wrong), sum(weights), 0.05) - 1e-12
        assert lower <= lower_bound(sum(wrong), sum(weights), 0.05) + 1e-12


@pytest.mark.parametrize("spread", [0.0, 1.0, 1.5])
@pytest.mark.parametrize("rate", [0.02, 0.3])
@pytest.mark.parametrize("together", [True, False])
def test_the_effective_bounds_miss_the_true_rate_no_more_often_than_claimed(
    spread: float, rate: float, together: bool
) -> None:
    """Weights from equal to a few that hold most; a query's answers right or wrong together, or each by itself."""
    rng = np.random.default_rng(11)
    trials, delta = 300, 0.05
    below = above = naive = 0
    for _ in range(trials):
        weights = np.exp(spread * rng.standard_normal(150)).round().astype(int).clip(1)
        wrong = weights * (rng.random(150) < rate) if together else rng.binomial(weights, rate)
        lower, upper = effective_bounds(weights.tolist(), wrong.tolist(), delta)
        below += upper < rate
        above += lower > rate
        naive += upper_bound(int(wrong.sum()), int(weights.sum()), delta) < rate
    allowed = allowed_breaks(trials, delta)
    assert below <= allowed
    assert above <= allowed
    if together and spread == 1.5:
        assert naive > allowed  # counting every repeat as a trial breaks the promise


def test_effective_bounds_refuse_more_wrong_than_judged() -> None:
    for weights, wrong in (([1], [2]), ([1], [-1]), ([1, 2], [1])):
        with pytest.raises(ValueError, match="0 <= wrong <= weight"):
            effective_bounds(weights, wrong, 0.05)
