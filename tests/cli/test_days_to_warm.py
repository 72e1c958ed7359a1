"""The day to warm for, the days to mine, and the errors when there are none."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.automation.catch_up import day_ranges
from cachewarm_pipeline.cli.days_to_warm import choose_day, days_to_mine
from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.ports import SourceInfo
from cachewarm_pipeline.settings import Settings

TODAY = date(2026, 3, 10)
DAYS = st.dates(date(2026, 1, 1), date(2026, 12, 31))


def info(first: date | None = None, last: date | None = None) -> SourceInfo:
    return SourceInfo(analyses=None, findings=None, log=None, first_log_day=first, last_log_day=last)


def test_the_default_day_is_the_logs_last_complete_day() -> None:
    assert choose_day(None, info(date(2026, 2, 1), date(2026, 3, 8)), TODAY) == date(2026, 3, 8)
    assert choose_day(None, info(date(2026, 2, 1), TODAY), TODAY) == date(2026, 3, 9)
    assert choose_day(None, info(), TODAY) == date(2026, 3, 9)


def test_a_day_that_is_not_over_is_refused_with_the_last_complete_one() -> None:
    with pytest.raises(ConfigurationError, match="2026-03-09"):
        choose_day(TODAY, info(date(2026, 2, 1), TODAY), TODAY)


def test_a_day_outside_the_log_is_refused_with_the_range_of_the_log() -> None:
    with pytest.raises(ConfigurationError, match="from 2026-02-01 to 2026-03-08"):
        choose_day(date(2026, 1, 31), info(date(2026, 2, 1), date(2026, 3, 8)), TODAY)


def test_the_window_starts_no_earlier_than_the_log() -> None:
    settings = Settings(lookback_days=30)
    days = days_to_mine(date(2026, 3, 8), settings, info(date(2026, 3, 1), date(2026, 3, 8)))
    assert (days[0], days[-1], len(days)) == (date(2026, 3, 1), date(2026, 3, 8), 8)
    assert days_to_mine(date(2026, 3, 8), settings, info()) == [date(2026, 3, 8)]


def test_a_window_before_the_first_partition_is_refused_with_the_setting_to_change() -> None:
    settings = Settings(lookback_days=10, first_day=date(2026, 3, 5))
    with pytest.raises(ConfigurationError, match="CACHEWARM_FIRST_DAY=2026-02-27"):
        days_to_mine(date(2026, 3, 8), settings, info(date(2026, 1, 1), date(2026, 3, 8)))
    assert len(days_to_mine(date(2026, 3, 8), settings, info(date(2026, 3, 5), date(2026, 3, 8)))) == 4


@given(st.sets(DAYS, max_size=40))
def test_day_ranges_cover_exactly_the_days_and_never_touch(days: set[date]) -> None:
    ranges = day_ranges(days)
    covered = [first + timedelta(days=n) for first, last in ranges for n in range((last - first).days + 1)]
    assert covered == sorted(days)
    assert all(after[0] - before[1] > timedelta(days=1) for before, after in pairwise(ranges))
