"""What warming earns: totals, the break-even harm, and the wrong hits that warming adds."""

import math
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.measurement.lift import Estimate
from cachewarm_pipeline.measurement.net_return.returns import AgentTypeFigures, Return, returns

NOTHING_WRONG = Estimate(0.0, 0.0, 0.0)


def test_the_break_even_harm_of_the_facts_document() -> None:
    part = AgentTypeFigures("a", Estimate(500.0, None, None), 500.0, Estimate(0.02, None, None), 0.03)
    assert returns([part], 0.0).total.break_even_harm_usd == pytest.approx(0.03 * 0.98 / 0.02)


def test_an_example_computed_by_hand() -> None:
    # 100 (80 to 120) extra hits, 200 served, 2% (1% to 5%) wrong: 2 more wrong hits a day, at least 1% of 80 extra
    # hits, at most 5% of 200 served hits.
    part = AgentTypeFigures("a", Estimate(100.0, 80.0, 120.0), 200.0, Estimate(0.02, 0.01, 0.05), 0.50, 3.0, 60.0)
    found = returns([part], harm_usd=1.5).parts[0]
    assert found.wrong_hits == pytest.approx((2.0, 0.8, 10.0))
    assert found.saved_usd == pytest.approx((98 * 0.5, 70 * 0.5, 119.2 * 0.5))
    assert found.harm_usd == pytest.approx((3.0, 1.2, 15.0))
    assert found.savings_usd == pytest.approx((49 - 3 - 3, 35 - 15 - 3, 59.6 - 1.2 - 3))
    assert found.payback_days == pytest.approx((60 / 43, 60 / 55.4, 60 / 17))
    # After running cost; before it, 0.50 x 0.98 / 0.02.
    assert found.break_even_harm_usd == pytest.approx(0.50 * 0.98 / 0.02 - 3 / 2)
    assert found.break_even_harm_low_usd == pytest.approx((35 - 3) / 10)
    assert found.why == ""


def test_the_estimate_counts_wrong_extra_hits_and_the_cautious_end_all_wrong_hits() -> None:
    # The shape of the sample: 61% of 1,000 lookups are served by warmed entries, 16 points are extra.
    part = AgentTypeFigures("a", Estimate(160.0, 80.0, 270.0), 610.0, Estimate(0.017, 0.0, 0.038), 0.003)
    found = returns([part], 1.0).total
    assert found.wrong_hits == pytest.approx((0.017 * 160, 0.0, 0.038 * 610))
    every = replace(part, served_hits=160.0)  # without warming there would be no hit
    assert found.harm_usd is not None
    assert (wider := returns([every], 1.0).total.harm_usd) is not None
    assert found.harm_usd.value == pytest.approx(wider.value)
    assert found.harm_usd.high == pytest.approx(0.038 * 610)
    # No more hits can be wrong than were served, and a lift below zero adds no wrong hit.
    for extra, wrong in ((700.0, 610.0), (-5.0, 0.0)):
        at = returns([replace(part, extra_hits=Estimate(extra, extra, extra))], 1.0).total
        assert at.wrong_hits == pytest.approx((0.017 * wrong, 0.0, 0.038 * 610))


def test_without_a_lift_the_harm_of_all_served_hits_is_counted() -> None:
    part = AgentTypeFigures("a", None, 610.0, Estimate(0.02, 0.01, 0.04), 0.003, why="too few users")
    assert returns([part], 2.0).total.harm_usd == pytest.approx((2 * 12.2, 2 * 6.1, 2 * 24.4))


def test_if_the_harm_of_a_wrong_hit_is_not_set_savings_are_before_harm_and_the_break_even_is_known() -> None:
    part = AgentTypeFigures("a", Estimate(100.0, 80.0, 120.0), 200.0, Estimate(0.02, 0.01, 0.05), 0.50, 3.0, 60.0)
    unset, free = returns([part], None), returns([part], 0.0)
    for one, other in ((unset.parts[0], free.parts[0]), (unset.total, free.total)):
        assert one.harm_usd is None
        assert replace(one, harm_usd=other.harm_usd) == other
        assert one.savings_usd == pytest.approx((46.0, 32.0, 56.6))


def numbers_from(low: int, high: int, unit: float) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(lambda number: number * unit)


def estimates(of: st.SearchStrategy[float]) -> st.SearchStrategy[Estimate]:
    return st.lists(of, min_size=3, max_size=3).map(sorted).map(lambda x: Estimate(x[1], x[0], x[2]))


HITS = estimates(numbers_from(-(10**9), 10**9, 1e-3))
SHARES = estimates(numbers_from(0, 10**6, 1e-6))
AMOUNTS = numbers_from(0, 10**9, 1e-4)


@st.composite
def some_parts(draw: st.DrawFn) -> list[AgentTypeFigures]:
    def ends(estimate: Estimate) -> Estimate:
        return estimate if draw(st.integers(0, 4)) else Estimate(estimate.value, None, None)

    return [
        AgentTypeFigures(
            f"agent {n}",
            ends(draw(HITS)) if draw(st.integers(0, 5)) else None,
            draw(AMOUNTS),
            ends(draw(SHARES)) if draw(st.integers(0, 5)) else None,
            draw(AMOUNTS) if draw(st.integers(0, 5)) else None,
            draw(AMOUNTS),
            draw(AMOUNTS),
        )
        for n in range(draw(st.integers(0, 5)))
    ]


def numbers(one: Return) -> list[float]:
    found: list[float] = []
    for field in fields(one):
        value: Any = getattr(one, field.name)
        found += [x for x in (value if isinstance(value, tuple) else (value,)) if isinstance(x, float)]
    return found


@given(some_parts(), AMOUNTS)
def test_totals_are_sums_and_all_figures_are_finite(parts: list[AgentTypeFigures], harm: float) -> None:
    found = returns(parts, harm)
    assert all(math.isfinite(x) for one in (*found.parts, found.total) for x in numbers(one))
    for name in ("extra_hits", "wrong_hits", "saved_usd", "harm_usd"):
        known = [estimate for one in found.parts if (estimate := getattr(one, name)) is not None]
        total = getattr(found.total, name)
        if not known:
            assert total is None
            continue
        for end in range(3):
            ends = [estimate[end] for estimate in known]
            assert total[end] == (None if None in ends else pytest.approx(sum(ends), abs=1e-3))
    for name in ("running_usd", "warming_usd"):
        assert getattr(found.total, name) == pytest.approx(sum(getattr(part, name) for part in parts))
    for one in (*found.parts, found.total):
        if one.savings_usd is None:
            assert one.saved_usd is None
            continue
        assert one.saved_usd is not None
        assert one.harm_usd is not None
        parts_of = one.saved_usd.value - one.harm_usd.value - one.running_usd
        assert one.savings_usd.value == pytest.approx(parts_of, abs=1e-3)
    assert found.unknown == tuple(one.agent_type for one in found.parts if one.saved_usd is None)
    assert all(one.why for one in found.parts if one.saved_usd is None)


@given(some_parts(), AMOUNTS, AMOUNTS)
def test_more_harm_never_saves_more(parts: list[AgentTypeFigures], harm: float, more: float) -> None:
    some, worse = returns(parts, harm), returns(parts, harm + more)
    for one, other in zip((*some.parts, some.total), (*worse.parts, worse.total), strict=True):
        assert (one.savings_usd is None) == (other.savings_usd is None)
        if one.savings_usd is not None and other.savings_usd is not None:
            for here, there in zip(one.savings_usd, other.savings_usd, strict=True):
                assert (here is None) == (there is None)
                assert here is None or there is None or there <= here
        assert one.break_even_harm_usd == other.break_even_harm_usd


@given(some_parts(), AMOUNTS)
def test_more_extra_hits_never_save_less_before_harm(parts: list[AgentTypeFigures], more: float) -> None:
    def with_more(hits: Estimate | None) -> Estimate | None:
        return hits and Estimate(hits.value + more, *(None if end is None else end + more for end in hits[1:]))

    richer = [replace(part, extra_hits=with_more(part.extra_hits)) for part in parts]
    some, better = returns(parts, None), returns(richer, None)
    for one, other in zip((*some.parts, some.total), (*better.parts, better.total), strict=True):
        if one.savings_usd is not None and other.savings_usd is not None:
            assert other.savings_usd.value >= one.savings_usd.value - 1e-3
            if one.payback_days.days is not None:
                assert other.payback_days.days is not None
                assert other.payback_days.days <= one.payback_days.days * (1 + 1e-9)


@given(some_parts())
def test_savings_are_zero_at_the_break_even_harm_and_positive_below_it(
    parts: list[AgentTypeFigures],
) -> None:
    before = returns(parts, None)
    for place, one in enumerate((*before.parts, before.total)):
        harm = one.break_even_harm_usd
        if harm is None:
            none_wrong = one.wrong_hits is None or one.wrong_hits.value == 0
            assert one.savings_usd is None or none_wrong or one.savings_usd.value <= 0
            continue
        at = [*(now := returns(parts, harm)).parts, now.total][place]
        less = [*(now := returns(parts, harm / 2)).parts, now.total][place]
        assert at.savings_usd is not None
        assert less.savings_usd is not None
        assert one.saved_usd is not None
        assert at.savings_usd.value == pytest.approx(0, abs=1e-9 * one.saved_usd.value)
        assert less.savings_usd.value > 0
        if one.break_even_harm_low_usd is not None:
            assert one.break_even_harm_low_usd <= harm * (1 + 1e-9)


@given(some_parts(), AMOUNTS)
def test_estimates_lie_in_their_intervals_and_so_do_paybacks(parts: list[AgentTypeFigures], harm: float) -> None:
    found = returns(parts, harm)
    for one in (*found.parts, found.total):
        for estimate in (one.extra_hits, one.wrong_hits, one.saved_usd, one.harm_usd, one.savings_usd):
            ends = [x for x in (estimate.low, estimate.value, estimate.high) if x is not None] if estimate else []
            assert all(a <= b + 1e-3 for a, b in pairwise(ends))
        payback = [x for x in (one.payback_days.least, one.payback_days.days, one.payback_days.most) if x is not None]
        assert all(a <= b * (1 + 1e-6) + 1e-9 for a, b in pairwise(payback))


def test_unknown_savings_count_as_zero_in_the_total_and_costs_count_in_full() -> None:
    hits = Estimate(100.0, 90.0, 110.0)
    found = returns(
        [
            AgentTypeFigures("known", hits, 100.0, Estimate(0.01, 0.0, 0.02), 1.0, running_usd=5.0, warming_usd=10.0),
            AgentTypeFigures("no cost", hits, 100.0, Estimate(0.01, 0.0, 0.02), None, running_usd=7.0),
            AgentTypeFigures(
                "no lift", None, 100.0, Estimate(0.01, 0.0, 0.02), 1.0, why="no lookups in the holdout arm"
            ),
            AgentTypeFigures("not judged", hits, 100.0, None, 1.0, warming_usd=20.0),
        ],
        harm_usd=2.0,
    )
    assert found.unknown == ("no cost", "no lift", "not judged")
    assert [one.why for one in found.parts] == [
        "",
        "no call with a known cost",
        "no lookups in the holdout arm",
        "no hit was judged",
    ]
    assert [one.savings_usd is None for one in found.parts] == [False, True, True, True]
    total = found.total
    assert total.savings_usd is not None
    assert total.savings_usd.value == pytest.approx(99 - 3 * 2.0 - 12)
    assert (total.warming_usd, total.agent_type) == (30.0, None)
    assert total.why == "savings of 3 of 4 agent types are not known and count as 0"


def test_without_agent_types_the_total_is_unknown() -> None:
    total = returns([], 1.0).total
    assert (total.savings_usd, total.extra_hits, total.running_usd) == (None, None, 0.0)
    assert total.payback_days == (None, None, None)


def test_warming_that_is_never_paid_back_has_no_payback_days() -> None:
    loses = AgentTypeFigures("a", Estimate(10.0, 5.0, 40.0), 10.0, Estimate(0.5, 0.1, 0.9), 1.0, warming_usd=1.0)
    found = returns([loses], harm_usd=2.0).parts[0]
    assert found.savings_usd is not None
    assert found.savings_usd.value < 0 < (found.savings_usd.high or 0)
    assert (found.payback_days.days, found.payback_days.most) == (None, None)
    assert found.payback_days.least is not None
    assert returns([replace(loses, warming_usd=0.0)], harm_usd=0.0).parts[0].payback_days.days == 0.0
    # With fewer hits than without warming, no harm is small enough; with no wrong hits, none is too large.
    worse = returns([replace(loses, extra_hits=Estimate(-1.0, -2.0, 0.0))], harm_usd=0.0).parts[0]
    assert (worse.break_even_harm_usd, worse.break_even_harm_low_usd) == (None, 0.0)
    clean = returns([replace(loses, wrong=NOTHING_WRONG)], harm_usd=0.0).parts[0]
    assert (clean.break_even_harm_usd, clean.break_even_harm_low_usd) == (None, None)


def test_an_agent_type_without_served_hits_has_no_wrong_hits() -> None:
    found = returns([AgentTypeFigures("a", Estimate(0.0, 0.0, 0.0), 0.0, None, 1.0)], harm_usd=5.0).parts[0]
    assert found.savings_usd == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"call_usd": math.nan}, "call_usd of agent_type 'a' is nan"),
        ({"served_hits": -1.0}, "served_hits of agent_type 'a' is -1.0"),
        ({"running_usd": math.inf}, "running_usd of agent_type 'a' is inf"),
        ({"wrong": Estimate(1.1, None, None)}, "agent_type 'a' has wrong .*not shares of 0 to 1"),
        ({"extra_hits": Estimate(1.0, 2.0, 3.0)}, "agent_type 'a' has extra_hits .*not low <= value <= high"),
        ({"extra_hits": Estimate(math.nan, None, None)}, "agent_type 'a' has extra_hits .*not low <= value <= high"),
    ],
)
def test_invalid_figures_are_refused_by_name(changed: dict[str, Any], message: str) -> None:
    part = AgentTypeFigures("a", Estimate(1.0, 0.0, 2.0), 1.0, NOTHING_WRONG, 1.0)
    with pytest.raises(ValueError, match=message):
        returns([replace(part, **changed)], 1.0)


def test_a_negative_harm_and_duplicate_agent_types_are_refused() -> None:
    part = AgentTypeFigures("a", Estimate(1.0, 0.0, 2.0), 1.0, NOTHING_WRONG, 1.0)
    with pytest.raises(ValueError, match="harm_usd of all agent types is -1"):
        returns([part], -1.0)
    with pytest.raises(ValueError, match="'a' occurs twice"):
        returns([part, part], 1.0)


def test_bounds_of_all_hits_together_are_closer_than_the_sum_of_the_bounds_of_each() -> None:
    parts = [
        AgentTypeFigures(name, Estimate(50.0, 40.0, 60.0), 100.0, Estimate(0.0, 0.0, 0.5), usd)
        for name, usd in (("a", 0.02), ("b", 0.04))
    ]
    added, pooled = returns(parts, 1.0), returns(parts, 1.0, None, Estimate(0.0, 0.0, 0.05))
    assert added.total.wrong_hits == (0.0, 0.0, 100.0)
    assert pooled.total.wrong_hits == pytest.approx((0.0, 0.0, 10.0))
    assert pooled.parts == added.parts
    carried = returns(parts, 1.0, lambda usd: Estimate(3.0, 2.5, 3.5), Estimate(0.0, 0.0, 0.05)).total
    assert carried.saved_usd == pytest.approx((3.0, 2.5 - 10 * 0.04, 3.5))  # all wrong hits at the most expensive call
    # A pooled share above those of the agent types still gives an interval that contains their sum.
    assert returns(parts, 1.0, None, Estimate(0.1, 0.05, 0.2)).total.wrong_hits == pytest.approx((0.0, 0.0, 40.0))
