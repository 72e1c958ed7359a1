"""The split of a replay's days: what is held out, and what the recipe is made from."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.proof.replay_split import split_days

DAYS = [date(2026, 3, 1) + timedelta(days=n) for n in range(60)]


def test_the_last_days_are_held_out_and_the_recipe_is_the_window_before_them() -> None:
    split = split_days(DAYS, replay_days=7, lookback_days=30)
    assert split.held_out == DAYS[-7:]
    assert split.recipe == DAYS[-37:-7]


def test_a_young_log_holds_out_at_most_a_quarter_of_its_days() -> None:
    assert split_days(DAYS[:11], replay_days=7, lookback_days=30).held_out == DAYS[9:11]
    assert split_days(DAYS[:3], replay_days=7, lookback_days=30).held_out == []


def test_without_replay_days_nothing_is_held_out() -> None:
    assert split_days(DAYS, replay_days=0, lookback_days=30).held_out == []


@given(st.sets(st.sampled_from(DAYS)), st.integers(0, 20), st.integers(1, 40))
def test_no_day_is_in_both_parts_and_held_out_days_are_the_later_ones(
    days: set[date], replay_days: int, lookback_days: int
) -> None:
    split = split_days(sorted(days), replay_days=replay_days, lookback_days=lookback_days)
    assert len(split.held_out) <= min(replay_days, len(days) / 4)
    assert len(split.recipe) <= lookback_days
    assert split.recipe + split.held_out == sorted(days)[len(days) - len(split.recipe) - len(split.held_out) :]
