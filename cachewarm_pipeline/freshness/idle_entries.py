"""When an entry that got no hits for weeks leaves the plan, and when it comes back. Each entry has a small state that
is updated once a day.

An entry that nobody looked up is not counted as idle; and where lookups are few, most entries wait long for their first
hit. So an entry's days without a hit are compared with the hits that an average entry of its agent_type had on the same
days. An entry that left comes back when its own question is asked, or after a waiting time: semantic hits leave no
other trace in the log. The waiting time grows with each return that brought no hit, so that entries do not go in and
out.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

LEAST_LOOKUPS = 10
"""A day counts where the warmed arm had this many lookups of the agent_type: fewer may be a person who tries the
client."""

LEAST_AVERAGE_HITS = 10.0
"""Hits that an average entry must have had before an entry without hits may leave. An entry with none on these days
has, with 95% confidence, fewer than 3 expected hits (-ln 0.05): a third of the average. In simulated years this costs
4% of the hits in the worst four weeks. A bar of 3, which an average entry fails by chance in 5% of the cases, costs up
to 13%: where traffic is skewed, most entries are below the average (tests/freshness/test_idle_traffic.py)."""

MOST_A_DAY_PERCENT = 5
"""Largest share of an agent_type's live entries that leave on one day (one always may): a mistake is noticed before it
affects all entries."""

LONGEST_DAYS = 90
"""Longest time that an entry is out before it comes back."""


@dataclass(frozen=True, slots=True)
class EntryDay:
    """An entry on one stored day."""

    whole: bool
    """Whether it was live for the whole day."""
    hits: int


@dataclass(frozen=True, slots=True)
class IdleState:
    """What is known about an entry's days without hits."""

    days: int = 0
    """Counted days in a row without a hit; for an entry that left, as they were then."""
    average_hits: float = 0.0
    """Hits of an average entry of its agent_type on these days."""
    left_on: date | None = None
    """The day whose plan was the first without it; None: it has not left."""
    times: int = 0
    """How often it has left since its last hit."""


def idle_states_after(
    states: Mapping[str, IdleState],
    day: date,
    seen: Mapping[str, EntryDay],
    *,
    looked_up: bool,
    asked: Collection[str],
    idle_days: int,
) -> dict[str, IdleState]:
    """The states of all entries of one agent_type, by entry_id, at the end of ``day``. Call it for each day, in order.

    ``states``: at the end of the day before. ``seen``: the entries that were live on the day; empty where nothing is
    stored about it. ``looked_up``: whether the day's counts are stored and have LEAST_LOOKUPS. ``asked``: entries whose
    own question is in the day's log. ``idle_days``: the setting; with 0 no entry leaves, and those that left come back.

    A day without enough lookups, or on which the entry was live only in part, changes nothing. A day without the entry
    starts the count again. A hit resets the whole state. The most recently hit entry never leaves: no other has a later
    hit to compare with.
    """
    whole = {entry: seen[entry].hits for entry in states if entry in seen and seen[entry].whole}
    # Entries that left still count; otherwise each that leaves would raise the average for the others.
    out = sum(state.left_on is not None and entry not in whole for entry, state in states.items())
    average = sum(whole.values()) / (len(whole) + out) if whole else 0.0
    now = {
        entry: _after_day(
            state, day, seen.get(entry), average if looked_up else None, asked=entry in asked, idle_days=idle_days
        )
        for entry, state in states.items()
    }
    if looked_up and idle_days:
        due = [entry for entry, state in now.items() if _is_due(state, idle_days)]
        due.sort(key=lambda entry: (-now[entry].days, entry))
        for entry in due[: max(1, len(whole) * MOST_A_DAY_PERCENT // 100)]:
            state = now[entry]
            now[entry] = IdleState(state.days, state.average_hits, day, state.times + 1)
    return now


def days_until_return(times: int, idle_days: int) -> int:
    """Days after which an entry comes back although its question was not asked, when it has left for the ``times``-th
    time."""
    return min(times * idle_days, LONGEST_DAYS)


def _after_day(
    state: IdleState, day: date, seen: EntryDay | None, average: float | None, *, asked: bool, idle_days: int
) -> IdleState:
    """``average``: hits of an average entry on this day; None: the day does not count."""
    if seen and seen.hits:
        return IdleState()
    if state.left_on is not None:
        return IdleState(times=state.times) if _returns(state, state.left_on, day, asked, idle_days) else state
    if average is None:
        return state
    if seen is None:
        return IdleState(times=state.times)
    if not seen.whole:
        return state
    return IdleState(state.days + 1, state.average_hits + average, None, state.times)


def _is_due(state: IdleState, idle_days: int) -> bool:
    return state.left_on is None and state.days >= idle_days and state.average_hits >= LEAST_AVERAGE_HITS


def _returns(state: IdleState, left_on: date, day: date, asked: bool, idle_days: int) -> bool:
    if not idle_days or state.days < idle_days:
        return True  # by today's settings it would not have left
    out = (day - left_on).days
    # An entry that came back and got no hit although its question was asked waits as long as the time before: the
    # people who ask it do not use this cache.
    if asked and out > 0 and out >= days_until_return(state.times - 1, idle_days):
        return True
    return out >= days_until_return(state.times, idle_days)
