"""The figures of a return: from a replay, from the lift over the holdout, and from costs."""

import math
from datetime import date

import pyarrow as pa
import pytest

from cachewarm_pipeline.measurement.lift import ArmCount, Estimate, impact
from cachewarm_pipeline.measurement.net_return.return_inputs import call_costs, share_out
from cachewarm_pipeline.measurement.net_return.return_parts import (
    expected_extra_hits_value,
    expected_figures,
    measured_extra_hits,
    measured_extra_hits_value,
)
from cachewarm_pipeline.measurement.net_return.returns import AgentTypeFigures, returns


def measured() -> list[ArmCount]:
    counts = []
    for name, warmed, holdout in (("a", 600, 200), ("b", 450, 400)):
        for slot in ("20260301", "20260302"):
            for bucket in range(16):
                noise = (bucket * 7 if name == "a" else bucket // 3) % 5 * 10
                counts.append(ArmCount("warmed", slot, name, warmed + noise, 1000, bucket))
                counts.append(ArmCount("holdout", slot, name, (holdout + 3 * noise) // 10, 100, bucket))
    return [*counts, ArmCount("warmed", "20260301", "unheld", 1, 2, 3)]


def test_measured_extra_hits_are_the_lift_times_the_warmed_arms_lookups_a_day() -> None:
    found = impact(measured())
    hits = measured_extra_hits(found)
    lift = found.agent_types["a"].lift
    assert lift is not None
    assert hits["a"] is not None
    assert hits["a"].value == pytest.approx(lift * 16_000)
    assert hits["a"].low == pytest.approx((found.agent_types["a"].low or 0) * 16_000)
    assert hits["unheld"] is None


def test_the_total_has_the_interval_of_the_sum_not_the_sum_of_the_intervals() -> None:
    found = impact([count for count in measured() if count.agent_type != "unheld"])
    hits = measured_extra_hits(found)
    parts = [
        AgentTypeFigures(name, hits[name], 5_000.0, Estimate(0.01, 0.005, 0.02), usd)
        for name, usd in (("a", 0.03), ("b", 0.10))
    ]
    carried, added = returns(parts, 0.5, measured_extra_hits_value(found)).total, returns(parts, 0.5).total
    for name in ("extra_hits", "saved_usd", "savings_usd"):
        one, other = getattr(carried, name), getattr(added, name)
        assert one.value == pytest.approx(other.value)
        assert other.low - 1e-6 <= one.low < one.value < one.high <= other.high + 1e-6
    gross = found.weighted({"a": 0.03 * 16_000, "b": 0.10 * 16_000})
    assert gross is not None
    assert gross.low is not None
    assert carried.saved_usd is not None
    assert carried.saved_usd.low == pytest.approx(gross.low - 100.0 * 0.13)


REPLAY = {
    "lookups": 7_000,
    "lift": 0.2,
    "lift_interval": [0.1, 0.3],
    "hits": 3_500,
    "wrong_hit_rate": 0.02,
    "wrong_hit_rate_lower": 0.01,
    "wrong_hit_rate_upper": 0.04,
}


def test_the_figures_expected_by_a_replay_are_of_one_day() -> None:
    part = expected_figures("a", REPLAY, 7, 0.03, running_usd=1.0, warming_usd=2.0)
    assert part.extra_hits == pytest.approx((200.0, 100.0, 300.0))
    assert (part.served_hits, part.wrong) == (500.0, Estimate(0.02, 0.01, 0.04))
    assert (part.call_usd, part.running_usd, part.warming_usd, part.why) == (0.03, 1.0, 2.0, "")
    assert returns([part], 1.0).total.savings_usd == pytest.approx((196 * 0.03 - 5, 80 * 0.03 - 21, 299 * 0.03 - 2))


def test_a_replay_without_lookups_or_judged_hits_expects_nothing_and_gives_the_reason() -> None:
    nothing = expected_figures("a", REPLAY | {"lift": None, "lift_interval": None, "hits": 0}, 7, 0.03)
    assert (nothing.extra_hits, nothing.why) == (None, "no lookups were held out")
    unjudged = expected_figures("a", REPLAY | {"wrong_hit_rate": None, "lift_interval": None}, 7, 0.03)
    assert unjudged.extra_hits == (pytest.approx(200.0), None, None)
    assert returns([unjudged], 1.0).parts[0].why == "no hit was judged"


def test_an_interval_that_misses_its_estimate_is_widened_to_it() -> None:
    part = expected_figures("a", REPLAY | {"lift_interval": [0.21, 0.3]}, 7, 0.03)
    assert part.extra_hits == pytest.approx((200.0, 200.0, 300.0))
    assert returns([part], 1.0).total.savings_usd is not None


def test_the_cost_of_a_call_is_the_mean_of_the_logs_costed_calls_or_none() -> None:
    log = pa.table(
        {
            "agent_type": ["b", "a", "a", "a", "free", "odd"],
            "cost_usd": [0.0, 0.30, 0.10, math.nan, 0.0, -1.0],
            "costed": [0, 9, 1, 5, 4, 2],
        }
    )
    assert call_costs(log) == {"a": pytest.approx(0.04), "b": None, "free": 0.0, "odd": None}


def test_the_shares_of_a_common_cost_add_up_to_it() -> None:
    assert share_out(3.0, {"a": 1, "b": 2}) == {"a": pytest.approx(1.0), "b": pytest.approx(2.0)}
    assert share_out(3.0, {"a": 0, "b": 0}) == {"a": 1.5, "b": 1.5}
    assert share_out(3.0, {}) == {}


def test_a_replay_of_no_days_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' has 0 held-out days"):
        expected_figures("a", REPLAY, 0, 1.0)


def test_the_interval_of_the_expected_value_is_over_sums_of_days() -> None:
    rows = [
        {"agent_type": name, "date": date(2026, 3, day), "lookups": 100, "cold_hits": 10, "warmed_hits": 10 + gain}
        for day in range(1, 8)
        for name, gain in (("a", 20 + (-1) ** day * 10), ("b", 20 - (-1) ** day * 10))
    ]
    combine = expected_extra_hits_value(pa.Table.from_pylist(rows), 7)
    even, one = combine({"a": 2.0, "b": 2.0}), combine({"a": 2.0})
    assert even == pytest.approx((80.0, 80.0, 80.0))  # on each day one gains what the other loses
    assert one is not None
    assert one.low is not None
    assert one.value == pytest.approx(2 * (20 - 10 / 7))
    assert one.low < one.value - 5
    assert combine({"c": 1.0}) is None
    assert combine({"a": 0.0}) == (0.0, 0.0, 0.0)
