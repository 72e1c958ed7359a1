"""The lift over a holdout: its intervals cover the true lift despite drift and heavy users, unlike before/after."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.lift_simulation import EVEN, HEAVY, SMALL, Traffic, trials
from cachewarm_pipeline.measurement.lift import ArmCount, Forecast, compare_days, impact
from cachewarm_pipeline.measurement.lift.arm_counts import cells
from cachewarm_pipeline.measurement.lift.jackknife import lift_groups, student_quantile
from cachewarm_pipeline.proof.replay_summary import _T975

TRIALS = 300


def spread(
    arm: str, hits: int, lookups: int, agent_type: str = "a", slot: str = "20260301", buckets: int = 8
) -> list[ArmCount]:
    """``hits`` and ``lookups`` in each of the buckets."""
    return [ArmCount(arm, slot, agent_type, hits, lookups, bucket) for bucket in range(buckets)]


def without_buckets(counts: Iterable[ArmCount]) -> list[ArmCount]:
    return [count._replace(bucket=None) for count in counts]


def rate(counts: list[ArmCount]) -> float:
    return sum(count.hits for count in counts) / sum(count.lookups for count in counts)


TWO_ARMS = spread("warmed", 60, 100) + spread("holdout", 2, 5)


@pytest.mark.parametrize("traffic", [HEAVY, SMALL, EVEN], ids=["heavy", "small", "even"])
def test_the_interval_covers_the_true_lift_under_drift_while_before_and_after_is_off(traffic: Traffic) -> None:
    covered, lifts, widths, naive = 0, [], [], []
    for trial in trials(traffic, TRIALS, seed=20):
        found = impact(trial.after).total
        assert found.lift is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= traffic.lift <= found.high
        lifts.append(found.lift)
        widths.append(found.high - found.low)
        naive.append(rate([count for count in trial.after if count.arm == "warmed"]) - rate(trial.before))
    off = np.array(naive) - traffic.lift
    noise = float(np.std(lifts))
    print(  # noqa: T201
        f"\ntrue lift {traffic.lift:.3f}: holdout {np.mean(lifts):.3f}, interval covers {covered / TRIALS:.1%} "
        f"(half width {np.median(widths) / 2:.3f}); before/after {np.mean(naive):.3f}, off by {off.mean():+.3f}"
    )
    assert covered >= 0.93 * TRIALS
    assert abs(np.mean(lifts) - traffic.lift) < 0.3 * noise
    # The drift between the middles of the two weeks, whatever the number of lookups.
    assert off.mean() == pytest.approx(traffic.drift * traffic.days / (2 * traffic.days - 1), abs=0.01)
    assert np.mean(off > 0.05) > 0.9


def test_an_interval_over_independent_lookups_misses_the_true_lift_in_most_trials() -> None:
    covered = 0
    for trial in trials(HEAVY, 100, seed=3):
        found = impact(trial.after).total
        rates = [(found.warmed_hit_rate, found.warmed_lookups), (found.holdout_hit_rate, found.holdout_lookups)]
        half = 1.96 * sum(p * (1 - p) / n for p, n in rates if p is not None) ** 0.5
        assert found.lift is not None
        covered += abs(found.lift - HEAVY.lift) <= half
    assert covered < 50


def test_without_buckets_days_give_an_interval_if_users_do_not_come_back() -> None:
    draw, covered = np.random.default_rng(4), 0
    for _ in range(300):
        counts = []
        for day in range(1, 11):
            base = 0.1 + 0.03 * day + draw.normal(0, 0.03)
            for arm, rate, lookups in (("warmed", base + 0.12, 1900), ("holdout", base, 100)):
                counts.append(ArmCount(arm, f"202603{day:02}", "a", int(draw.binomial(lookups, rate)), lookups))
        found = impact(counts, returning=False).total
        assert found.basis == "days"
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.12 <= found.high
    assert covered >= 0.93 * 300


def test_an_example_computed_by_hand() -> None:
    found = impact(TWO_ARMS)
    total = found.total
    assert total.lift == pytest.approx(0.6 - 0.4)
    assert (total.warmed_hits, total.warmed_lookups, total.warmed_hit_rate) == (480, 800, 0.6)
    assert (total.holdout_hits, total.holdout_lookups, total.holdout_hit_rate) == (16, 40, 0.4)
    assert (total.basis, total.why) == ("buckets", "")
    # All buckets are alike, so only the variance of independent lookups remains, at rates shrunk by a hit and a miss.
    p, q = 481 / 802, 17 / 42
    half = student_quantile(14) * (p * (1 - p) / 800 + q * (1 - q) / 40) ** 0.5
    assert (total.low, total.high) == (pytest.approx(0.2 - half), pytest.approx(0.2 + half))
    assert found.agent_types == {"a": total}
    assert (found.rest, found.pooled, found.covered, found.days) == (None, (), 1.0, 1)


def test_drift_and_a_holdout_that_shrinks_between_days_cancel() -> None:
    counts = [
        *spread("warmed", 30, 100, slot="20260301"),
        *spread("holdout", 20, 100, slot="20260301"),
        *spread("warmed", 1140, 1900, slot="20260302"),
        *spread("holdout", 50, 100, slot="20260302"),
    ]
    total = impact(counts).total
    assert total.lift == pytest.approx(0.1)
    assert total.warmed_hit_rate is not None
    assert total.holdout_hit_rate is not None
    assert total.warmed_hit_rate - total.holdout_hit_rate > 0.2


def test_a_slot_with_lookups_in_one_arm_only_changes_nothing() -> None:
    alone = spread("warmed", 0, 5000, slot="2026030207")
    here, there = impact(TWO_ARMS).total, impact(TWO_ARMS + alone).total
    assert (here.lift, here.low, here.high) == pytest.approx((there.lift, there.low, there.high))


def test_repeating_every_lookup_three_times_does_not_narrow_the_interval() -> None:
    trial = next(trials(HEAVY, 1, seed=5))
    once = impact(trial.after).total
    thrice = impact([count._replace(hits=3 * count.hits, lookups=3 * count.lookups) for count in trial.after]).total
    assert thrice.lift == pytest.approx(once.lift)
    assert (thrice.low, thrice.high) == (pytest.approx(once.low, abs=2e-3), pytest.approx(once.high, abs=2e-3))


def test_users_who_ask_two_agent_types_do_not_count_twice() -> None:
    one = next(trials(HEAVY, 1, seed=6)).after
    both = impact([*one, *(count._replace(agent_type="other") for count in one)])
    single = impact(one).total
    assert both.total.lift == pytest.approx(single.lift)
    assert (both.total.low, both.total.high) == pytest.approx((single.low, single.high))


def test_a_replicate_is_the_lift_without_its_bucket() -> None:
    counts = next(trials(replace(SMALL, users=300), 1, seed=7)).after
    table = cells(counts)
    groups = lift_groups(table, np.zeros(len(table.agent), np.int64), 1, by_day=False)
    for number, arm in enumerate(("warmed", "holdout")):
        for place, bucket in enumerate(sorted({count.bucket or 0 for count in counts})):
            left = impact([count for count in counts if (count.arm, count.bucket) != (arm, bucket)]).total.lift
            assert groups.replicates[number][0, place] == pytest.approx(left)


def test_agent_types_with_too_few_users_share_one_lift_and_the_total_is_the_mean_of_all() -> None:
    counts = [
        *TWO_ARMS,
        *spread("warmed", 5, 10, "tiny", buckets=3),
        *spread("holdout", 1, 10, "tiny", buckets=3),
        *spread("warmed", 4, 10, "twin"),
        *spread("holdout", 3, 10, "twin", buckets=4),
        ArmCount("warmed", "20260305", "unheld", 1, 10, 60),
        ArmCount("holdout", "20260301", "twin", 3, 10, 40),
    ]
    counts = [count for count in counts if (count.agent_type, count.bucket) != ("twin", 40)] + [
        ArmCount("holdout", "20260301", "tiny", 0, 1, 40),
    ]
    found = impact(counts)
    assert found.pooled == ("tiny", "twin", "unheld")
    assert found.agent_types["tiny"].why == "too few users: those of the warmed arm fill 3 of the 5 buckets needed"
    assert found.agent_types["twin"].why == "too few users: those of the holdout arm fill 4 of the 5 buckets needed"
    assert found.agent_types["unheld"].why == "no lookups in the holdout arm"
    assert all(found.agent_types[name].lift is None for name in found.pooled)
    assert found.rest is not None
    assert found.rest.lift is not None
    asked = {name: one.warmed_lookups + one.holdout_lookups for name, one in found.agent_types.items()}
    mean = (0.2 * asked.pop("a") + found.rest.lift * sum(asked.values())) / (840 + sum(asked.values()))
    assert found.total.lift == pytest.approx(mean)
    assert found.covered == 1.0
    alone, rest = found.weighted({"a": 5.0}), found.weighted({"tiny": 2.0, "unheld": 1.0, "unknown": 9.0})
    assert alone is not None
    assert alone == pytest.approx((1.0, 5 * found.agent_types["a"].low, 5 * found.agent_types["a"].high))  # type: ignore[operator]
    assert rest is not None
    assert rest.value == pytest.approx(3 * found.rest.lift)
    assert found.weighted({"unknown": 1.0}) is None


def test_an_unknown_lift_has_a_reason_and_the_total_names_what_it_does_not_cover() -> None:
    found = impact([*TWO_ARMS, ArmCount("warmed", "20260301", "unheld", 1, 160, 0)])
    assert found.agent_types["unheld"].lift is None
    assert found.rest is not None
    assert (found.rest.lift, found.rest.why) == (None, "no lookups in the holdout arm")
    assert found.covered == pytest.approx(840 / 1000)
    assert found.total.lift == pytest.approx(0.2)
    assert found.total.why == "without 1 agent type: no lookups in the holdout arm"


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ([], "no lookups were counted"),
        ([ArmCount("holdout", "20260301", "a", 0, 0)], "no lookups were counted"),
        (spread("warmed", 1, 2), "no lookups in the holdout arm"),
        (spread("holdout", 1, 2), "no lookups in the warmed arm"),
        (
            [*spread("warmed", 1, 2), *spread("holdout", 1, 2, slot="20260302")],
            "no day or hour with lookups in both arms",
        ),
        (without_buckets(TWO_ARMS[:9]), "too few lookups: 5 of the 30 needed in the holdout arm"),
    ],
)
def test_counts_of_one_arm_and_empty_counts_give_a_reason_and_no_lift(counts: list[ArmCount], why: str) -> None:
    total = impact(counts).total
    assert (total.lift, total.low, total.high, total.basis, total.why) == (None, None, None, None, why)


def test_without_buckets_there_is_a_lift_but_no_interval_unless_users_do_not_come_back() -> None:
    counts = without_buckets([*TWO_ARMS, *(count._replace(slot="2026030212") for count in TWO_ARMS)])
    kept = impact(counts).total
    assert kept.lift == pytest.approx(0.2)
    assert (kept.low, kept.high, kept.basis) == (None, None, None)
    assert kept.why.startswith("no interval: it needs counts by bucket of users")
    assert impact(counts, returning=False).total.basis == "days"
    assert impact(without_buckets(TWO_ARMS), returning=False).total.basis is None


def test_a_holdout_without_a_hit_still_gives_a_wide_enough_interval() -> None:
    covered = 0
    traffic = Traffic((replace(EVEN.kinds[0], base=0.01, gain=0.2),), users=1200, drift=0.0, spread=0.0)
    for trial in trials(traffic, 100, seed=8):
        total = impact(trial.after).total
        assert total.low is not None
        assert total.high is not None
        assert total.high - total.low > 0.01
        covered += total.low <= 0.2 <= total.high
    assert covered >= 93


COUNTS = st.builds(
    lambda arm, slot, agent_type, hits, misses, bucket: ArmCount(arm, slot, agent_type, hits, hits + misses, bucket),
    st.sampled_from(["warmed", "holdout"]),
    st.sampled_from(["20260301", "2026030107", "20260302"]),
    st.sampled_from(["a", "b", ""]),
    st.integers(0, 50) | st.integers(0, 10**7),
    st.integers(0, 50) | st.integers(0, 10**7),
    st.integers(0, 7),
)


@given(st.lists(COUNTS, max_size=80), st.booleans(), st.booleans(), st.randoms())
def test_any_counts_give_a_lift_within_its_interval_or_a_reason(
    counts: list[ArmCount], bucketed: bool, returning: bool, random: "np.random.RandomState"
) -> None:
    counts = counts if bucketed else without_buckets(counts)
    found = impact(counts, returning)
    for one in (found.total, *found.agent_types.values(), *([found.rest] if found.rest else [])):
        if one.lift is None:
            assert one.why
            assert (one.low, one.high, one.basis) == (None, None, None)
            continue
        assert -1 - 1e-9 <= one.lift <= 1 + 1e-9
        if one.low is None or one.high is None:
            assert one.why.startswith("no interval")
            assert one.basis is None
        else:
            assert -1 <= one.low <= one.lift + 1e-9
            assert one.lift - 1e-9 <= one.high <= 1
            assert one.low < one.high
    assert found.total.warmed_lookups == sum(count.lookups for count in counts if count.arm == "warmed")
    mixed = list(counts)
    random.shuffle(mixed)  # type: ignore[arg-type]
    again = impact(mixed, returning)
    assert again == found


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (ArmCount("other", "20260301", "a", 1, 2, 0), "arm 'other', not warmed or holdout"),
        (ArmCount("warmed", "today", "a", 1, 2, 0), "slot 'today', not YYYYMMDD or YYYYMMDDHH"),
        (ArmCount("warmed", "20260301", "a", 3, 2, 0), "0 <= hits <= lookups"),
        (ArmCount("warmed", "20260301", "a", -1, 2, 0), "0 <= hits <= lookups"),
        (ArmCount("warmed", "20260301", "a", 1, 2, -1), "bucket -1, below 0"),
        (ArmCount("warmed", "20260301", "a", 1, 2), "some counts have a bucket and some have none"),
    ],
)
def test_invalid_counts_are_refused_with_the_count(count: ArmCount, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        impact([*TWO_ARMS, count])


def test_the_quantiles_are_those_of_students_t() -> None:
    assert [student_quantile(n) for n in range(1, 31)] == pytest.approx(_T975, abs=1e-3)
    assert student_quantile(1e9) == pytest.approx(1.95996, abs=1e-5)
    assert student_quantile(2.0) > student_quantile(2.5) > student_quantile(3.0)


def test_forecast_and_measurement_are_compared_day_by_day() -> None:
    counts = [
        *TWO_ARMS,
        *(count._replace(slot="2026030213") for count in TWO_ARMS),
        ArmCount("warmed", "20260304", "a", 1, 2, 0),
    ]
    days = compare_days(
        counts,
        {
            date(2026, 3, 1): Forecast(0.55, 0.40),
            date(2026, 3, 2): Forecast(0.95, 0.05),
            date(2026, 3, 3): Forecast(None, None),
        },
    )
    assert [row.day.day for row in days] == [1, 2, 3, 4]
    first, second, empty, unforeseen = days
    assert first.off == pytest.approx(0.05)
    assert (first.forecast_lift, first.lift) == (pytest.approx(0.15), pytest.approx(0.2))
    assert (first.inside, second.inside) == (True, False)
    assert (first.lookups, first.hit_rate, first.why) == (840, 0.6, "")
    assert (empty.lookups, empty.hit_rate, empty.off, empty.lift, empty.inside) == (0, None, None, None, None)
    assert empty.why == "no lookups were counted"
    assert (unforeseen.hit_rate, unforeseen.forecast_hit_rate, unforeseen.off) == (0.5, None, None)
    assert unforeseen.why == "no lookups in the holdout arm"


def test_a_slot_that_is_not_a_date_is_refused() -> None:
    with pytest.raises(ValueError, match="'20261399', which is not a date"):
        compare_days([ArmCount("warmed", "20261399", "a", 1, 2, 0)], {})
