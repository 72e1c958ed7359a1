"""Where an application stores its own answers the lift is that over a cold cache that everybody fills: in drawn worlds
whose true lift is known, and through real readers and Redis."""

from dataclasses import replace

import numpy as np
import pytest
import redis
from cachewarm_client.arms import assign
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.counters import HOLDOUT_ARM, WARMED_ARM
from cachewarm_client.keys import arms_key
from cachewarm_client.match_rules import MatchRule, MatchRules

from benchmarks.spillover_simulation import State, Storing, worlds
from cachewarm_pipeline.measurement.lift import impact
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from tests.support.cache_fakes import Clock, TrigramEmbedder, make_plan, publish

pytest_plugins = ["tests.support.cache_fixtures"]

TINY = Storing(prompts=500, daily=500, warmed=250, ttl_days=1.0, users=1000, settle=2)
TRIALS = 300


@pytest.mark.parametrize("traffic", [TINY, replace(TINY, ttl_days=5.0, settle=5)], ids=["a day", "five days"])
def test_the_corrected_lift_holds_the_true_one_and_the_raw_difference_is_far_off(traffic: Storing) -> None:
    covered, raw_covered, off, raw_off = 0, 0, [], []
    for world in worlds(traffic, TRIALS, seed=3):
        found, raw = impact(world.corrected).total, impact(world.raw).total
        assert found.lift is not None
        assert raw.lift is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= world.lift <= found.high
        raw_covered += (raw.low or 0.0) <= world.lift <= (raw.high or 0.0)
        off.append(found.lift - world.lift)
        raw_off.append(raw.lift - world.lift)
    print(  # noqa: T201
        f"\noff by {np.mean(off):+.3f} (interval covers {covered / TRIALS:.1%}), "
        f"raw {np.mean(raw_off):+.3f} ({raw_covered / TRIALS:.1%})"
    )
    assert covered >= 0.93 * TRIALS
    assert abs(np.mean(off)) < 0.01
    assert np.mean(raw_off) > 0.15
    assert raw_covered < 0.2 * TRIALS


def drawn(traffic: Storing, seed: int) -> tuple[State, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    prompts = rng.integers(0, traffic.prompts + 1, (traffic.daily, 4))
    return State(traffic, 4), prompts, rng.random((traffic.daily, 4)) < 0.3


def test_where_hits_renew_each_look_up_counts_as_in_the_world_that_its_arm_stands_for() -> None:
    traffic = Storing(prompts=40, daily=600, warmed=20, ttl_days=0.05)
    state, prompts, held = drawn(traffic, 1)
    warm, cold, served, would = state.day(0, prompts, held)
    assert np.array_equal((served | would)[held], cold[held])
    assert np.array_equal(served[~held], warm[~held])
    assert would.sum() > 100
    assert 0.1 < cold.mean() < 0.9


def test_where_answers_expire_by_themselves_the_holdout_counts_a_little_too_many_hits() -> None:
    """A would-be hit makes the application store anew what a cold cache would let expire: the lift errs downwards."""
    traffic = Storing(prompts=40, daily=600, warmed=20, ttl_days=0.05, renewed=False)
    state, prompts, held = drawn(traffic, 2)
    _, cold, served, would = state.day(0, prompts, held)
    more = (served | would)[held].mean() - cold[held].mean()
    assert 0.0 <= more < 0.06


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_readers_count_the_holdout_as_a_cold_cache_that_everybody_fills(
    store: CacheStore, redis_url: str, embedder: TrigramEmbedder, clock: Clock, client: redis.Redis, seed: int
) -> None:
    prompts = [f"question {n} of the day?" for n in range(12)]
    plan = make_plan([{"prompt": prompt} for prompt in prompts[:6]])
    publish(store, plan, rules=MatchRules(MatchRule("", "exact_only"), {}))
    rng = np.random.default_rng(seed)
    cold: set[str] = set()
    warm = set(prompts[:6])
    expected = {WARMED_ARM: [0, 0], HOLDOUT_ARM: [0, 0]}
    raw = 0
    with WarmedSemanticCache(store.name, redis_url, embedder=embedder, clock=clock, holdout=0.3, ttl=900) as cache:
        # The first store tells that this application keeps answers of its own.
        cache.store("something else", "an answer", agent_type="auditor")
        for _ in range(80):
            prompt, user = prompts[rng.integers(12)], f"user {rng.integers(40)}"
            arm = assign(store.name, 0.3, user, None).arm
            if hits := cache.check(prompt, agent_type="auditor", holdout_key=user):
                raw += arm == HOLDOUT_ARM
                assert arm == WARMED_ARM or not hits[0]["key"].startswith("warm:")
            else:
                cache.store(prompt, "an answer", agent_type="auditor")
            expected[arm][0] += prompt in (warm if arm == WARMED_ARM else cold)
            expected[arm][1] += 1
            cold.add(prompt)
            warm.add(prompt)
    found = {WARMED_ARM: [0, 0], HOLDOUT_ARM: [0, 0]}
    counted = client.hgetall(arms_key(store.name, "20261122"))
    for name, value in counted.items():  # type: ignore[union-attr]
        arm, _, what, _ = name.decode().split(":", 3)
        found[arm][0] += int(value) if what == "hit" else 0
        found[arm][1] += int(value)
    assert found == expected
    assert raw < expected[HOLDOUT_ARM][0]
