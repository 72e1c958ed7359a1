"""When an entry that earns nothing leaves the plan, and when it comes back: a small state a day and entry.

Who is not hit is no loss where nobody looked, so only days count on which the entry was live from begin to end and its
agent_type was looked up. What left comes back as soon as somebody asks for it; each time that this turns out to bring
no hit, it stays out longer, so that entries do not go in and out.
"""

from dataclasses import dataclass
from datetime import date

LEAST_LOOKUPS = 10
"""Look-ups of its agent_type in the warmed arm that make a day count for an entry: 280 in four weeks, of which one
without a hit gets at most 1.1% with 95% confidence (3 / n)."""

LONGEST_DAYS = 90
"""An entry is out for no longer before it may try again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An entry on one stored day. ``whole``: live from its begin to its end."""

    whole: bool
    hits: int


@dataclass(frozen=True, slots=True)
class Idle:
    """``days``: counted days in a row without a hit, of one that left when it did. ``left_on``: the day whose plan was
    the first to leave it out; None: it is not left out. ``times``: how often it has left since its last hit."""

    days: int = 0
    left_on: date | None = None
    times: int = 0


def step(
    state: Idle, day: date, seen: Seen | None, *, looked_up: bool, asked: bool, source: str, idle_days: int
) -> Idle:
    """The state at the end of ``day``; call it for each day, in order.

    ``seen``: None where the entry was not live, or nothing is stored of the day. ``looked_up``: the day's counts are
    stored and its agent_type has LEAST_LOOKUPS. ``asked``: its own question is in the day's log. ``idle_days``: of the
    settings; 0: nothing leaves, and what left comes back.

    A day that is not looked up, or on which the entry was live in part, counts neither way; one without the entry
    begins anew. A hit forgets everything.
    """
    if seen and seen.hits:
        return Idle()
    if state.left_on is not None:
        return Idle(times=state.times) if _returns(state, state.left_on, day, asked, source, idle_days) else state
    days = state.days
    if looked_up:
        days = 0 if seen is None else days + seen.whole
    if idle_days and days >= idle_days:
        return Idle(days, day, state.times + 1)
    return Idle(days, None, state.times)


def second_chance(state: Idle, source: str, idle_days: int) -> int | None:
    """Days after leaving on which an entry comes back unasked: variants and golden answers, whose demand no log tells.
    None: it must be asked for."""
    return None if source == "query_log" else min(state.times * idle_days, LONGEST_DAYS)


def _returns(state: Idle, left_on: date, day: date, asked: bool, source: str, idle_days: int) -> bool:
    if not idle_days or state.days < idle_days:
        return True  # the settings of today hold
    out = (day - left_on).days
    # Asked for and still not hit when it was back: whoever asks does not ask this cache.
    if asked and out > 0 and out >= min((state.times - 1) * idle_days, LONGEST_DAYS):
        return True
    chance = second_chance(state, source, idle_days)
    return chance is not None and out >= chance
