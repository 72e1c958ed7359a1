"""When an entry that earns nothing leaves, and when it is let in again, by cases and for random histories."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.core.idle import LONGEST_DAYS, Idle, Seen, step

DAY = date(2026, 3, 1)
LIVE, HIT, PART, GONE = Seen(True, 0), Seen(True, 2), Seen(False, 0), None
LIMIT = 3


def run(*days: Any, source: str = "query_log", limit: int = LIMIT, state: Idle | None = None) -> list[Idle]:
    """The state after each day. A day: what was seen, or (what, {looked_up, asked})."""
    found, now = [], state or Idle()
    for number, day in enumerate(days):
        seen, how = day if isinstance(day, tuple) else (day, {})
        told = {"looked_up": True, "asked": False} | how
        now = step(now, DAY + timedelta(number), seen, source=source, idle_days=limit, **told)
        found.append(now)
    return found


def out(*days: Any, **more: Any) -> list[bool]:
    return [state.left_on is not None for state in run(*days, **more)]


QUIET = {"looked_up": False}
ASKED = {"asked": True}


def test_an_entry_leaves_after_so_many_days_without_a_hit_and_never_at_zero() -> None:
    assert out(LIVE, LIVE, LIVE, GONE) == [False, False, True, True]
    assert run(LIVE, LIVE, LIVE)[-1] == Idle(3, DAY + timedelta(2), 1)
    assert not any(out(*[LIVE] * 200, limit=0))


def test_a_hit_or_a_day_without_the_entry_begins_anew() -> None:
    assert out(LIVE, LIVE, HIT, LIVE, LIVE, LIVE) == [False] * 5 + [True]
    assert out(LIVE, LIVE, GONE, LIVE, LIVE, LIVE) == [False] * 5 + [True]
    assert out(LIVE, LIVE, Seen(False, 1), LIVE, LIVE) == [False] * 5


@pytest.mark.parametrize("quiet", [(LIVE, QUIET), (GONE, QUIET), PART])
def test_outages_days_nobody_looked_up_and_days_in_part_count_neither_way(quiet: Any) -> None:
    assert out(LIVE, quiet, LIVE, quiet, quiet, LIVE) == [False] * 5 + [True]
    assert not any(out(*[quiet] * 50))


def test_what_left_comes_back_when_it_is_asked_and_must_be_idle_as_long_again_to_leave() -> None:
    days = [LIVE] * 3 + [GONE] * 2 + [(GONE, ASKED)] + [PART] + [LIVE] * 3
    assert out(*days) == [False, False, True, True, True, False, False, False, False, True]
    assert out(LIVE, LIVE, (LIVE, ASKED))[-1]  # asked on the day that it leaves: that was before
    assert not out(LIVE, LIVE, LIVE, (GONE, {"looked_up": False, "asked": True}))[-1]  # an outage of the counters


def test_a_hit_of_what_left_but_is_still_served_lets_it_in_at_once() -> None:
    assert run(LIVE, LIVE, LIVE, Seen(False, 1))[-1] == Idle()


def test_the_demand_of_golden_answers_and_variants_is_in_no_log_so_they_get_a_second_chance() -> None:
    days = [LIVE] * 3 + [GONE] * 3
    for source in ("golden", "synthetic"):
        assert out(*days, source=source) == [False, False, True, True, True, False]
    assert out(*days, *[GONE] * 200)[-1]  # nobody asks what the log asked once


def test_each_return_in_vain_makes_the_next_wait_longer_so_that_nothing_goes_in_and_out() -> None:
    asked_always = [(GONE, ASKED)] * 12
    twice = Idle(3, DAY - timedelta(1), times=2)
    assert out(*asked_always, state=twice).index(False) == 2  # three days after it left, not at once
    assert out(*[GONE] * 12, source="golden", state=twice).index(False) == 5
    often = Idle(3, DAY - timedelta(1), times=1000)
    assert out(*[GONE] * 100, source="golden", state=often).index(False) == LONGEST_DAYS - 1
    assert run(HIT, state=twice) == [Idle()]


def test_the_settings_of_today_hold_for_what_left_before() -> None:
    left = Idle(3, DAY - timedelta(1), times=1)
    assert out(GONE, state=left) == [True]
    assert out(GONE, state=left, limit=4) == [False]
    assert out(GONE, state=left, limit=0) == [False]


SEEN = st.sampled_from([LIVE, HIT, PART, GONE, (LIVE, QUIET), (GONE, QUIET), (GONE, ASKED), (LIVE, ASKED)])


@given(st.lists(SEEN, max_size=40), st.integers(1, 5), st.sampled_from(["golden", "query_log"]))
def test_nothing_leaves_but_after_its_whole_count_of_looked_up_days_without_a_hit(
    days: list[Any], limit: int, source: str
) -> None:
    before = Idle()
    for number, now in enumerate(run(*days, source=source, limit=limit)):
        if now.left_on is not None and before.left_on is None:
            plain = [day[0] if isinstance(day, tuple) else day for day in days[: number + 1]]
            looked_up = [not (isinstance(day, tuple) and day[1].get("looked_up") is False) for day in days]
            counted = [seen for seen, own in zip(plain, looked_up, strict=False) if own and seen != PART]
            assert counted[-limit:] == [LIVE] * limit
            assert now.days == limit
        before = now
