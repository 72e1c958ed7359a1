"""When a falling hit rate starts a warming: an episode begins when the rate stays low, starts one run, and ends when
the rate is well over its floor again. Pure: the present, the counts and the state of the last look are passed in."""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Policy:
    """What counts as low, and how patient to be.

    ``floor``: rate under which it is low. ``margin``: an episode is over at floor + margin, or half way to what is
    ``expected`` (None: not known) if that is less: a low rate that is as good as it gets must end a low. ``low_for``:
    how long it must stay low. ``min_lookups``: fewer say nothing. ``cooldown``: between two starts, whatever the rate.
    """

    floor: float
    margin: float
    low_for: timedelta
    min_lookups: int
    cooldown: timedelta
    expected: float | None = None

    @property
    def over(self) -> float:
        """Rate at which an episode is over."""
        half_way = 1.0 if self.expected is None else max(self.floor, (self.floor + self.expected) / 2)
        return min(1.0, self.floor + self.margin, half_way)


@dataclass(frozen=True)
class Episode:
    """What is remembered from look to look. ``low_since``: first look of the present low. ``started``: when this low
    started a run. ``last_start``: of any low, for the cool-down."""

    low_since: datetime | None = None
    started: datetime | None = None
    last_start: datetime | None = None

    @property
    def name(self) -> str:
        """Names the low for ever: the moment that it began."""
        return f"{self.low_since:%Y%m%dT%H%M%S}" if self.low_since else ""

    def to_json(self) -> str:
        return json.dumps({name: at and at.isoformat() for name, at in vars(self).items()})

    @classmethod
    def from_json(cls, text: str | None) -> "Episode":
        """The state of its JSON form; a new one for none, and for what is no state (the cursor was edited)."""
        try:
            found = json.loads(text or "{}")
            times = {name: found.get(name) for name in ("low_since", "started", "last_start")}
            return cls(**{name: datetime.fromisoformat(at) if at else None for name, at in times.items()})
        except (ValueError, TypeError, AttributeError):
            return cls()


@dataclass(frozen=True)
class Look:
    """What one look found. ``start``: start a run, named by ``state.name``. ``sentence`` holds the numbers."""

    start: bool
    sentence: str
    state: Episode


def look(state: Episode, *, hits: int, lookups: int, now: datetime, policy: Policy, busy: str = "") -> Look:
    """One look at the rate. ``busy``: why no run may start now (another one is at work), empty where it may.

    A low that could not start for ``busy`` or the cool-down starts when it may, if it is still low then. Too few
    lookups end a low that has not started anything, and leave one that has as it is.
    """
    if lookups < policy.min_lookups:
        if state.started:
            return Look(False, f"{lookups:,} lookups, {policy.min_lookups:,} say something; {_since(state)}", state)
        return Look(False, f"{lookups:,} lookups, {policy.min_lookups:,} say something", replace(state, low_since=None))
    rate = hits / lookups
    numbers = f"hit rate {rate:.1%} of {lookups:,} lookups, floor {policy.floor:.1%}"
    if state.started:
        if rate < policy.over:
            return Look(False, f"{numbers}; {_since(state)}, over at {policy.over:.1%}", state)
        state = Episode(last_start=state.last_start)
        return Look(False, f"{numbers}: the low is over", state)
    if rate >= policy.floor:
        return Look(False, numbers, replace(state, low_since=None))
    state = replace(state, low_since=state.low_since or now)
    low_for = now - (state.low_since or now)
    if low_for < policy.low_for:
        return Look(False, f"{numbers}: low for {_minutes(low_for)}, {_minutes(policy.low_for)} start a run", state)
    if state.last_start and now - state.last_start < policy.cooldown:
        ends = state.last_start + policy.cooldown
        return Look(False, f"{numbers}: low, but cooling down until {ends:%Y-%m-%d %H:%M} UTC", state)
    if busy:
        return Look(False, f"{numbers}: low, but {busy}", state)
    state = replace(state, started=now, last_start=now)
    return Look(True, f"{numbers}, low for {_minutes(low_for)}", state)


def _since(state: Episode) -> str:
    return f"low since {state.low_since:%Y-%m-%d %H:%M} UTC, a warming was started at {state.started:%H:%M} UTC"


def _minutes(span: timedelta) -> str:
    return f"{span / timedelta(minutes=1):.0f} min"
