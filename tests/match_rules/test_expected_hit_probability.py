"""Expected hit probabilities: from the training part alone, and by the chance of a certificate."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.match_rules.expected_hit_probability import _chance_to_pass, expected_hit_probability
from cachewarm_pipeline.match_rules.hit_probability_curve import NEVER
from cachewarm_pipeline.match_rules.match_model_fit import Labelled
from cachewarm_pipeline.numerics import binomial_bounds as binomial
from tests.match_rules.test_learn_rules import agent_log


def test_with_evidence_entries_answer_other_queries_and_nearer_ones_more_likely() -> None:
    curve = expected_hit_probability([agent_log(1, noise=0.9)], alpha=0.05, delta=0.05)["a"]
    chances = curve(np.array([0.2, 0.5, 0.8]))
    assert (np.diff(chances) > 0).all()
    assert chances[0] < 0.6 < chances[-1]


def test_where_no_certificate_is_expected_an_entry_answers_its_own_text_only() -> None:
    assert expected_hit_probability([agent_log(1)], alpha=0.0001, delta=0.01)["a"] == NEVER
    few = agent_log(2, answers=4, wordings=12, entries=10)
    assert expected_hit_probability([few], alpha=0.05, delta=0.05)["a"] == NEVER


def test_no_certifying_answer_is_read() -> None:
    log = agent_log(1)
    others = log.data.groups.copy()
    others[log.held_out] = -1
    data = log.data

    def of_training(queries: np.ndarray, entries: np.ndarray) -> np.ndarray:
        assert not np.isin(queries, log.held_out).any()
        return np.asarray(data.groups[queries] == data.groups[entries])

    blind = replace(log, data=Labelled(data.vectors, others, data.tokens, of_training))
    assert expected_hit_probability([blind], alpha=0.05, delta=0.05) == expected_hit_probability(
        [log], alpha=0.05, delta=0.05
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.floats(0.0, 0.3), st.sampled_from((0.01, 0.05)))
def test_the_chance_of_a_certificate_is_that_of_its_exact_test(hits: int, rate: float, alpha: float) -> None:
    """Expected: the sum over all numbers of wrong hits that pass the test."""
    chances = [binomial.cdf(w, hits, rate) - binomial.cdf(w - 1, hits, rate) for w in range(hits + 1)]
    passing = sum(c for w, c in enumerate(chances) if binomial.cdf(w, hits, alpha) <= 0.01)
    assert _chance_to_pass(hits, rate, alpha, 0.01) == pytest.approx(passing, abs=1e-9)
