"""When an entry that gets no hits leaves, and when it comes back, by cases and for random histories."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.freshness.idle_entries import (
    LEAST_AVERAGE_HITS,
    LONGEST_DAYS,
    MOST_A_DAY_PERCENT,
    EntryDay,
    IdleState,
    days_until_return,
    idle_states_after,
)

DAY = date(2026, 3, 1)
LIVE, HIT, PART, GONE = EntryDay(True, 0), EntryDay(True, 2), EntryDay(False, 0), None
LIMIT = 3
BUSY = EntryDay(True, 100)
"""Another entry of the agent_type: with it, the average of the two is 50 hits."""


def run(*days: Any, limit: int = LIMIT, state: IdleState | None = None, other: EntryDay = BUSY) -> list[IdleState]:
    """The state of an entry beside a busy one after each day. A day: what was seen, or (what, {looked_up, asked})."""
    found, states = [], {"own": state or IdleState(), "other": IdleState()}
    for number, day in enumerate(days):
        own, how = day if isinstance(day, tuple) else (day, {})
        seen = {"other": other} | ({"own": own} if own else {})
        asked = {"own"} if how.get("asked") else set()
        looked_up = how.get("looked_up", True)
        states = idle_states_after(
            states, DAY + timedelta(number), seen, looked_up=looked_up, asked=asked, idle_days=limit
        )
        found.append(states["own"])
    return found


def out(*days: Any, **more: Any) -> list[bool]:
    return [state.left_on is not None for state in run(*days, **more)]


QUIET = {"looked_up": False}
ASKED = {"asked": True}


def test_an_entry_leaves_after_idle_days_without_a_hit_and_never_where_the_setting_is_zero() -> None:
    assert out(LIVE, LIVE, LIVE, GONE) == [False, False, True, True]
    assert run(LIVE, LIVE, LIVE)[-1] == IdleState(3, 150.0, DAY + timedelta(2), 1)
    assert not any(out(*[LIVE] * 200, limit=0))


def test_no_entry_leaves_before_an_average_entry_had_enough_hits() -> None:
    slow = EntryDay(True, 1)  # half a hit a day for an average one of the two
    assert out(*[LIVE] * 25, other=slow).index(True) == 2 * LEAST_AVERAGE_HITS - 1
    assert run(*[LIVE] * 20, other=slow)[-1].average_hits == LEAST_AVERAGE_HITS
    assert not any(out(*[LIVE] * 500, other=LIVE))  # no entry has a hit


def test_a_hit_or_a_day_without_the_entry_restarts_the_count() -> None:
    assert out(LIVE, LIVE, HIT, LIVE, LIVE, LIVE) == [False] * 5 + [True]
    assert out(LIVE, LIVE, GONE, LIVE, LIVE, LIVE) == [False] * 5 + [True]
    assert out(LIVE, LIVE, EntryDay(False, 1), LIVE, LIVE) == [False] * 5
    assert run(LIVE, LIVE, GONE)[-1] == run(LIVE, LIVE, HIT)[-1] == IdleState()


@pytest.mark.parametrize("quiet", [(LIVE, QUIET), (GONE, QUIET), PART])
def test_outages_days_without_lookups_and_partial_days_do_not_count(quiet: Any) -> None:
    assert out(LIVE, quiet, LIVE, quiet, quiet, LIVE) == [False] * 5 + [True]
    assert not any(out(*[quiet] * 50))


def test_an_entry_that_left_comes_back_when_asked_and_must_be_idle_as_long_again_to_leave() -> None:
    days = [LIVE] * 3 + [GONE] + [(GONE, ASKED)] + [PART] + [LIVE] * 3
    assert out(*days) == [False, False, True, True, False, False, False, False, True]
    assert out(LIVE, LIVE, (LIVE, ASKED))[-1]  # asked on the day on which it leaves, so before it left
    assert not out(LIVE, LIVE, LIVE, (GONE, {"looked_up": False, "asked": True}))[-1]  # an outage of the counters


def test_a_hit_of_an_entry_that_left_but_is_still_served_brings_it_back_at_once() -> None:
    assert run(LIVE, LIVE, LIVE, EntryDay(False, 1))[-1] == IdleState()


def test_an_entry_with_semantic_hits_only_is_never_asked_and_comes_back_after_the_waiting_time() -> None:
    assert out(*[LIVE] * 3, *[GONE] * 3) == [False, False, True, True, True, False]


def test_each_return_without_a_hit_makes_the_next_wait_longer() -> None:
    twice = IdleState(3, 150.0, DAY - timedelta(1), times=2)
    assert out(*[(GONE, ASKED)] * 12, state=twice).index(False) == 2  # three days after it left, not at once
    assert out(*[GONE] * 12, state=twice).index(False) == 5
    often = IdleState(3, 150.0, DAY - timedelta(1), times=1000)
    assert out(*[GONE] * 100, state=often).index(False) == LONGEST_DAYS - 1 == days_until_return(1000, 3) - 1
    assert run(HIT, state=twice) == [IdleState()]


def test_the_settings_of_today_apply_to_entries_that_left_before() -> None:
    left = IdleState(3, 150.0, DAY - timedelta(1), times=1)
    assert out(GONE, state=left) == [True]
    assert out(GONE, state=left, limit=4) == [False]
    assert out(GONE, state=left, limit=0) == [False]


def test_at_most_a_share_of_the_live_entries_leaves_a_day_longest_streak_first() -> None:
    states = {f"e{n:02}": IdleState(5 + (n == 7), 40.0) for n in range(59)} | {"hit": IdleState()}
    seen = dict.fromkeys(states, LIVE) | {"hit": BUSY}
    left: list[str] = []
    for n in range(2):
        states = idle_states_after(states, DAY + timedelta(n), seen, looked_up=True, asked=(), idle_days=5)
        left += sorted(entry for entry, state in states.items() if state.left_on == DAY + timedelta(n))
    assert left == ["e00", "e01", "e07", "e02", "e03", "e04"]  # three of 60 a day


def test_entries_that_left_do_not_raise_the_average_for_the_others() -> None:
    states = {f"e{n}": IdleState(3, 10.0, DAY, 1) for n in range(7)} | {"own": IdleState(), "other": IdleState()}
    seen = {"own": LIVE, "other": EntryDay(True, 9)}
    now = idle_states_after(states, DAY + timedelta(1), seen, looked_up=True, asked=(), idle_days=3)
    assert now["own"] == IdleState(1, 1.0)
    still = dict.fromkeys(states, LIVE) | seen  # the plan without them was not published
    assert idle_states_after(states, DAY + timedelta(1), still, looked_up=True, asked=(), idle_days=3) == now


ENTRIES = "abcdef"
ONE = st.sampled_from([LIVE, LIVE, LIVE, HIT, BUSY, PART, EntryDay(False, 1), GONE])
PAST = st.tuples(
    st.fixed_dictionaries(dict.fromkeys(ENTRIES, ONE)),
    st.sampled_from([True, True, False]),
    st.sets(st.sampled_from(ENTRIES)),
)


def after_each(days: Sequence[Any], limit: int) -> list[Mapping[str, IdleState]]:
    states: Mapping[str, IdleState] = dict.fromkeys(ENTRIES, IdleState())
    found = [states]
    for number, (all_seen, looked_up, asked) in enumerate(days):
        seen = {entry: one for entry, one in all_seen.items() if one}
        day = DAY + timedelta(number)
        states = idle_states_after(states, day, seen, looked_up=looked_up, asked=asked, idle_days=limit)
        backwards = dict(reversed(found[-1].items()))
        assert idle_states_after(backwards, day, seen, looked_up=looked_up, asked=asked, idle_days=limit) == states
        found.append(states)
    return found


@settings(max_examples=150)
@given(st.lists(PAST, max_size=40), st.integers(1, 5))
def test_an_entry_only_leaves_after_its_idle_days_and_enough_hits_of_an_average_entry(
    days: list[Any], limit: int
) -> None:
    states = after_each(days, limit)
    for number, (before, now) in enumerate(pairwise(states)):
        leaving = [entry for entry in ENTRIES if now[entry].left_on and not before[entry].left_on]
        assert len(leaving) <= max(1, len(ENTRIES) * MOST_A_DAY_PERCENT // 100)
        for entry in leaving:
            counted, average = 0, 0.0
            for back in range(number, -1, -1):
                all_seen, looked_up, _ = days[back]
                one = all_seen[entry]
                if (one and one.hits) or (looked_up and one is GONE) or states[back][entry].left_on:
                    break
                if looked_up and one and one.whole:
                    whole = [other.hits for other in all_seen.values() if other and other.whole]
                    counted, average = counted + 1, average + sum(whole) / len(whole)
            assert counted == now[entry].days >= limit
            assert average + 1e-9 >= now[entry].average_hits >= LEAST_AVERAGE_HITS


@settings(max_examples=150)
@given(st.lists(PAST, max_size=60), st.integers(1, 5))
def test_an_agent_type_is_never_emptied(days: list[Any], limit: int) -> None:
    for states in after_each(days, limit):
        assert any(state.left_on is None for state in states.values())
