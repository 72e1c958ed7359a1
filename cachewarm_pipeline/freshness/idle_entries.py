"""When an entry that earns nothing leaves the plan, and when it comes back: a small state a day and entry.

Who is not hit is no loss where nobody looked, and where few look most entries wait long for their first hit. So what an
entry did not earn is held against what an average one of its agent_type earned over the same days. What left comes back
when somebody asks its question, or after a while: hits by meaning leave no other trace. Each return in vain makes the
next wait longer, so that entries do not go in and out.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

LEAST_LOOKUPS = 10
"""Lookups of its agent_type in the warmed arm that make a day count: fewer may be a person who tries the reader."""

LEAST_AVERAGE_HITS = 10.0
"""Hits that an average entry must have had, or a silence says nothing. Who had none meanwhile has, with 95% confidence,
under 3 (-ln 0.05) on such days: a third of the average. In simulated years this costs 4% of the hits in the worst four
weeks. A bar of 3, which an average entry fails by chance in 5%, costs up to 13%: where traffic is skewed, most entries
are below the average (tests/freshness/test_idle_traffic.py)."""

MOST_A_DAY_PERCENT = 5
"""Of an agent_type's live entries, those that leave on one day at most (one always may): a mistake shows before it is
whole."""

LONGEST_DAYS = 90
"""An entry is out for no longer before it may try again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An entry on one stored day. ``whole``: live from its begin to its end."""

    whole: bool
    hits: int


@dataclass(frozen=True, slots=True)
class Idle:
    """``days``: counted days in a row without a hit, ``average_hits``: what an average entry of its agent_type had on
    them; of one that left both as they were then. ``left_on``: the day whose plan was the first to leave it out; None:
    it is not left out. ``times``: how often it has left since its last hit."""

    days: int = 0
    average_hits: float = 0.0
    left_on: date | None = None
    times: int = 0


def end_of_day(
    states: Mapping[str, Idle],
    day: date,
    seen: Mapping[str, Seen],
    *,
    looked_up: bool,
    asked: Collection[str],
    idle_days: int,
) -> dict[str, Idle]:
    """The states of all entries of one agent_type, by entry_id, at the end of ``day``; call it for each day, in order.

    ``seen``: without entries that were not live; empty where nothing is stored of the day. ``looked_up``: the day's
    counts are stored and have LEAST_LOOKUPS. ``asked``: entries whose own question is in the day's log. ``idle_days``:
    of the settings; 0: nothing leaves, and what left comes back.

    A day that is not looked up, or on which the entry was live in part, counts neither way; one without the entry
    begins anew. A hit forgets everything. The entry that was hit last never leaves: none had a hit since then.
    """
    whole = {entry: seen[entry].hits for entry in states if entry in seen and seen[entry].whole}
    # Those that left still count, or each that leaves would raise the bar for the rest.
    out = sum(state.left_on is not None and entry not in whole for entry, state in states.items())
    average = sum(whole.values()) / (len(whole) + out) if whole else 0.0
    now = {
        entry: _step(
            state, day, seen.get(entry), average if looked_up else None, asked=entry in asked, idle_days=idle_days
        )
        for entry, state in states.items()
    }
    if looked_up and idle_days:
        due = [entry for entry, state in now.items() if _is_due(state, idle_days)]
        due.sort(key=lambda entry: (-now[entry].days, entry))
        for entry in due[: max(1, len(whole) * MOST_A_DAY_PERCENT // 100)]:
            state = now[entry]
            now[entry] = Idle(state.days, state.average_hits, day, state.times + 1)
    return now


def second_chance(times: int, idle_days: int) -> int:
    """Days after its leaving for the ``times``-th time on which an entry comes back unasked."""
    return min(times * idle_days, LONGEST_DAYS)


def _step(state: Idle, day: date, seen: Seen | None, average: float | None, *, asked: bool, idle_days: int) -> Idle:
    """``average``: hits of an average entry on this day; None: the day does not count."""
    if seen and seen.hits:
        return Idle()
    if state.left_on is not None:
        return Idle(times=state.times) if _returns(state, state.left_on, day, asked, idle_days) else state
    if average is None:
        return state
    if seen is None:
        return Idle(times=state.times)
    if not seen.whole:
        return state
    return Idle(state.days + 1, state.average_hits + average, None, state.times)


def _is_due(state: Idle, idle_days: int) -> bool:
    return state.left_on is None and state.days >= idle_days and state.average_hits >= LEAST_AVERAGE_HITS


def _returns(state: Idle, left_on: date, day: date, asked: bool, idle_days: int) -> bool:
    if not idle_days or state.days < idle_days:
        return True  # the settings of today hold
    out = (day - left_on).days
    # Asked for and still not hit when it was back: whoever asks does not ask this cache.
    if asked and out > 0 and out >= second_chance(state.times - 1, idle_days):
        return True
    return out >= second_chance(state.times, idle_days)
