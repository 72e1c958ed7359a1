"""The gate on the wrong-hit rate: what fails, what warns, and what it shows."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cachewarm_client.certificate import Certificate
from cachewarm_client.match_rules import MatchRule, MatchRules

from cachewarm_pipeline.answers.noise_floor import NoiseFloors
from cachewarm_pipeline.proof import wrong_hit_gate
from cachewarm_pipeline.storage.schemas import MATCH_EVIDENCE, REPLAY_DECISIONS

NO_REPLAY = REPLAY_DECISIONS.empty_table()
UNKNOWN = NoiseFloors()


def rules(threshold: float | None = 2.0, name: str = "a") -> MatchRules:
    if threshold is None:
        return MatchRules(MatchRule("", "exact_only"), {name: MatchRule(name, "exact_only", why="too little")})
    proof = Certificate(0.05, 0.01, 1 - threshold, 100, 0, 0.04, 300, 4)
    return MatchRules(MatchRule("", "exact_only"), {name: MatchRule(name, "distance", threshold, True, None, proof)})


def evidence(right: int, wrong: int, unjudged: int = 0, name: str = "a") -> pa.Table:
    labels = [True] * right + [False] * wrong + [None] * unjudged
    rows = [
        {
            "agent_type": name,
            "prompt": f"q{i}",
            "frequency": 1,
            "entry_id": "e",
            "entry_prompt": "p",
            "score": None,
            "right": None,
            "nearest_id": "e",
            "similarity": 0.9,
            "nearest_right": label,
        }
        for i, label in enumerate(labels)
    ]
    return pa.Table.from_pylist(rows, schema=MATCH_EVIDENCE)


def decisions(right: int, wrong: int, kind: str = "semantic", name: str = "a") -> pa.Table:
    rows = [
        {
            "agent_type": name,
            "prompt": f"asked {i}",
            "kind": kind,
            "entry_id": "e",
            "entry_prompt": "answered as",
            "score": None,
            "similarity": 0.9,
            "lookups": 1,
            "judged": 1,
            "wrong": int(i < wrong),
            "served_response": "served",
            "own_response": "its own",
        }
        for i in range(right + wrong)
    ]
    return pa.Table.from_pylist(rows, schema=REPLAY_DECISIONS)


def rate(
    own_rules: MatchRules,
    seen: pa.Table,
    replayed: pa.Table = NO_REPLAY,
    target: float = 0.05,
    noise: NoiseFloors = UNKNOWN,
) -> Any:
    judged, wrong = replayed.num_rows, sum(replayed["wrong"].to_pylist())
    found = {"wrong_hit_rate": wrong / judged, "judged_hits": judged, "wrong_hit_rate_upper": 1.0} if judged else {}
    found |= {"semantic_wrong_hit_rate": wrong / judged} if judged else {}
    return wrong_hit_gate.false_positive_rate(own_rules, seen, found, replayed, target=target, delta=0.01, noise=noise)


def test_enough_right_held_out_hits_pass_with_the_bound_in_the_sentence() -> None:
    verdict = rate(rules(), evidence(200, 1), decisions(300, 3))
    assert verdict.passed
    assert not verdict.warning
    assert "worst bound 3.26%" in verdict.sentence
    assert verdict.numbers["worst_upper_bound"] == pytest.approx(0.0326, abs=1e-4)


def test_a_bound_over_the_target_fails_however_the_rule_was_made() -> None:
    assert not rate(rules(), evidence(200, 6)).passed
    assert not rate(rules(), evidence(200, 1), target=0.01).passed  # certified for 5%, but the target is 1%
    assert not rate(rules(), evidence(80, 0)).passed  # certification needs 90
    assert rate(rules(), evidence(90, 0)).passed


def test_a_failing_certificate_shows_its_wrong_held_out_hits() -> None:
    verdict = rate(rules(), evidence(200, 6))
    assert len(verdict.worst) == 6
    assert {row["kind"] for row in verdict.worst} == {"held out"}
    assert verdict.worst[0]["asked"] == "q200"


def test_held_out_hits_that_were_never_judged_fail() -> None:
    verdict = rate(rules(), evidence(200, 0, unjudged=1))
    assert not verdict.passed
    assert "1 of 201 held-out hits was never judged" in verdict.sentence


def test_a_replay_that_contradicts_the_certificate_beyond_chance_fails_and_shows_the_worst() -> None:
    verdict = rate(rules(), evidence(200, 0), decisions(90, 12))
    assert not verdict.passed
    assert "11.8% of its replayed semantic hits" in verdict.sentence
    assert verdict.worst[0]["right_answer"] == "its own"


@pytest.mark.parametrize("wrong", [3, 12])
def test_the_judges_noise_is_shown_and_loosens_no_gate(wrong: int) -> None:
    plain = rate(rules(), evidence(200, 0), decisions(90, wrong))
    noisy = rate(rules(), evidence(200, 0), decisions(90, wrong), noise=NoiseFloors({"a": 0.5}, 0.5))
    assert noisy.passed == plain.passed == (wrong == 3)
    assert (noisy.withheld, noisy.warning) == (plain.withheld, plain.warning)
    assert noisy.sentence.startswith(plain.sentence)
    assert "the judge calls 50% different. So all of the" in noisy.sentence
    assert noisy.numbers == {**plain.numbers, "judge_noise": 0.5}
    assert {row["judge noise"] for row in noisy.worst} == {0.5}


def test_a_suspect_replay_withholds_the_agent_type_and_warns() -> None:
    verdict = rate(rules(), evidence(200, 0), decisions(92, 9))
    assert verdict.passed
    assert verdict.warning
    assert set(verdict.withheld) == {"a"}


def test_a_replay_just_over_the_target_by_chance_neither_blocks_nor_withholds() -> None:
    verdict = rate(rules(), evidence(200, 0), decisions(94, 6))
    assert verdict.passed
    assert not verdict.withheld


def test_too_little_evidence_passes_with_a_warning_that_names_the_agent_types() -> None:
    verdict = rate(rules(None), evidence(5, 0))
    assert verdict.passed
    assert verdict.warning
    assert "so exact hits only: a" in verdict.sentence


def test_exact_hits_that_are_wrong_beyond_chance_fail_too() -> None:
    verdict = rate(rules(None), evidence(0, 0), decisions(180, 20, kind="exact"))
    assert not verdict.passed
    assert "10.00% of all replayed hits were wrong" in verdict.sentence


def test_the_chance_of_a_replay_counts_distinct_queries_not_their_repeats() -> None:
    once = decisions(9, 1)
    at = once.schema.get_field_index("judged")
    often = once.set_column(at, once.schema.field(at), pa.array([100] * 10))
    at = once.schema.get_field_index("wrong")
    often = often.set_column(at, once.schema.field(at), pa.array([100] + [0] * 9))
    assert wrong_hit_gate._chance(once, 0.05) == pytest.approx(wrong_hit_gate._chance(often, 0.05))
    assert np.isclose(wrong_hit_gate._chance(once, 0.05), 1 - 0.95**10)
