"""The curve of precision against hit rate: each point is what its threshold serves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.proof.precision_curve import CURVE_POINTS, precision_curve


def test_a_curve_by_hand() -> None:
    score = np.array([0.5, 2.0, 1.0, 1.0, np.nan, -np.inf, 3.0])
    right = np.array([1.0, 4.0, 2.0, 0.0, 9.0, 9.0, 0.0])
    wrong = np.array([2.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    found = precision_curve(score, right, wrong, 20)
    assert found.threshold.tolist() == [2.0, 1.0, 0.5]
    assert found.hit_rate.tolist() == [4 / 20, 7 / 20, 10 / 20]
    assert found.precision.tolist() == [4 / 4, 6 / 7, 7 / 10]


@given(st.integers(0, 900), st.integers(1, 400), st.integers(0, 5))
def test_every_point_of_a_curve_is_what_its_threshold_serves(queries: int, levels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, levels, queries) / 7
    right, wrong = (rng.integers(0, 4, queries).astype(float) for _ in range(2))
    found = precision_curve(score, right, wrong, 10_000)
    assert len(found.threshold) <= CURVE_POINTS
    assert (np.diff(found.threshold) < 0).all()
    for threshold, hit_rate, precision in zip(found.threshold, found.hit_rate, found.precision, strict=True):
        served = score >= threshold
        hits = (right + wrong)[served].sum()
        assert hit_rate == pytest.approx(hits / 10_000)
        assert precision == pytest.approx(right[served].sum() / hits)
    if (right + wrong).any():
        assert found.threshold[0] == score[right + wrong > 0].max()
        assert found.threshold[-1] == score[right + wrong > 0].min()
        assert found.hit_rate[-1] == pytest.approx((right + wrong).sum() / 10_000)
    else:
        assert len(found.threshold) == 0
