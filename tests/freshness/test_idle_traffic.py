"""What leaving and coming back cost in hits, on simulated traffic in which an entry would answer every lookup.

Few entries keep the simulation fast. What matters is the number of lookups an entry has, which is that of 1,000
entries.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pytest

from cachewarm_pipeline.freshness.idle_entries import EntryDay, IdleState, idle_states_after

IDLE_DAYS, WEEKS = 28, 28
START = date(2026, 1, 1)


@dataclass(frozen=True)
class Traffic:
    """``per_day``: lookups a day of 1,000 entries. ``skew``: exponent of Zipf's law. ``exact``: whether the log has an
    entry's own question when it is asked, instead of another wording. ``dead``: share of entries without lookups."""

    per_day: int
    skew: float
    exact: bool = False
    dead: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """Hits as a share of those without the rule.

    ``kept``: over all days but the first third. ``worst``: in the worst 28 days in a row. ``out``, ``dead_out``: shares
    of all entries, and of those without lookups, that are out.
    """

    kept: float
    worst: float
    out: float
    dead_out: float


def simulate(traffic: Traffic, entries: int = 200, days: int = 420, seed: int = 7) -> Outcome:
    chance = np.arange(1, entries + 1) ** -traffic.skew
    dead = round(entries * traffic.dead)
    chance[entries - dead :] = 0.0
    drawn = np.random.default_rng(seed).poisson(
        traffic.per_day * entries / 1000 * chance / chance.sum(), (days, entries)
    )
    served, out, dead_out = (np.zeros(days) for _ in range(3))
    for n, (asked, here) in enumerate(_days(drawn, traffic.exact)):
        served[n] = asked[here].sum()
        out[n] = 1 - here.mean()
        dead_out[n] = 1 - here[entries - dead :].mean() if dead else 0.0
    weeks = np.ones(WEEKS)
    windows = np.convolve(served, weeks, "valid") / np.convolve(drawn.sum(axis=1), weeks, "valid")
    late = slice(days // 3, None)
    return Outcome(
        served[late].sum() / drawn[late].sum(),
        float(windows.min()),
        float(out[late].mean()),
        float(dead_out[late].mean()),
    )


def _days(drawn: np.ndarray, exact: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Lookups of each day, and which entries were live on it: those of the plan of the day before."""
    states = {f"{n:04}": IdleState() for n in range(drawn.shape[1])}
    for n, asked in enumerate(drawn):
        here = np.array([state.left_on is None for state in states.values()])
        yield asked, here
        seen = {entry: EntryDay(True, int(hits)) for entry, hits, live in zip(states, asked, here, strict=True) if live}
        in_log = {entry for entry, rows in zip(states, asked, strict=True) if rows} if exact else ()
        states = idle_states_after(
            states, START + timedelta(n), seen, looked_up=True, asked=in_log, idle_days=IDLE_DAYS
        )


THIN = [Traffic(per_day, 0.7, exact) for per_day in (10, 30) for exact in (False, True)]
ACTING = [
    Traffic(per_day, 1.0, exact, dead)
    for per_day in (107, 200, 357)  # 3, 5.6 and 10 hits of an average entry in 28 days
    for exact, dead in ((False, 0.0), (False, 0.2), (True, 0.2))
]


@pytest.mark.parametrize("traffic", THIN, ids=str)
def test_thin_traffic_keeps_its_plan_and_its_hits(traffic: Traffic) -> None:
    found = simulate(traffic)
    assert found.worst >= 0.96
    assert found.out <= 0.03


@pytest.mark.parametrize("traffic", ACTING, ids=str)
def test_where_entries_leave_few_hits_are_lost_and_entries_without_lookups_leave(traffic: Traffic) -> None:
    found = simulate(traffic)
    assert found.kept >= 0.96
    assert found.worst >= 0.94
    if traffic.dead:
        assert found.dead_out >= 0.35
        assert found.dead_out > 2 * (found.out - traffic.dead * found.dead_out)  # fewer of the others
