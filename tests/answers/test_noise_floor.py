"""The judge's noise floor: what is counted, what it says about a wrong-hit rate, and where it is shown."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cachewarm_client.match_rules import MatchRule, MatchRules

from cachewarm_pipeline.answers.answer_pairs import query_pairs
from cachewarm_pipeline.answers.noise_floor import NoiseFloors, noise_floors, stored_noise
from cachewarm_pipeline.answers.response_choice import LoggedAnswer, Sighting
from cachewarm_pipeline.answers.volatility import find_volatility
from cachewarm_pipeline.match_rules.assets import noise_metadata as rules_noise
from cachewarm_pipeline.match_rules.rule_tables import rules_table
from cachewarm_pipeline.proof.replay_page import noise_metadata, rates_row
from cachewarm_pipeline.storage.datasets import DatasetStore
from cachewarm_pipeline.storage.schemas import JUDGE_NOISE
from tests.support.stored_rows import table

NOISE = NoiseFloors({"a": 0.12, "b": 0.04}, 0.12)


def measured(*rows: dict[str, Any]) -> pa.Table:
    return table(JUDGE_NOISE, *rows)


def test_near_pairs_below_the_label_point_are_called_different_however_likely_they_are() -> None:
    answers = [
        LoggedAnswer(text, 1, 0, 1, None, (), 1, (Sighting(day, 1, (), 1),))
        for text, day in zip("abc", (1, 1, 20), strict=True)
    ]
    probability = np.array([[1.0, 0.8, 0.1], [0.8, 1.0, 0.1], [0.1, 0.1, 1.0]])
    noise = [
        find_volatility("a", ["q"], [query_pairs(answers, probability, point)], [False])[1] for point in (0.92, 0.5)
    ]
    assert [one.near_pairs for one in noise] == [1, 1]
    assert [one.near_called_different for one in noise] == [1.0, 0.0]
    assert [one.near_disagreement for one in noise] == [pytest.approx(0.2)] * 2


def test_without_near_pairs_no_floor_is_known() -> None:
    answers = [LoggedAnswer("a", 1, 0, 1, None, (), 1, (Sighting(1, 1, ("u",), 0),))]
    _, noise = find_volatility("a", ["q"], [query_pairs(answers, np.eye(1))], [False])
    assert noise.near_called_different is None


def test_the_pooled_floor_weighs_an_agent_type_by_its_pairs_and_skips_unknown_ones() -> None:
    found = noise_floors(
        measured(
            {"agent_type": "a", "near_pairs": 30, "near_called_different": 0.2},
            {"agent_type": "b", "near_pairs": 10, "near_called_different": 0.0},
            {"agent_type": "c", "near_pairs": 0, "near_called_different": None},
        )
    )
    assert found.by_agent_type == {"a": 0.2, "b": 0.0}
    assert found.pooled == pytest.approx(0.15)


def test_the_sentence_says_how_much_of_a_rate_may_be_wording() -> None:
    known = "Of two answers to the very same prompt, given within a day, the judge calls 12% different."
    assert NOISE.sentence() == known
    assert NOISE.sentence(0.15) == f"{known} So up to about 12 points of the 15% wrong semantic hits may be wording."
    assert NOISE.sentence(0.08) == f"{known} So all of the 8% wrong semantic hits may be wording."
    assert NOISE.sentence(0.0) == known
    assert NoiseFloors().sentence(0.08) == ""


def test_a_floor_above_the_target_is_named_with_what_to_do() -> None:
    (agent_type, why), *rest = NOISE.above(0.05, "local").items()
    assert (agent_type, rest) == ("a", [])
    assert why == (
        "the judge calls 12% of reworded answers different, more than the target of 5%: set CACHEWARM_JUDGE=llm, or "
        "raise CACHEWARM_MAX_WRONG_HIT_RATE"
    )
    assert "CACHEWARM_JUDGE=llm" not in NOISE.above(0.05, "llm")["a"]


def test_a_home_without_the_dataset_shows_nothing(tmp_path: Path) -> None:
    datasets, day = DatasetStore(str(tmp_path)), date(2026, 3, 20)
    assert stored_noise(datasets, day) == NoiseFloors()
    datasets.write("judge_noise", day, measured({"agent_type": "a", "near_pairs": 4, "near_called_different": 0.5}))
    assert stored_noise(datasets, day) == NoiseFloors({"a": 0.5}, 0.5)


RATES = dict.fromkeys(
    ("lookups", "hit_rate", "cold_hit_rate", "exact_hit_rate", "semantic_hit_rate", "wrong_hit_rate"), 0.1
) | {"wrong_hit_rate_upper": 0.2, "semantic_wrong_hit_rate": 0.15}


def test_the_page_of_the_replay_shows_the_noise_beside_the_wrong_hits_or_nothing() -> None:
    assert noise_metadata(RATES, NOISE)["judge_noise"].value.endswith(
        "12 points of the 15% wrong semantic hits may be wording."
    )
    assert rates_row("a", RATES, NOISE)["judge noise"] == 0.12
    assert rates_row("new", RATES, NOISE)["judge noise"] is None
    assert noise_metadata(RATES, NoiseFloors()) == {}
    assert "judge noise" not in rates_row("a", RATES, NoiseFloors())


def test_the_page_of_match_rules_shows_the_noise_of_each_agent_type_or_nothing() -> None:
    rules = rules_table(MatchRules(MatchRule("", "exact_only"), {n: MatchRule(n, "exact_only") for n in "ab"}))
    shown = rules_noise(rules, NOISE)
    assert shown["judge_noise"].value == NOISE.sentence()
    assert [row.data["judge noise"] for row in shown["agent_types"].records] == [0.12, 0.04]
    assert rules_noise(rules, NoiseFloors()) == {}
