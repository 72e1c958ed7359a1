"""When a low hit rate starts a warming: after a wait, once in an episode, never while another run is in progress."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.automation.hit_rate_alarm import AlarmDecision, AlarmPolicy, Episode, check_hit_rate

POLICY = AlarmPolicy(
    floor=0.4, margin=0.05, low_for=timedelta(minutes=60), min_lookups=200, cooldown=timedelta(hours=12)
)
START = datetime(2026, 3, 4, 9, tzinfo=UTC)
STEP = timedelta(minutes=10)


def checks(
    rates: list[float], lookups: int = 1000, busy: str = "", policy: AlarmPolicy = POLICY
) -> list[AlarmDecision]:
    """A check every ten minutes, each with the state of the one before it, through its JSON form."""
    state, found = Episode(), []
    for n, rate in enumerate(rates):
        one = check_hit_rate(
            Episode.from_json(state.to_json()),
            hits=round(rate * lookups),
            lookups=lookups,
            now=START + n * STEP,
            policy=policy,
            busy=busy,
        )
        state = one.state
        found.append(one)
    return found


def test_a_rate_that_stays_low_starts_one_run_named_by_its_beginning() -> None:
    found = checks([0.5, *[0.2] * 30])
    assert [n for n, one in enumerate(found) if one.start] == [7]  # low from check 1 on, for 60 minutes
    assert found[7].state.name == "20260304T091000"
    assert {one.state.name for one in found[7:]} == {"20260304T091000"}


def test_a_rate_that_oscillates_around_the_floor_starts_nothing() -> None:
    assert not any(one.start for one in checks([0.39, 0.41] * 60))


def test_an_episode_ends_only_clearly_above_the_floor() -> None:
    policy = AlarmPolicy(0.4, 0.05, timedelta(0), 200, timedelta(0))
    found = checks([0.3, 0.42, 0.3, 0.46, 0.3], policy=policy)
    assert [one.start for one in found] == [True, False, False, False, True]
    assert "recovered" in found[3].sentence
    assert found[0].state.name != found[4].state.name


def test_too_few_lookups_start_nothing_and_the_reason_has_their_number() -> None:
    found = checks([0.0] * 20, lookups=199)
    assert not any(one.start for one in found)
    assert "199 lookups, at least 200" in found[-1].sentence


def test_a_second_episode_waits_for_the_cooldown() -> None:
    found = checks([0.2] * 8 + [0.6] + [0.2] * 80)
    starts = [n for n, one in enumerate(found) if one.start]
    assert starts == [6, 78]  # 12 hours, 72 checks later
    assert "cooling down until 2026-03-04 22:00" in found[20].sentence


def test_nothing_starts_while_a_run_is_in_progress_and_it_starts_afterwards_if_still_low() -> None:
    busy = checks([0.2] * 8, busy="run 1f is in progress")
    assert not any(one.start for one in busy)
    assert "low, but run 1f is in progress" in busy[-1].sentence
    after = check_hit_rate(busy[-1].state, hits=200, lookups=1000, now=START + 8 * STEP, policy=POLICY)
    assert after.start


def test_every_sentence_has_the_numbers() -> None:
    for one in checks([0.5, *[0.2] * 9, 0.6])[:-1]:
        assert "%" in one.sentence
        assert "1,000 lookups" in one.sentence


@given(st.lists(st.floats(0, 1), max_size=200))
def test_starts_are_a_cooldown_apart_and_each_has_its_own_name(rates: list[float]) -> None:
    policy = AlarmPolicy(0.4, 0.05, timedelta(minutes=20), 200, timedelta(hours=1))
    found = checks(rates, policy=policy)
    starts = [n for n, one in enumerate(found) if one.start]
    assert all(late - early >= 6 for early, late in pairwise(starts))
    assert len({found[n].state.name for n in starts}) == len(starts)
    assert all(all(rate < 0.4005 for rate in rates[n - 2 : n + 1]) for n in starts)


def test_an_edited_cursor_gives_a_new_state() -> None:
    for text in (None, "", "[]", "{", '{"low_since": "soon"}', '"x"'):
        assert Episode.from_json(text) == Episode()
