"""What leaving and coming back do to the hit rate of simulated traffic, every lookup of which some entry would answer.

Entries are few, so that it is fast; what matters are the lookups that an entry has, and those are as of 1,000 entries.
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
    """``per_day``: lookups a day of 1,000 entries; ``skew``: exponent of Zipf's law; ``to_the_letter``: the log has an
    entry's own question when it is asked, else other wordings; ``dead``: share of the entries that nobody asks for."""

    per_day: int
    skew: float
    to_the_letter: bool = False
    dead: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """Rates against no rule: of all days but the first third, and of the worst 28 days in a row; shares of the
    entries, and of the dead ones, that are out."""

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
    for n, (asked, here) in enumerate(_days(drawn, traffic.to_the_letter)):
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


def _days(drawn: np.ndarray, to_the_letter: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Lookups of each day, and which entries were live on it: those of the plan of the day before."""
    states = {f"{n:04}": IdleState() for n in range(drawn.shape[1])}
    for n, asked in enumerate(drawn):
        here = np.array([state.left_on is None for state in states.values()])
        yield asked, here
        seen = {entry: EntryDay(True, int(hits)) for entry, hits, live in zip(states, asked, here, strict=True) if live}
        said = {entry for entry, rows in zip(states, asked, strict=True) if rows} if to_the_letter else ()
        states = idle_states_after(states, START + timedelta(n), seen, looked_up=True, asked=said, idle_days=IDLE_DAYS)


THIN = [Traffic(per_day, 0.7, letter) for per_day in (10, 30) for letter in (False, True)]
ACTING = [
    Traffic(per_day, 1.0, letter, dead)
    for per_day in (107, 200, 357)  # 3, 5.6 and 10 hits of an average entry in 28 days
    for letter, dead in ((False, 0.0), (False, 0.2), (True, 0.2))
]


@pytest.mark.parametrize("traffic", THIN, ids=str)
def test_thin_traffic_keeps_its_plan_and_its_hits(traffic: Traffic) -> None:
    found = simulate(traffic)
    assert found.worst >= 0.96
    assert found.out <= 0.03


@pytest.mark.parametrize("traffic", ACTING, ids=str)
def test_where_entries_leave_few_hits_are_lost_and_the_dead_leave(traffic: Traffic) -> None:
    found = simulate(traffic)
    assert found.kept >= 0.96
    assert found.worst >= 0.94
    if traffic.dead:
        assert found.dead_out >= 0.35
        assert found.dead_out > 2 * (found.out - traffic.dead * found.dead_out)  # of the others fewer
