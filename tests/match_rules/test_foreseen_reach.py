"""How far entries are foreseen to reach: from the training part alone, and by the chance of a certificate."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.match_rules.foreseen_reach import _passes, foreseen_reach
from cachewarm_pipeline.match_rules.match_model_fit import Labelled
from cachewarm_pipeline.match_rules.reach_curve import NEVER
from cachewarm_pipeline.numerics import binomial_bounds as binomial
from tests.match_rules.test_learn_rules import agent_log


def test_entries_of_a_log_with_evidence_reach_far_and_the_nearer_the_likelier() -> None:
    reach = foreseen_reach([agent_log(1, noise=0.9)], alpha=0.05, delta=0.05)["a"]
    chances = reach(np.array([0.2, 0.5, 0.8]))
    assert (np.diff(chances) > 0).all()
    assert chances[0] < 0.6 < chances[-1]


def test_where_no_certificate_is_to_be_had_an_entry_reaches_nothing_but_its_own_text() -> None:
    assert foreseen_reach([agent_log(1)], alpha=0.0001, delta=0.01)["a"] == NEVER
    few = agent_log(2, answers=4, wordings=12, entries=10)
    assert foreseen_reach([few], alpha=0.05, delta=0.05)["a"] == NEVER


def test_no_certifying_answer_is_looked_at() -> None:
    log = agent_log(1)
    others = log.data.groups.copy()
    others[log.held] = -1
    data = log.data

    def of_training(queries: np.ndarray, entries: np.ndarray) -> np.ndarray:
        assert not np.isin(queries, log.held).any()
        return np.asarray(data.groups[queries] == data.groups[entries])

    blind = replace(log, data=Labelled(data.vectors, others, data.tokens, of_training))
    assert foreseen_reach([blind], alpha=0.05, delta=0.05) == foreseen_reach([log], alpha=0.05, delta=0.05)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.floats(0.0, 0.3), st.sampled_from((0.01, 0.05)))
def test_the_chance_of_a_certificate_is_that_of_its_exact_test(hits: int, rate: float, alpha: float) -> None:
    """Summed over every number of wrong hits that passes the test."""
    chances = [binomial.cdf(w, hits, rate) - binomial.cdf(w - 1, hits, rate) for w in range(hits + 1)]
    passing = sum(c for w, c in enumerate(chances) if binomial.cdf(w, hits, alpha) <= 0.01)
    assert _passes(hits, rate, alpha, 0.01) == pytest.approx(passing, abs=1e-9)
