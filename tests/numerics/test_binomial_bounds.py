"""Bounds for trials at the edges, and when scipy is loaded. Published values are in match_rules/test_certification."""

import subprocess
import sys

import pytest

from cachewarm_pipeline.numerics.binomial_bounds import cdf, lower_bound, upper_bound


def test_without_trials_nothing_is_known() -> None:
    assert (lower_bound(0, 0, 0.05), upper_bound(0, 0, 0.05)) == (0.0, 1.0)
    assert (cdf(-1, 0, 0.5), cdf(0, 0, 0.5)) == (0.0, 1.0)


def test_at_the_edges_a_bound_has_its_closed_form() -> None:
    assert upper_bound(0, 59, 0.05) == pytest.approx(1 - 0.05 ** (1 / 59))
    assert lower_bound(59, 59, 0.05) == pytest.approx(0.05 ** (1 / 59))
    assert (lower_bound(0, 59, 0.05), upper_bound(59, 59, 0.05)) == (0.0, 1.0)
    assert [cdf(3, 9, rate) for rate in (0.0, 1.0)] == [1.0, 0.0]


def test_a_rate_or_a_confidence_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="at rate 2"):
        cdf(1, 9, 2.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        upper_bound(1, 9, 1.0)


def test_scipy_is_loaded_only_where_a_bound_is_computed() -> None:
    code = "import sys, cachewarm_pipeline.numerics.binomial_bounds; print('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
