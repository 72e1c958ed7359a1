"""Agent types whose answers change faster have shorter TTLs, and their expiry affects no other certificate."""

from datetime import timedelta

import pytest
import redis
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.certificate import Certificate
from cachewarm_client.keys import key_prefix, ttl_seconds, whole_key
from cachewarm_client.match_rules import MatchRule, MatchRules

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from tests.support.cache_fakes import NOW, TrigramEmbedder, entry_keys, fill, numbered_plan, publish, writes

pytest_plugins = ["tests.support.cache_fixtures"]

SHORT = {"agent1": 2.0}


def test_entries_have_the_ttl_of_their_agent_type(store: CacheStore, client: redis.Redis) -> None:
    plan = numbered_plan(60)
    done = publish(store, plan, ttl_days_by_agent=SHORT)
    for row in plan.to_pylist():
        left = client.ttl(key_prefix(store.name, done.generation) + row["entry_id"])
        assert 0 <= ttl_seconds(row["entry_id"], SHORT.get(row["agent_type"], 7.0), 0.1) - left <= 5
    live = store.live()
    assert live is not None
    assert live.ttl_days_by_agent == SHORT
    assert (live.ttl_of("agent1"), live.ttl_of("agent0")) == (2.0, 7.0)


def test_other_ttl_days_make_another_generation_and_the_same_ones_do_not(store: CacheStore) -> None:
    plan = numbered_plan(20)
    first = publish(store, plan)
    assert publish(store, plan, ttl_days_by_agent={"agent1": 7.0, "of nobody": 1.0}).unchanged
    second = publish(store, plan, ttl_days_by_agent=SHORT)
    assert (second.generation, second.written) == (f"{first.generation}-r2", 20)
    assert publish(store, plan, ttl_days_by_agent=SHORT).unchanged


@pytest.mark.parametrize("days", [0.0, -1.0, float("nan"), float("inf")])
def test_ttl_days_that_are_not_a_positive_number_are_refused_before_anything_is_changed(
    store: CacheStore, client: redis.Redis, days: float
) -> None:
    changes = writes(client)
    with pytest.raises(CacheError, match="days to live of agent_type 'agent1'"):
        publish(store, numbered_plan(20), ttl_days_by_agent={"agent1": days})
    assert writes(client) == changes


def test_the_shortest_ttl_decides_when_all_ttls_are_restarted_each_with_its_own_days(
    store: CacheStore, client: redis.Redis
) -> None:
    plan = numbered_plan(60)
    done = publish(store, plan, ttl_days_by_agent=SHORT)
    for key in entry_keys(client, store.name, done.generation):
        client.expire(key, 1000)
    assert not publish(store, plan, ttl_days_by_agent=SHORT, now=NOW + timedelta(days=0.9)).ttls_renewed
    assert publish(store, plan, ttl_days_by_agent=SHORT, now=NOW + timedelta(days=1.1)).ttls_renewed
    for row in plan.to_pylist():
        left = client.ttl(key_prefix(store.name, done.generation) + row["entry_id"])
        assert 0 <= ttl_seconds(row["entry_id"], SHORT.get(row["agent_type"], 7.0), 0.1) - left <= 5


@pytest.mark.parametrize("little_by_little", [False, True])
def test_the_mark_of_a_whole_agent_type_does_not_outlive_its_first_entry(
    store: CacheStore, client: redis.Redis, little_by_little: bool
) -> None:
    plan = numbered_plan(60)
    if little_by_little:
        while not (done := fill(store, plan, 25, ttl_days_by_agent=SHORT)).published:
            pass
    else:
        done = publish(store, plan, ttl_days_by_agent=SHORT)
    for agent_type in ("agent0", "agent1", "agent2"):
        ends = [
            client.pexpiretime(key_prefix(store.name, done.generation) + row["entry_id"])
            for row in plan.to_pylist()
            if row["agent_type"] == agent_type
        ]
        mark = client.pexpiretime(whole_key(store.name, done.generation, agent_type))
        assert min(ends) - 10_000 <= mark <= min(ends)
    assert len(store.entry_ids(done.generation)) == 60  # the marks are not entries


def test_an_agent_type_that_starts_to_expire_loses_only_its_own_certificate(
    store: CacheStore, client: redis.Redis, redis_url: str, embedder: TrigramEmbedder
) -> None:
    proof = Certificate(0.05, 0.01, 0.8, 200, 1, 0.03, 400, 5)
    names = ("agent0", "agent1", "agent2")
    rules = MatchRules(
        MatchRule("", "exact_only"), {n: MatchRule(n, "distance", 0.2, True, None, proof, proof) for n in names}
    )
    done = publish(store, numbered_plan(60), rules=rules, ttl_days_by_agent=SHORT)
    with WarmedSemanticCache(store.name, redis_url, embedder=embedder) as cache:

        def near(number: int) -> bool:
            return bool(cache.check(f"How do I do thing number {number} of this list", agent_type=f"agent{number % 3}"))

        assert [near(number) for number in (30, 31, 32)] == [True, True, True]
        client.delete(whole_key(store.name, done.generation, "agent1"))
        assert [near(number) for number in (30, 31, 32)] == [True, False, True]


def test_a_missing_mark_of_a_whole_agent_type_is_set_again_by_the_next_publish(
    store: CacheStore, client: redis.Redis
) -> None:
    plan = numbered_plan(20)
    done = publish(store, plan)
    mark = whole_key(store.name, done.generation, "agent2")
    client.delete(mark)
    again = publish(store, plan)
    assert (again.unchanged, again.ttls_renewed) == (True, True)
    assert client.exists(mark)
