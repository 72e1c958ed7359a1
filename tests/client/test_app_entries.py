"""App entries beside warmed ones, stock RedisVL readers, and all kinds of Redis clients and replies."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import redis
from cachewarm_client import redis_search_commands as search
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.cache_arguments import CheckArguments
from cachewarm_client.text import entry_id
from cachewarm_client.vectorizer import EmbedderVectorizer
from redisvl.extensions.cache.llm import SemanticCache
from redisvl.query.filter import Tag

from cachewarm_pipeline.errors import CacheError, ConfigurationError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from tests.support.cache_fakes import REVOKE, ROTATE, TrigramEmbedder, distance_rules, republish

pytest_plugins = ["tests.support.cache_fixtures"]


# App entries


def test_what_an_application_stores_is_found_exactly_and_nearby(
    cache: WarmedSemanticCache, client: redis.Redis
) -> None:
    key = cache.store("Where are the audit logs?", "there", agent_type="auditor", metadata={"model": "m"}, ttl=600)
    assert key == f"{cache.name}:{entry_id('Where are the audit logs?', 'auditor')}"
    assert 595 <= client.ttl(key) <= 600
    (exact,) = cache.check("where are the audit logs", agent_type="auditor")
    assert (exact["response"], exact["match"], exact["metadata"]) == ("there", "exact", {"model": "m"})
    (near,) = cache.check("Where are the audit log?", agent_type="auditor")
    assert (near["key"], near["match"]) == (key, "semantic")
    assert cache.check("Where are the audit logs?", agent_type="planner") == []


def test_storing_again_replaces_the_answer_its_metadata_and_its_time_to_live(
    cache: WarmedSemanticCache, client: redis.Redis
) -> None:
    key = cache.store("Where are the logs?", "old", agent_type="auditor", metadata={"old": True}, ttl=60)
    assert cache.store("where are the logs", "new", filters={"agent_type": "auditor"}) == key
    (hit,) = cache.check("Where are the logs?", agent_type="auditor")
    assert hit["response"] == "new"
    assert "metadata" not in hit
    assert client.ttl(key) == -1


def test_prompts_with_an_empty_canonical_form_get_separate_entries(cache: WarmedSemanticCache) -> None:
    assert cache.store("???", "what?", agent_type="auditor") != cache.store("!!!", "oh!", agent_type="auditor")
    assert cache.check("???", agent_type="auditor")[0]["response"] == "what?"


PREAMBLE = "You are a careful assistant, and this is the policy that you follow. " * 40


def test_an_app_entry_with_a_cut_prompt_does_not_answer_other_prompts_with_the_same_beginning(
    cache: WarmedSemanticCache,
) -> None:
    cache.store(f"{PREAMBLE} What may alice do?", "alice's answer", agent_type="auditor")
    assert cache.check(f"{PREAMBLE} What may bob do?", agent_type="auditor") == []
    cache.store(f"{PREAMBLE} What may bob do?", "bob's answer", agent_type="auditor")
    for name in ("alice", "bob"):
        (hit,) = cache.check(f"{PREAMBLE} what may {name} do", agent_type="auditor")
        assert (hit["response"], hit["match"]) == (f"{name}'s answer", "exact")


@pytest.mark.parametrize("write", ["set", "sadd", "rpush"])
def test_a_key_of_another_type_where_an_app_entry_would_be_is_a_miss(
    cache: WarmedSemanticCache, client: redis.Redis, write: str
) -> None:
    question = "Zebras quickly jump over foxes"
    getattr(client, write)(f"{cache.name}:{entry_id(question, 'auditor')}", "no entry")
    assert cache.check(question, agent_type="auditor") == []
    cache.store(question, "they do", agent_type="auditor")
    assert cache.check(question, agent_type="auditor")[0]["response"] == "they do"


def test_a_warmed_entry_cannot_be_updated_dropped_or_expired(cache: WarmedSemanticCache, client: redis.Redis) -> None:
    stored = cache.store("Where are the audit logs?", "there", agent_type="auditor")
    warmed = cache.check(ROTATE, agent_type="auditor")[0]["key"]
    before: tuple[Any, Any] = (client.hgetall(warmed), client.pexpiretime(warmed))
    refused = pytest.raises(CacheError, match="is a warmed entry")
    with refused:
        cache.update(warmed, response="changed")
    with refused:
        cache.drop(keys=[stored, warmed])
    with refused:
        cache.expire(warmed, 5)

    async def in_a_loop() -> None:
        with refused:
            await cache.aupdate(warmed, response="changed")
        with refused:
            await cache.adrop(keys=[stored, warmed])
        with refused:
            await cache.aexpire(warmed, 5)
        await cache.adisconnect()

    asyncio.run(in_a_loop())
    assert (client.hgetall(warmed), client.pexpiretime(warmed)) == before
    assert client.exists(stored)
    cache.update(stored, response="over there")
    assert cache.check("Where are the audit logs?", agent_type="auditor")[0]["response"] == "over there"
    cache.drop(keys=[stored])
    assert not client.exists(stored)


def test_an_entry_of_a_stock_writer_is_found_exactly_and_nearby(
    cache: WarmedSemanticCache, redis_url: str, embedder: TrigramEmbedder
) -> None:
    with stock_reader(cache, redis_url, embedder) as stock:
        key = stock.store("Where are the audit logs?", "there", filters={"agent_type": "auditor"})
    calls = embedder.calls
    assert cache.check("Where are the audit logs?", agent_type="auditor")[0]["match"] == "exact"
    assert embedder.calls == calls
    assert cache.check("Where are the audit log?", agent_type="auditor")[0]["key"] == key


def test_app_entries_stay_readable_when_a_generation_is_published(
    warmed: CacheStore, cache: WarmedSemanticCache
) -> None:
    cache.store("Where are the audit logs?", "there", agent_type="auditor")
    republish(warmed, rules=distance_rules(0.2))
    assert cache.check("where are the audit logs", agent_type="auditor")[0]["match"] == "exact"
    assert cache.check("Where are the audit log?", agent_type="auditor")[0]["response"] == "there"


def test_a_warmed_entry_takes_precedence_over_an_app_entry_of_the_same_prompt(cache: WarmedSemanticCache) -> None:
    cache.store(ROTATE, "stale", agent_type="auditor")
    assert cache.check(ROTATE, agent_type="auditor")[0]["response"] == "rotate it so"


def test_a_hit_renews_an_app_entry_and_never_shortens_a_warmed_one(
    warmed: CacheStore, client: redis.Redis, redis_url: str, embedder: TrigramEmbedder
) -> None:
    with WarmedSemanticCache(warmed.name, redis_url, embedder=embedder, ttl=900) as cache:
        key = cache.store("Where are the audit logs?", "there", agent_type="auditor")
        for prompt in ("Where are the audit logs?", "Where are the audit log?"):
            client.expire(key, 30)
            assert cache.check(prompt, agent_type="auditor")[0]["key"] == key
            assert client.ttl(key) > 890
        for prompt in (ROTATE, "How do I rotate the signing keys?"):
            (hit,) = cache.check(prompt, agent_type="auditor")
            assert client.ttl(hit["key"]) > 6 * 86_400


def test_a_damaged_app_entry_is_skipped(cache: WarmedSemanticCache, client: redis.Redis) -> None:
    key = cache.store("Where are the audit logs?", "there", agent_type="auditor")
    client.hset(key, "metadata", "not json")
    assert cache.check("Where are the audit logs?", agent_type="auditor") == []
    client.hdel(key, "metadata", "response")
    assert cache.check("Where are the audit logs?", agent_type="auditor") == []
    assert cache.get_stats().misses == 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"prompt": "p", "response": "r"}, ConfigurationError),
        ({"prompt": "p", "response": "r", "filters": {"agent_type": "a", "user": "u"}}, ConfigurationError),
        ({"prompt": "", "response": "r", "agent_type": "a"}, TypeError),
        ({"prompt": "p", "response": None, "agent_type": "a"}, TypeError),
        ({"prompt": "p", "response": "r", "agent_type": "a", "metadata": "m"}, TypeError),
        ({"prompt": "p", "response": "r", "agent_type": "a", "vector": [1.0]}, ValueError),
    ],
)
def test_what_cannot_be_looked_up_again_is_not_stored(
    cache: WarmedSemanticCache, client: redis.Redis, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        cache.store(**arguments)
    assert list(client.scan_iter(match=f"{cache.name}:*")) == []


def test_clear_removes_app_entries_only(cache: WarmedSemanticCache) -> None:
    cache.store("Where are the audit logs?", "there", agent_type="auditor")
    cache.clear()
    assert cache.check("Where are the audit logs?", agent_type="auditor") == []
    assert cache.check(ROTATE, agent_type="auditor")
    with pytest.raises(ValueError, match="index"):
        cache.delete()


# A stock reader


def stock_reader(cache: WarmedSemanticCache, redis_url: str, embedder: TrigramEmbedder) -> SemanticCache:
    return SemanticCache(
        name=cache.name,
        redis_url=redis_url,
        vectorizer=EmbedderVectorizer(vars(embedder.info), embedder),
        distance_threshold=0.1,
        filterable_fields=[{"name": "agent_type", "type": "tag"}],
        create_index=False,
    )


def test_a_stock_semantic_cache_reads_the_same_entries(
    cache: WarmedSemanticCache, redis_url: str, embedder: TrigramEmbedder
) -> None:
    with stock_reader(cache, redis_url, embedder) as stock:
        for prompt in (ROTATE, "How do I rotate the signing keys?", REVOKE, "How do I rotate a tyre?"):
            for agent_type in ("auditor", "planner"):
                theirs = stock.check(prompt, filter_expression=Tag("agent_type") == agent_type)
                ours = cache.check(prompt, agent_type=agent_type)
                assert [hit["key"] for hit in ours] == [hit["key"] for hit in theirs]
                for mine, their in zip(ours, theirs, strict=True):
                    assert set(their) <= set(mine)
                    assert {k: mine[k] for k in their if k != "vector_distance"} == {
                        k: v for k, v in their.items() if k != "vector_distance"
                    }
                    assert mine["vector_distance"] == pytest.approx(their["vector_distance"], abs=1e-6)


# Clients and replies


@pytest.mark.parametrize("options", [{"protocol": 2}, {"protocol": 3}, {"protocol": 3, "decode_responses": True}])
def test_any_redis_client_of_the_application_works(
    warmed: CacheStore, redis_url: str, embedder: TrigramEmbedder, options: dict[str, Any]
) -> None:
    with redis.Redis.from_url(redis_url, **options) as own:
        cache = WarmedSemanticCache(warmed.name, redis_client=own, embedder=embedder)
        assert cache.check(ROTATE, agent_type="auditor")[0]["response"] == "rotate it so"
        near = cache.check("How do I rotate the signing keys?", agent_type="auditor")
        assert near == asyncio.run(cache.acheck("How do I rotate the signing keys?", agent_type="auditor"))
        assert near[0]["match"] == "semantic"
        republish(warmed, rules=distance_rules(0.2))
        assert cache.check(ROTATE, agent_type="auditor")[0]["match"] == "exact"
        assert cache.get_stats().lookups == 4
        cache.disconnect()
        assert own.ping()


ROW3 = {b"id": b"k", b"extra_attributes": {b"vector_distance": b"0.01", b"prompt": "é".encode()}, b"values": []}


def test_replies_of_both_protocols_parse_to_the_same_rows() -> None:
    three = {b"total_results": 2, b"results": [ROW3, {b"id": b"gone", b"extra_attributes": None}], b"warning": []}
    two = [2, b"k", [b"vector_distance", b"0.01", b"prompt", "é".encode()], b"gone", None]
    expected = search.SearchReply(2, [("k", {"vector_distance": "0.01", "prompt": "é"}), ("gone", {})], False)
    assert search.parse_found(three) == search.parse_found(two) == expected


@pytest.mark.parametrize(
    "reply",
    [
        {b"total_results": 1, b"results": [ROW3], b"warning": [b"Timeout limit was reached"]},
        redis.ResponseError("Timeout limit was reached"),
    ],
)
def test_a_search_that_was_cut_short_is_a_miss(cache: WarmedSemanticCache, reply: Any) -> None:
    request = replace(cache._request(CheckArguments("x"), "auditor"), vector=bytes(256))
    steps = cache._reader.lookup(request)
    next(steps)  # reads three exact keys, whether the generation is complete, and what is live
    steps.send([[None] * len(search.STORED_FIELDS)] * 3 + [1, cache.generation.encode()])
    with pytest.raises(StopIteration) as done:
        steps.send([reply])
    assert done.value.value == []
    assert cache.get_stats().misses == 1
