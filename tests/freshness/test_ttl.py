"""The TTL and the age limit at a change rate."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.freshness.ttl import age_limit, ttl_of


@given(st.floats(0, 1e3), st.floats(0.001, 0.999))
def test_within_the_bounds_a_ttl_ends_when_the_share_has_changed(high: float, share: float) -> None:
    ttl = ttl_of(high, max_stale_share=share, ttl_days=1e9, ttl_min_days=0.0)
    assert 1 - math.exp(-high * ttl) <= share + 1e-9
    assert ttl == 1e9 or 1 - math.exp(-high * ttl) == pytest.approx(share)


@given(st.floats(1e-9, 1e3), st.floats(0.1, 400), st.floats(0.1, 400))
def test_the_age_limit_is_the_ttl_where_that_is_below_its_maximum_and_longer_otherwise(
    high: float, most: float, least: float
) -> None:
    bounds = {"max_stale_share": 0.1, "ttl_days": most, "ttl_min_days": least}
    ttl, limit = ttl_of(high, **bounds), age_limit(high, **bounds)
    assert limit == ttl if ttl < most else limit >= ttl
    assert limit <= min(least, most) or -math.expm1(-high * limit) <= 0.1 + 1e-9
