"""Simulated traffic of an application that stores its own answers, in three worlds with the same lookups: all users
warmed, no user warmed, and the experiment with a holdout and the shadow of what a cold cache would contain
(cachewarm_client.cold_cache_shadow). Does the experiment find the lift of the first world over the second?

Nothing here is used by the pipeline.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from benchmarks.lift_simulation import FIRST
from cachewarm_pipeline.measurement.lift.arm_counts import ARMS, BUCKETS, ArmCount

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Storing:
    """An application that stores its own answers (app entries). Every cache starts empty."""

    prompts: int
    """Different prompts, asked by Zipf's law."""
    daily: int
    """Lookups a day."""
    warmed: int
    """Prompts that are warmed, the most frequent ones."""
    ttl_days: float
    """Life of an app entry."""
    renewed: bool = True
    """Whether a hit renews it."""
    settle: int = 3
    """Days at the beginning that are not counted."""
    days: int = 7
    """Days that are counted."""
    users: int = 1500
    holdout: float = 0.05
    """Share of users."""
    fresh: float = 0.15
    """Mean share of a user's lookups with a prompt that is asked only once; from 0 to twice that by user."""
    uneven: float = 0.7
    """Gamma shape of lookups by user; smaller is more uneven."""


STORED = Storing(prompts=2_000, daily=2_000, warmed=1_000, ttl_days=1.0)
"""A popular prompt is asked every few minutes: a cold cache soon contains it, the cache of a 5% holdout does not."""

LARGE = Storing(prompts=10_000, daily=10_000, warmed=1_000, ttl_days=7.0, settle=8)
"""Warmed prompts are asked so often that a cold cache would always contain them: warming adds almost nothing."""


@dataclass(frozen=True)
class World:
    """One simulation."""

    lift: float
    """Of all users warmed over no user warmed, with the same lookups in both."""
    raw: list[ArmCount]
    """Counts of the experiment as the holdout was really served."""
    corrected: list[ArmCount]
    """Likewise, with the hits that a cold cache would have had by the shadow."""


def worlds(traffic: Storing, number: int, seed: int) -> list[World]:
    """``number`` independent simulations. Memory of each: 16 bytes a prompt, 30 bytes a lookup of a day."""
    rng = np.random.default_rng(seed)
    activity = rng.gamma(traffic.uneven, 1 / traffic.uneven, traffic.users)
    fresh_share = 2 * traffic.fresh * rng.random(traffic.users)
    held_out = rng.random((traffic.users, number)) < traffic.holdout
    bucket = rng.integers(0, BUCKETS, (traffic.users, number))
    who, popular = (np.cumsum(x / x.sum()) for x in (activity, 1 / np.arange(1.0, traffic.prompts + 1)))
    state = State(traffic, number)
    every = np.arange(number)
    gained = np.zeros(number)
    raw: list[list[ArmCount]] = [[] for _ in every]
    corrected: list[list[ArmCount]] = [[] for _ in every]
    for day in range(traffic.settle + traffic.days):
        shape = (traffic.daily, number)
        user, prompt = (np.minimum(np.searchsorted(x, rng.random(shape)), len(x) - 1) for x in (who, popular))
        prompt = np.where(rng.random(shape) < fresh_share[user], traffic.prompts, prompt)
        in_holdout = held_out[user, every]
        warm, cold, served, would = state.day(day * traffic.daily, prompt, in_holdout)
        if day < traffic.settle:
            continue
        gained += (warm.mean(0) - cold.mean(0)) / traffic.days
        cell = in_holdout * BUCKETS + bucket[user, every]
        slot = f"{FIRST + timedelta(days=day):%Y%m%d}"
        for n in every:
            lookups = np.bincount(cell[:, n], minlength=2 * BUCKETS)
            for out, hit in ((raw, served), (corrected, served | would)):
                hits = np.bincount(cell[hit[:, n], n], minlength=2 * BUCKETS)
                out[n] += [
                    ArmCount(ARMS[c // BUCKETS], slot, "all", int(hits[c]), int(lookups[c]), c % BUCKETS)
                    for c in range(2 * BUCKETS)
                    if lookups[c]
                ]
    return [World(float(gained[n]), raw[n], corrected[n]) for n in every]


class State:
    """The lookup until which the app entry of each prompt lives, by world and simulation. Prompts that are asked only
    once share a last column, which is never read."""

    def __init__(self, traffic: Storing, number: int) -> None:
        self._traffic = traffic
        self._ttl = round(traffic.ttl_days * traffic.daily)
        self._rows = np.arange(number) * (traffic.prompts + 1)
        empty = np.zeros(number * (traffic.prompts + 1), np.int32)
        self._cold, self._warm, self._app_entries, self._shadow = (empty.copy() for _ in range(4))

    def day(self, start: int, prompts: NDArray[np.int64], held_out: Bools) -> tuple[Bools, Bools, Bools, Bools]:
        """Hits of a day's lookups, each (lookups, simulations): all users warmed, no user warmed, and in the experiment
        the lookups that were served and the holdout's lookups that a cold cache would also have answered."""
        out = np.zeros((4, *prompts.shape), np.bool_)
        for n, (prompt, in_holdout) in enumerate(zip(prompts, held_out, strict=True)):
            now, at, again = start + n + 1, self._rows + prompt, prompt < self._traffic.prompts
            warmed = prompt < self._traffic.warmed
            cold = self._touch(self._cold, at, now) & again
            by_app_entry = self._touch(self._warm, at[~warmed], now)
            out[0, n], out[1, n] = warmed, cold
            out[0, n, ~warmed] = by_app_entry & again[~warmed]
            sees = warmed & ~in_holdout
            shadow = (self._shadow[at] >= now) & again
            self._touch(self._shadow, at[sees], now)
            real = self._touch(self._app_entries, at[~sees], now)
            out[2, n] = sees
            out[2, n, ~sees] = real & again[~sees]
            out[3, n] = in_holdout & shadow & ~out[2, n]
            if self._traffic.renewed:
                renew = at[in_holdout & shadow]
                self._shadow[renew] = now + self._ttl
        return out[0], out[1], out[2], out[3]

    def _touch(self, until: NDArray[np.int32], at: NDArray[np.int64], now: int) -> Bools:
        """Whether an answer is stored. A missing one is stored now; a stored one is renewed if hits do that."""
        before = until[at]
        stored: Bools = before >= now
        until[at] = now + self._ttl if self._traffic.renewed else np.where(stored, before, now + self._ttl)
        return stored
