"""The off-peak window in the local time of a named zone, and the number of entries that a tick in it may write."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.settings.off_peak_window import OffPeak, allowance, parse_window

VIENNA = ZoneInfo("Europe/Vienna")
NIGHT = OffPeak(time(22), time(6), VIENNA)

moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
clocks = st.times().map(lambda at: at.replace(second=0, microsecond=0))


@pytest.mark.parametrize(
    ("clock", "open_"), [("21:59", False), ("22:00", True), ("23:59", True), ("00:00", True), ("05:59", True)]
)
def test_a_window_may_wrap_midnight(clock: str, open_: bool) -> None:
    assert NIGHT.contains(datetime.fromisoformat(f"2026-07-01T{clock}:00").replace(tzinfo=VIENNA)) is open_


def test_the_end_of_the_window_is_peak() -> None:
    assert not NIGHT.contains(datetime(2026, 7, 1, 6, tzinfo=VIENNA))


def test_the_window_follows_local_time_so_a_utc_hour_is_off_peak_in_winter_and_peak_in_summer() -> None:
    assert NIGHT.contains(datetime(2026, 1, 15, 4, 30, tzinfo=UTC))  # 05:30 in Vienna
    assert not NIGHT.contains(datetime(2026, 7, 15, 4, 30, tzinfo=UTC))  # 06:30 in Vienna


def test_an_hour_that_the_clock_skips_or_repeats_keeps_the_edges_of_the_window() -> None:
    small = OffPeak(time(2, 30), time(3, 30), VIENNA)
    spring, autumn = datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)
    at = [small.contains(spring + timedelta(minutes=m)) for m in range(4 * 60)]
    assert at.index(True) == 60  # 02:30 does not exist: 01:00 UTC is 03:00
    assert sum(at) == 30
    twice = [small.contains(autumn + timedelta(minutes=m)) for m in range(4 * 60)]
    assert sum(twice) == 30 + 60  # 02:30 to 03:00 comes twice


@given(moments, clocks, clocks)
def test_the_window_is_open_at_its_next_begin_and_not_before(now: datetime, begins: time, ends: time) -> None:
    window = OffPeak(begins, ends, VIENNA)
    found = window.next_begin(now)
    assert window.contains(found)
    assert now <= found <= now + timedelta(hours=25)
    if found > now:
        assert not window.contains(found - timedelta(minutes=1))


@pytest.mark.parametrize("text", ["", "22-06", "22:00", "25:00-06:00", "22:60-23:00", "06:00-06:00", "06:00-24:30"])
def test_an_invalid_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_window(text)


def test_a_window_may_end_at_24_00() -> None:
    assert OffPeak(*parse_window("00:00-24:00"), VIENNA).contains(datetime(2026, 7, 1, 12, tzinfo=UTC))
    assert parse_window("18:00-24:00") == (time(18), time(0))


@given(st.integers(1, 5000), st.integers(1, 60), st.lists(st.floats(0, 5000), max_size=30))
def test_ticks_never_write_more_than_the_rate_and_one_tick_allow(rate: int, minutes: int, waits: list[float]) -> None:
    now = datetime(2026, 7, 1, tzinfo=UTC)
    start, last, written = now, None, 0
    for wait in [0.0, *waits]:
        now += timedelta(seconds=wait)
        allowed = allowance(rate, minutes, last, now)
        if allowed:  # a tick that may write nothing does not count
            written, last = written + allowed, now
        assert written <= rate * ((now - start) / timedelta(minutes=1) + minutes)


def test_nothing_may_be_written_after_the_clock_was_set_back() -> None:
    now = datetime(2026, 7, 1, tzinfo=UTC)
    assert allowance(60, 5, now + timedelta(hours=1), now) == 0
