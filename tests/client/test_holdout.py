"""The holdout never sees a warmed entry, both arms see what the application stored, and both are counted."""

import asyncio
import itertools
import json
import math
from collections.abc import Iterator
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from cachewarm_client.arms import assign
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.certificate import Certificate
from cachewarm_client.counters import HOLDOUT_ARM, KEEP_SECONDS, SERVED_SECONDS, WARMED_ARM
from cachewarm_client.keys import arms_key, served_key, stats_key
from cachewarm_client.match_rules import MatchRule, MatchRules
from cachewarm_client.text import canonical, entry_id
from hypothesis import given, settings
from hypothesis import strategies as st
from redisvl.query.filter import Tag

from cachewarm_pipeline.automation.hit_rate_sensor import measured_rate
from cachewarm_pipeline.cli.inspect_cache import _rates
from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.connect import connect
from cachewarm_pipeline.settings import load_settings
from tests.client.test_learned_rule_lookups import SPACE
from tests.client.test_learned_rule_lookups import rules as learned
from tests.support.cache_fakes import ROTATE, Clock, TrigramEmbedder, make_plan, publish

pytest_plugins = ["tests.support.cache_fixtures"]

NEAR = "How do I rotate the signing keys?"


@pytest.fixture
def reader(
    warmed: CacheStore, redis_url: str, embedder: TrigramEmbedder, clock: Clock
) -> Iterator[WarmedSemanticCache]:
    with WarmedSemanticCache(warmed.name, redis_url, embedder=embedder, clock=clock, holdout=0.5) as cache:
        yield cache


def user_of(name: str, arm: str) -> str:
    """The first user that a holdout share of 0.5 puts in this arm."""
    return next(u for u in map("user {}".format, itertools.count()) if assign(name, 0.5, u, None).arm == arm)


def ways(cache: WarmedSemanticCache, prompt: str, agent_type: str, key: str) -> Iterator[list[dict[str, Any]]]:
    """The hits of all ways to look a prompt up."""
    vector = cache.vectorizer.embed(prompt)
    both = {"agent_type": agent_type, "holdout_key": key}
    yield cache.check(prompt, **both)
    yield cache.check(prompt, num_results=20, explain=True, **both)
    yield cache.check(prompt, vector=vector, num_results=3, **both)
    yield cache.check(vector=vector, num_results=3, **both)
    for only in (Tag("agent_type") == agent_type, Tag("source") == "golden"):
        yield cache.check(prompt, filter_expression=only, num_results=3, **both)
    yield asyncio.run(cache.acheck(prompt, num_results=3, **both))


def test_the_holdout_sees_what_the_application_stored_and_no_warmed_entry(reader: WarmedSemanticCache) -> None:
    held_out, warmed_user = (user_of(reader.name, arm) for arm in (HOLDOUT_ARM, WARMED_ARM))
    for prompt in (ROTATE, NEAR):
        assert not any(ways(reader, prompt, "auditor", held_out))
        assert all(list(ways(reader, prompt, "auditor", warmed_user))[:5])
    key = reader.store(ROTATE, "rotate it my way", agent_type="auditor")
    for prompt, match in ((ROTATE, "exact"), (NEAR, "semantic")):
        (hit,) = reader.check(prompt, agent_type="auditor", holdout_key=held_out)
        assert (hit["key"], hit["match"], hit["response"]) == (key, match, "rotate it my way")
    (warmed,) = reader.check(ROTATE, agent_type="auditor", holdout_key=warmed_user)
    assert warmed["response"] == "rotate it so"
    own = reader.store("Where are the audit logs?", "there", agent_type="auditor")
    for user in (held_out, warmed_user):
        for prompt in ("Where are the audit logs", "Where are the audit log?"):
            assert [hit["key"] for hit in reader.check(prompt, agent_type="auditor", holdout_key=user)] == [own]


def test_a_withdrawn_warmed_answer_does_not_hide_an_app_entry_from_the_holdout(
    reader: WarmedSemanticCache, warmed: CacheStore
) -> None:
    warmed.withdraw({entry_id(ROTATE, "auditor"): None})
    reader.store(NEAR, "my way", agent_type="auditor")
    assert reader.check(ROTATE, agent_type="auditor", holdout_key=user_of(reader.name, WARMED_ARM)) == []
    (hit,) = reader.check(ROTATE, agent_type="auditor", holdout_key=user_of(reader.name, HOLDOUT_ARM))
    assert hit["response"] == "my way"


def test_an_explanation_names_its_arm(reader: WarmedSemanticCache) -> None:
    held_out, warmed_user = (user_of(reader.name, arm) for arm in (HOLDOUT_ARM, WARMED_ARM))
    why = reader.explain(ROTATE, agent_type="auditor", holdout_key=held_out)
    assert (why["arm"], why["match"], why["neighbours"]) == (HOLDOUT_ARM, "miss", [])
    why = reader.explain(ROTATE, agent_type="auditor", holdout_key=warmed_user)
    assert (why["arm"], why["match"]) == (WARMED_ARM, "exact")


WORDS = ["rotate", "revoke", "the", "signing", "key", "certificate", "not", "2", "users", "?"]
PROMPTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join).filter(canonical)
PROOF = Certificate(0.05, 0.01, 0.5, 200, 1, 0.03, 400, 5)
RULES = {
    "exact_only": lambda _: MatchRules(MatchRule("", "exact_only"), {}),
    "certified": lambda distance: MatchRules(MatchRule("", "distance", distance, True, None, PROOF), {}),
    "learned": lambda distance: learned(-9.0, SPACE, distance),
}


@given(
    planned=st.lists(PROMPTS, min_size=1, max_size=8, unique_by=canonical),
    own=st.lists(PROMPTS, max_size=3),
    asked=PROMPTS,
    rule=st.sampled_from(sorted(RULES)),
    distance=st.sampled_from([0.05, 0.4, 1.9]),
)
@settings(max_examples=20)
def test_no_warmed_entry_is_ever_served_to_the_holdout(
    redis_url: str, planned: list[str], own: list[str], asked: str, rule: str, distance: float
) -> None:
    with connect(redis_url) as client:
        store = CacheStore(client, "t-holdout-property")
        plan = make_plan([{"prompt": prompt, "agent_type": "a"} for prompt in planned])
        publish(store, plan, rules=RULES[rule](distance))
        with WarmedSemanticCache(store.name, redis_url, embedder=TrigramEmbedder(), holdout=1.0) as cache:
            cache.clear()
            keys = {cache.store(prompt, f"own {prompt}", agent_type="a") for prompt in own}
            for prompt in (asked, planned[0]):
                for hits in ways(cache, prompt, "a", ""):
                    assert {hit["key"] for hit in hits} <= keys
                    assert all(hit["response"].startswith("own ") for hit in hits)


# Which users are in the holdout


def test_the_key_of_a_lookup_takes_precedence_over_the_callable_and_without_both_the_prompt_decides(
    warmed: CacheStore, redis_url: str, embedder: TrigramEmbedder
) -> None:
    held_out, warmed_user = (user_of(warmed.name, arm) for arm in (HOLDOUT_ARM, WARMED_ARM))
    present: ContextVar[str | None] = ContextVar("present", default=None)
    with WarmedSemanticCache(warmed.name, redis_url, embedder=embedder, holdout=0.5, holdout_key=present.get) as cache:

        def arm(key: str | None = None) -> str:
            return str(cache.explain(ROTATE, agent_type="auditor", holdout_key=key)["arm"])

        by_prompt = assign(warmed.name, 0.5, None, ROTATE).arm
        assert (arm(), arm(held_out), arm(warmed_user)) == (by_prompt, HOLDOUT_ARM, WARMED_ARM)
        for user, expected in ((held_out, HOLDOUT_ARM), (warmed_user, WARMED_ARM), ("", by_prompt)):
            present.set(user)
            assert arm() == expected
            assert bool(asyncio.run(cache.acheck(ROTATE, agent_type="auditor"))) is (expected == WARMED_ARM)
        assert arm(warmed_user) == WARMED_ARM


@pytest.mark.parametrize("answer", [lambda: 1 / 0, lambda: 42])
def test_a_failing_holdout_key_breaks_no_lookup_and_is_counted_each_time_and_logged_once(
    warmed: CacheStore,
    redis_url: str,
    embedder: TrigramEmbedder,
    answer: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for share, errors in ((0.001, 1), (0.0, 0)):
        with WarmedSemanticCache(warmed.name, redis_url, embedder=embedder, holdout=share, holdout_key=answer) as cache:
            for n in (1, 2):
                assert cache.check(ROTATE, agent_type="auditor")
                assert cache.stats_errors == n * errors
    assert [record.message.split()[0] for record in caplog.records] == ["holdout_key"]


def test_an_unusable_holdout_is_refused_before_redis_is_reached(redis_url: str) -> None:
    for wrong in ({"holdout": 1.5}, {"holdout": math.nan}, {"holdout": 0.1, "holdout_key": "user 1"}):
        with pytest.raises(ConfigurationError, match="holdout"):
            WarmedSemanticCache("nothing-here", redis_url, **wrong)  # type: ignore[arg-type]


def test_a_key_that_is_not_a_string_is_refused(reader: WarmedSemanticCache) -> None:
    with pytest.raises(TypeError, match="holdout_key must be a string, got int"):
        reader.check(ROTATE, agent_type="auditor", holdout_key=42)  # type: ignore[arg-type]


# Counting


def test_lookups_are_counted_by_arm_hour_agent_type_bucket_and_entry(
    reader: WarmedSemanticCache, client: redis.Redis
) -> None:
    held_out, warmed_user = (user_of(reader.name, arm) for arm in (HOLDOUT_ARM, WARMED_ARM))
    reader.store("Where are the logs?", "there", agent_type="auditor")
    for user in (held_out, warmed_user):
        for prompt in (ROTATE, NEAR, "Where are the logs?", "Why is the sky blue?"):
            reader.check(prompt, agent_type="auditor", holdout_key=user)
    reader.check("How?", agent_type="odd:type", holdout_key=held_out)
    reader.flush()
    fields = {name.decode(): int(value) for name, value in client.hgetall(stats_key(reader.name, "2026112209")).items()}  # type: ignore[union-attr]
    times = {name: fields.pop(name) for name in list(fields) if name.split(":")[1].endswith("_us")}
    assert fields == {
        "warmed:exact:auditor": 2,
        "warmed:semantic:auditor": 1,
        "warmed:own:auditor": 1,
        "warmed:miss:auditor": 1,
        "holdout:exact:auditor": 1,
        "holdout:miss:auditor": 3,
        "holdout:miss:odd:type": 1,
    }
    assert set(times) == {f"{a}:{w}:auditor" for a in ("warmed", "holdout") for w in ("hit_us", "miss_us")} | {
        "holdout:miss_us:odd:type"
    }
    assert min(times.values()) > 0
    served = client.hgetall(served_key(reader.name, "2026112209"))
    assert served == {entry_id(ROTATE, "auditor").encode(): b"2"}
    buckets = {user: assign(reader.name, 0.5, user, None).bucket for user in (held_out, warmed_user)}
    assert client.hgetall(arms_key(reader.name, "20261122")) == {
        f"warmed:{buckets[warmed_user]}:hit:auditor".encode(): b"3",
        f"warmed:{buckets[warmed_user]}:miss:auditor".encode(): b"1",
        f"holdout:{buckets[held_out]}:hit:auditor".encode(): b"1",
        f"holdout:{buckets[held_out]}:miss:auditor".encode(): b"3",
        f"holdout:{buckets[held_out]}:miss:odd:type".encode(): b"1",
    }
    lives = {
        stats_key(reader.name, "2026112209"): KEEP_SECONDS,
        served_key(reader.name, "2026112209"): SERVED_SECONDS,
        arms_key(reader.name, "20261122"): KEEP_SECONDS,
    }
    assert all(seconds - 30 <= client.ttl(key) <= seconds for key, seconds in lives.items())  # type: ignore[operator]
    stats = reader.get_stats()
    assert (stats.lookups, stats.warmed.lookups, stats.arms[HOLDOUT_ARM].lookups) == (9, 4, 5)
    assert stats.warmed.hit_rate == 0.75
    assert stats.hit_ms
    assert stats.miss_ms
    assert reader.stats_errors == 0


def test_a_reader_without_a_holdout_counts_in_no_bucket(
    warmed: CacheStore, redis_url: str, embedder: TrigramEmbedder, clock: Clock, client: redis.Redis
) -> None:
    with WarmedSemanticCache(warmed.name, redis_url, embedder=embedder, clock=clock) as cache:
        cache.check(ROTATE, agent_type="auditor", holdout_key="user 1")
    assert not client.exists(arms_key(warmed.name, "20261122"))


def test_counters_that_fail_in_the_holdout_break_no_lookup(reader: WarmedSemanticCache, client: redis.Redis) -> None:
    held_out = user_of(reader.name, HOLDOUT_ARM)
    for key in (arms_key(reader.name, "20261122"), stats_key(reader.name, "2026112209")):
        client.set(key, "not a hash")
    reader.store(ROTATE, "my way", agent_type="auditor")
    for _ in range(2):
        assert reader.check(ROTATE, agent_type="auditor", holdout_key=held_out)
    assert reader.stats_errors == 3  # the hit, its microseconds and its bucket


def test_no_key_and_no_value_in_redis_contains_the_user_of_a_lookup(
    reader: WarmedSemanticCache, client: redis.Redis
) -> None:
    secret = "someone@example.org"
    for prompt in (ROTATE, NEAR, "Why is the sky blue?"):
        reader.check(prompt, agent_type="auditor", holdout_key=secret)
    reader.explain(ROTATE, agent_type="auditor", holdout_key=secret)
    reader.flush()
    for key in client.scan_iter(count=1000):
        assert secret.encode() not in key + (client.dump(key) or b"")
        if client.type(key) == b"hash":
            fields: Any = client.hgetall(key)
            assert not any(secret.encode() in part for pair in fields.items() for part in pair)


def test_the_forecast_is_compared_with_the_hit_rate_of_the_warmed_arm(
    reader: WarmedSemanticCache, warmed: CacheStore, clock: Clock
) -> None:
    for arm, lookups in ((WARMED_ARM, 3), (HOLDOUT_ARM, 5)):
        for _ in range(lookups):
            reader.check(ROTATE, agent_type="auditor", holdout_key=user_of(reader.name, arm))
    reader.flush()
    workspace: Any = SimpleNamespace(settings=load_settings(), now=clock)
    rate = measured_rate(workspace, warmed)
    assert (rate.hits, rate.lookups) == (3, 3)


def test_the_command_line_shows_both_arms_and_mean_times(reader: WarmedSemanticCache, redis_url: str) -> None:
    for arm in (WARMED_ARM, HOLDOUT_ARM):
        reader.check(ROTATE, agent_type="auditor", holdout_key=user_of(reader.name, arm))
    found = json.loads(json.dumps(reader.get_stats().as_dict()))
    assert found["arms"]["warmed"]["hits"] == 1
    assert found["arms"]["holdout"]["misses"] == 1
    line = _rates("holdout arm", found["arms"]["holdout"])
    assert "0 hits, 1 miss: 0.0%; mean miss " in line
