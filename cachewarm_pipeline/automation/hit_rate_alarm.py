"""When a low hit rate starts a warming, with hysteresis. Pure: the counts, the time and the last state are passed in.

An episode begins when the rate falls below its floor. If the rate stays low, the episode starts one run. It ends when
the rate is clearly above the floor again.
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cachewarm_pipeline.number_format import plural


@dataclass(frozen=True)
class AlarmPolicy:
    """Which hit rate is low, and how long to wait. Rates are shares from 0 to 1."""

    floor: float
    """A rate below this is low."""
    margin: float
    """An episode ends at ``floor`` + ``margin`` (see ``recovery_rate``)."""
    low_for: timedelta
    """How long the rate must stay low before a run starts."""
    min_lookups: int
    """With fewer lookups the rate is not considered."""
    cooldown: timedelta
    """Shortest time between two starts, whatever the rate."""
    expected: float | None = None
    """The rate that is expected of the live generation; None when unknown."""

    @property
    def recovery_rate(self) -> float:
        """Rate at which an episode ends: ``floor`` + ``margin``, or half way from ``floor`` to ``expected`` if that is
        less. With a low forecast the rate may never reach ``floor`` + ``margin``."""
        half_way = 1.0 if self.expected is None else max(self.floor, (self.floor + self.expected) / 2)
        return min(1.0, self.floor + self.margin, half_way)


@dataclass(frozen=True)
class Episode:
    """The state that is kept between two checks."""

    low_since: datetime | None = None
    """First check of the present low; None when the rate is not low."""
    started: datetime | None = None
    """When this episode started a run; None when it has not."""
    last_start: datetime | None = None
    """When any episode last started a run, for the cooldown."""

    @property
    def name(self) -> str:
        """Identifies the episode: the time when it began. Empty when the rate is not low."""
        return f"{self.low_since:%Y%m%dT%H%M%S}" if self.low_since else ""

    def to_json(self) -> str:
        """JSON form; times are ISO 8601."""
        return json.dumps({name: at and at.isoformat() for name, at in vars(self).items()})

    @classmethod
    def from_json(cls, text: str | None) -> "Episode":
        """The state from its JSON form; a new one for None and for invalid text (a person edited the cursor)."""
        try:
            found = json.loads(text or "{}")
            times = {name: found.get(name) for name in ("low_since", "started", "last_start")}
            return cls(**{name: datetime.fromisoformat(at) if at else None for name, at in times.items()})
        except (ValueError, TypeError, AttributeError):
            return cls()


@dataclass(frozen=True)
class AlarmDecision:
    """What one check decided."""

    start: bool
    """Whether to start a run; ``state.name`` identifies it."""
    sentence: str
    """The reason, with the numbers."""
    state: Episode
    """The state to keep for the next check."""


def check_hit_rate(
    state: Episode, *, hits: int, lookups: int, now: datetime, policy: AlarmPolicy, busy: str = ""
) -> AlarmDecision:
    """Check the rate once. ``busy``: why no run may start now (another one is in progress); empty when it may.

    An episode that could not start a run because of ``busy`` or the cooldown starts it later, if the rate is still low
    then. Too few lookups end an episode that has not started a run, and do not change one that has.
    """
    if lookups < policy.min_lookups:
        too_few = f"{plural(lookups, 'lookup')}, at least {policy.min_lookups:,} are needed"
        if state.started:
            return AlarmDecision(False, f"{too_few}; {_since(state)}", state)
        return AlarmDecision(False, too_few, replace(state, low_since=None))
    rate = hits / lookups
    numbers = f"hit rate {rate:.1%} of {plural(lookups, 'lookup')}, floor {policy.floor:.1%}"
    if state.started:
        if rate < policy.recovery_rate:
            return AlarmDecision(False, f"{numbers}; {_since(state)}, ends at {policy.recovery_rate:.1%}", state)
        state = Episode(last_start=state.last_start)
        return AlarmDecision(False, f"{numbers}: recovered", state)
    if rate >= policy.floor:
        return AlarmDecision(False, numbers, replace(state, low_since=None))
    state = replace(state, low_since=state.low_since or now)
    low_for = now - (state.low_since or now)
    if low_for < policy.low_for:
        wait = f"low for {_minutes(low_for)}, a run starts after {_minutes(policy.low_for)}"
        return AlarmDecision(False, f"{numbers}: {wait}", state)
    if state.last_start and now - state.last_start < policy.cooldown:
        ends = state.last_start + policy.cooldown
        return AlarmDecision(False, f"{numbers}: low, but cooling down until {ends:%Y-%m-%d %H:%M} UTC", state)
    if busy:
        return AlarmDecision(False, f"{numbers}: low, but {busy}", state)
    state = replace(state, started=now, last_start=now)
    return AlarmDecision(True, f"{numbers}, low for {_minutes(low_for)}", state)


def _since(state: Episode) -> str:
    return f"low since {state.low_since:%Y-%m-%d %H:%M} UTC, a warming was started at {state.started:%H:%M} UTC"


def _minutes(span: timedelta) -> str:
    return f"{span / timedelta(minutes=1):.0f} min"
