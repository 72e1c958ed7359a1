"""The holdout is compared with a cold cache that all users fill, not with the emptier one that warming leaves."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import redis
from cachewarm_client.arms import assign
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.cache_arguments import CheckArguments
from cachewarm_client.cold_cache_shadow import MARK_EVERY, MAX_SECONDS, STORES_SECONDS, StoreMarks
from cachewarm_client.counters import HOLDOUT_ARM, WARMED_ARM
from cachewarm_client.keys import arms_key, shadow_key, stats_key, stores_key
from cachewarm_client.lookup import app_entry_id
from redisvl.query.filter import Tag

from cachewarm_pipeline.cli.inspect_cache import _rates
from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from tests.support.cache_fakes import ROTATE, Clock, TrigramEmbedder

pytest_plugins = ["tests.support.cache_fixtures"]

NEAR = "How do I rotate the signing keys?"
OTHER = "Where are the audit logs?"


class Both:
    """A cache that holds out half of the users, and a user of each arm."""

    def __init__(self, cache: WarmedSemanticCache, client: redis.Redis) -> None:
        self.cache, self.client = cache, client
        self.held_out, self.warmed_user = (self._user(arm) for arm in (HOLDOUT_ARM, WARMED_ARM))

    def _user(self, arm: str) -> str:
        users = map("user {}".format, itertools.count())
        return next(user for user in users if assign(self.cache.name, 0.5, user, None).arm == arm)

    def ask(self, user: str, prompt: str = ROTATE, **more: Any) -> list[dict[str, Any]]:
        return self.cache.check(prompt, agent_type="auditor", holdout_key=user, **more)

    def counts_of(self, arm: str) -> dict[str, int]:
        """Hits and misses of the arm in the buckets of the day, and its real outcomes in the hour."""
        self.cache.flush()
        found: dict[str, int] = {}
        buckets: Any = self.client.hgetall(arms_key(self.cache.name, "20261122"))
        hours: Any = self.client.hgetall(stats_key(self.cache.name, "2026112209"))
        for name, value in buckets.items():
            of, _, what, _ = name.decode().split(":", 3)
            if of == arm:
                found[f"bucket {what}"] = found.get(f"bucket {what}", 0) + int(value)
        for name, value in hours.items():
            of, what, _ = name.decode().split(":", 2)
            if of == arm and not what.endswith("_us"):
                found[what] = int(value)
        return found

    def shadow(self, prompt: str = ROTATE) -> str:
        return shadow_key(self.cache.name, app_entry_id(prompt, "auditor"))

    def shadows(self) -> list[bytes]:
        self.cache.flush()
        return list(self.client.scan_iter(shadow_key(self.cache.name, "*"), count=1000))


@pytest.fixture
def both(
    warmed: CacheStore, redis_url: str, embedder: TrigramEmbedder, clock: Clock, client: redis.Redis
) -> Iterator[Both]:
    with WarmedSemanticCache(warmed.name, redis_url, embedder=embedder, clock=clock, holdout=0.5, ttl=900) as cache:
        yield Both(cache, client)


@pytest.mark.parametrize("prompt", [ROTATE, NEAR])
def test_the_holdout_would_have_hit_in_a_cold_cache_what_a_warmed_entry_answered(both: Both, prompt: str) -> None:
    both.cache.store(OTHER, "there", agent_type="auditor")
    assert both.ask(both.warmed_user, prompt)
    both.cache.flush()
    assert both.ask(both.held_out, prompt) == []
    assert both.ask(both.held_out, f"  {prompt.upper()} ") == []  # the same canonical prompt
    assert both.ask(both.held_out, "Why is the sky blue?") == []
    assert both.counts_of(HOLDOUT_ARM) == {"miss": 3, "would": 2, "bucket hit": 2, "bucket miss": 1}
    match = "exact" if prompt == ROTATE else "semantic"
    assert both.counts_of(WARMED_ARM) == {match: 1, "bucket hit": 1}
    arms = both.cache.get_stats().arms
    assert (arms[HOLDOUT_ARM].hit_rate, arms[HOLDOUT_ARM].cold_cache_hit_rate) == (0.0, pytest.approx(2 / 3))
    tally = arms[HOLDOUT_ARM].as_dict()
    assert tally["would_hits"] == 2
    assert "0 hits, 3 misses: 0.0%; " in _rates("holdout arm", tally)
    assert _rates("holdout arm", tally).endswith("; a cold cache would have hit 2 more")
    assert both.cache.stats_errors == 0


def test_an_application_that_never_stores_has_no_shadow(both: Both) -> None:
    for _ in range(2):
        assert both.ask(both.warmed_user)
        assert both.ask(both.held_out) == []
    assert both.shadows() == []
    assert both.counts_of(HOLDOUT_ARM) == {"miss": 2, "bucket miss": 2}


def test_that_an_application_stores_is_known_by_agent_type_and_in_every_process(
    both: Both, redis_url: str, embedder: TrigramEmbedder
) -> None:
    with WarmedSemanticCache(both.cache.name, redis_url, embedder=embedder) as other:
        other.store(OTHER, "there", agent_type="planner")
        both.ask(both.warmed_user)
        assert both.shadows() == []
        other.store(OTHER, "there", agent_type="auditor", ttl=60)
    both.ask(both.warmed_user)
    assert both.shadows() == [both.shadow().encode()]
    mark = stores_key(both.cache.name, "auditor")
    assert both.client.get(mark) == b"60"
    assert STORES_SECONDS - 30 <= both.client.ttl(mark) <= STORES_SECONDS  # type: ignore[operator]


def test_a_shadow_expires_as_an_app_entry_would_and_hits_of_both_arms_renew_it(both: Both) -> None:
    both.cache.store(OTHER, "there", agent_type="auditor")
    for user in (both.warmed_user, both.warmed_user, both.held_out):
        both.ask(user)
        both.cache.flush()
        assert 895 <= both.client.ttl(both.shadow()) <= 900  # type: ignore[operator]
        both.client.expire(both.shadow(), 30)
    both.client.expire(both.shadow(), 0)
    both.ask(both.held_out)
    assert both.counts_of(HOLDOUT_ARM) == {"miss": 2, "would": 1, "bucket hit": 1, "bucket miss": 1}
    assert both.shadows() == []


@pytest.mark.parametrize(("ttl", "lives", "renewed"), [(600, 600, False), (None, MAX_SECONDS, True)])
def test_without_a_ttl_a_shadow_lives_as_long_as_store_said_and_hits_renew_it_only_if_it_never_expires(
    both: Both, redis_url: str, embedder: TrigramEmbedder, ttl: int | None, lives: int, renewed: bool
) -> None:
    with WarmedSemanticCache(both.cache.name, redis_url, embedder=embedder, holdout=0.5) as cache:
        one = Both(cache, both.client)
        cache.store(OTHER, "there", agent_type="auditor", ttl=ttl)
        one.ask(one.warmed_user)
        cache.flush()
        assert lives - 5 <= both.client.ttl(one.shadow()) <= lives  # type: ignore[operator]
        both.client.expire(one.shadow(), 30)
        one.ask(one.warmed_user)
        one.ask(one.held_out)
        cache.flush()
        assert (both.client.ttl(one.shadow()) > 30) is renewed  # type: ignore[operator]


def test_a_real_hit_of_the_holdout_is_not_counted_as_a_cold_cache_hit(both: Both) -> None:
    both.cache.store(ROTATE, "my way", agent_type="auditor")
    assert both.ask(both.warmed_user)[0]["response"] == "rotate it so"
    both.cache.flush()
    assert both.ask(both.held_out)[0]["response"] == "my way"
    assert both.counts_of(HOLDOUT_ARM) == {"exact": 1, "bucket hit": 1}


def test_a_hit_by_an_app_entry_and_a_lookup_without_a_prompt_leave_no_shadow(both: Both) -> None:
    both.cache.store(OTHER, "there", agent_type="auditor")
    assert both.ask(both.warmed_user, OTHER)
    vector = both.cache.vectorizer.embed(ROTATE)
    assert both.cache.check(vector=vector, agent_type="auditor", holdout_key="user 1") is not None
    assert both.shadows() == []


def test_a_lookup_with_a_filter_has_no_exact_hit_in_a_cold_cache_either(both: Both) -> None:
    both.cache.store(OTHER, "there", agent_type="auditor")
    both.ask(both.warmed_user)
    both.cache.flush()
    assert both.ask(both.held_out, filter_expression=Tag("source") == "golden") == []
    assert both.counts_of(HOLDOUT_ARM) == {"miss": 1, "bucket miss": 1}


def test_shadows_cost_no_round_trip_and_a_mark_of_storing_one_an_hour(both: Both, clock: Clock) -> None:
    trips: list[int] = []
    pipeline = both.cache._connection.client.pipeline

    def counted(*args: Any, **kwargs: Any) -> Any:
        trips.append(1)
        return pipeline(*args, **kwargs)

    both.cache._connection.client.pipeline = counted  # type: ignore[method-assign]
    for _ in range(3):
        both.cache.store(OTHER, "there", vector=[0.1] * 64, agent_type="auditor")
    assert len(trips) == 4
    for _ in range(3):
        both.ask(both.warmed_user)
    assert len(trips) == 4 + 3
    marks = StoreMarks("name")
    due = [marks.due_command(who, 60, at) is not None for who, at in (("a", 0), ("b", 1), ("a", 2), ("a", MARK_EVERY))]
    assert due == [True, True, False, True]


@pytest.mark.parametrize("broken", ["stores", "shadow"])
def test_a_shadow_that_cannot_be_kept_or_read_breaks_no_lookup(both: Both, broken: str) -> None:
    both.cache.store(OTHER, "there", agent_type="auditor")
    if broken == "stores":
        both.client.delete(stores_key(both.cache.name, "auditor"))
        both.client.hset(stores_key(both.cache.name, "auditor"), "not", "a string")
    else:
        both.client.config_set("min-replicas-to-write", 1)
    try:
        for _ in range(2):
            assert both.ask(both.warmed_user)
            assert both.ask(both.held_out) == []
    finally:
        both.client.config_set("min-replicas-to-write", 0)
    assert both.cache.stats_errors
    assert both.shadows() in ([], [both.shadow().encode()])  # the last note was sent after writes were allowed again


def test_no_prompt_and_no_user_is_in_a_shadow(both: Both) -> None:
    both.cache.store(OTHER, "there", agent_type="auditor")
    both.ask(both.warmed_user, NEAR)
    (key,) = both.shadows()
    assert key == both.shadow(NEAR).encode()
    assert both.client.get(key) == b"1"


# Lookups that raise


def test_lookups_that_raise_count_as_errors_of_the_hour_and_misses_of_the_bucket(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    both.cache.store(OTHER, "there", agent_type="auditor")
    both.ask(both.warmed_user)
    both.cache.flush()

    def failing(*_: Any) -> Any:
        raise CacheError("the embedder is down")

    monkeypatch.setattr(type(both.cache.vectorizer), "buffer", failing)
    outcomes: Counter[str] = Counter()
    both.cache.listen(lambda outcome, *_: outcomes.update([outcome]))
    assert both.ask(both.warmed_user)  # an exact hit embeds nothing
    for user, prompt in ((both.warmed_user, NEAR), (both.held_out, "How do I rotate a tyre?"), (both.held_out, ROTATE)):
        with pytest.raises(CacheError, match="embedder is down"):
            both.ask(user, prompt)
        with pytest.raises(CacheError, match="embedder is down"):
            asyncio.run(_asked(both, user, prompt))
    assert both.counts_of(WARMED_ARM) == {"exact": 2, "error": 2, "bucket hit": 2, "bucket miss": 2}
    # A cold cache would have answered ROTATE by its exact key, before anything is embedded.
    assert both.counts_of(HOLDOUT_ARM) == {"error": 4, "would": 2, "bucket hit": 2, "bucket miss": 2}
    stats = both.cache.get_stats()
    assert (stats.lookups, stats.errors, stats.hit_rate, stats.miss_ms) == (2, 6, 1.0, None)
    assert _rates("all", stats.as_dict()).endswith("; 6 raised")
    assert outcomes == {"exact": 1, "error": 6}


async def _asked(both: Both, user: str, prompt: str) -> None:
    try:
        await both.cache.acheck(prompt, agent_type="auditor", holdout_key=user)
    finally:
        await both.cache._connection.aclose()


def test_a_lookup_counts_once_even_when_something_fails_after_the_decision(both: Both) -> None:
    request = replace(both.cache._request(CheckArguments(ROTATE), "auditor"), ttl=None)
    steps = both.cache._reader.lookup(request)
    next(steps)
    with suppress(CacheError):
        steps.throw(CacheError("lost"))
    finish = both.cache._counters.start_lookup("auditor")
    finish("miss")
    finish("error")
    both.cache.flush()
    stats = both.cache.get_stats()
    assert (stats.errors, stats.misses) == (1, 1)
