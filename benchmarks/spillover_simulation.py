"""Drawn traffic of an application that stores its own answers, in three worlds at once: everybody warmed, nobody
warmed, and the experiment with a holdout and the shadow of what a cold cache would hold
(cachewarm_client.cold_cache_shadow). Is the lift of the experiment that of the first two?

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
    """``daily`` lookups of ``prompts`` prompts by Zipf's law, the most asked ``warmed`` of them warmed. An own answer
    lives ``ttl_days``, ``renewed`` by hits or not. All begins empty; ``settle`` days are not counted, ``days`` are.
    ``users`` are unevenly active (gamma of shape ``uneven``); a share of what each asks is asked once and by nobody
    else: ``fresh`` on average, from none to twice that by user."""

    prompts: int
    daily: int
    warmed: int
    ttl_days: float
    renewed: bool = True
    settle: int = 3
    days: int = 7
    users: int = 1500
    holdout: float = 0.05
    fresh: float = 0.15
    uneven: float = 0.7


STORED = Storing(prompts=2_000, daily=2_000, warmed=1_000, ttl_days=1.0)
"""A popular question is asked every few minutes: a cold cache soon holds it, a holdout of 5% does not."""

LARGE = Storing(prompts=10_000, daily=10_000, warmed=1_000, ttl_days=7.0, settle=8)
"""What is warmed is asked so often that a cold cache would always hold it: warming brings next to nothing."""


@dataclass(frozen=True)
class World:
    """One draw. ``lift``: of everybody warmed over nobody warmed, the same lookups in both. ``raw``: what the holdout
    was really served; ``corrected``: with what the shadow says that a cold cache would have answered."""

    lift: float
    raw: list[ArmCount]
    corrected: list[ArmCount]


def worlds(traffic: Storing, number: int, seed: int) -> list[World]:
    """That many independent draws. Memory: 16 bytes for each prompt and draw, 30 for each lookup of a day and draw."""
    rng = np.random.default_rng(seed)
    activity = rng.gamma(traffic.uneven, 1 / traffic.uneven, traffic.users)
    fresh_share = 2 * traffic.fresh * rng.random(traffic.users)
    held = rng.random((traffic.users, number)) < traffic.holdout
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
        mine = held[user, every]
        warm, cold, served, would = state.day(day * traffic.daily, prompt, mine)
        if day < traffic.settle:
            continue
        gained += (warm.mean(0) - cold.mean(0)) / traffic.days
        cell = mine * BUCKETS + bucket[user, every]
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
    """Until which lookup each prompt's own answer lives, in each world and draw; prompts that nobody else asks share
    a last column that is never read."""

    def __init__(self, traffic: Storing, number: int) -> None:
        self._traffic = traffic
        self._ttl = round(traffic.ttl_days * traffic.daily)
        self._rows = np.arange(number) * (traffic.prompts + 1)
        empty = np.zeros(number * (traffic.prompts + 1), np.int32)
        self._cold, self._warm, self._own, self._shadow = (empty.copy() for _ in range(4))

    def day(self, start: int, prompts: NDArray[np.int64], held: Bools) -> tuple[Bools, Bools, Bools, Bools]:
        """Hits of a day's lookups, all (lookups, draws): everybody warmed, nobody warmed, and of the experiment what
        was served and what the holdout would have hit beside it."""
        out = np.zeros((4, *prompts.shape), np.bool_)
        for n, (prompt, mine) in enumerate(zip(prompts, held, strict=True)):
            now, at, again = start + n + 1, self._rows + prompt, prompt < self._traffic.prompts
            warmed = prompt < self._traffic.warmed
            cold = self._touch(self._cold, at, now) & again
            own = self._touch(self._warm, at[~warmed], now)
            out[0, n], out[1, n] = warmed, cold
            out[0, n, ~warmed] = own & again[~warmed]
            sees = warmed & ~mine
            shadow = (self._shadow[at] >= now) & again
            self._touch(self._shadow, at[sees], now)
            real = self._touch(self._own, at[~sees], now)
            out[2, n] = sees
            out[2, n, ~sees] = real & again[~sees]
            out[3, n] = mine & shadow & ~out[2, n]
            if self._traffic.renewed:
                renew = at[mine & shadow]
                self._shadow[renew] = now + self._ttl
        return out[0], out[1], out[2], out[3]

    def _touch(self, until: NDArray[np.int32], at: NDArray[np.int64], now: int) -> Bools:
        """Whether an answer is there. One that is not is stored now; one that is, is renewed where hits do that."""
        before = until[at]
        there: Bools = before >= now
        until[at] = now + self._ttl if self._traffic.renewed else np.where(there, before, now + self._ttl)
        return there
