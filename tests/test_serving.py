"""What an application sees: exact path, match rules, its own entries and counters; sync, async and a stock reader."""

import asyncio
import gc
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import redis
from redisvl.extensions.cache.llm import SemanticCache
from redisvl.query.filter import Num, Tag

from cachewarm_pipeline.core import search
from cachewarm_pipeline.core.errors import CacheError, ConfigurationError
from cachewarm_pipeline.core.generation import generations_key, key_prefix, stats_key
from cachewarm_pipeline.core.match import MatchRule, MatchRules
from cachewarm_pipeline.core.stats import KEEP_SECONDS, Tally
from cachewarm_pipeline.core.text import entry_id
from cachewarm_pipeline.resources.cache_store import CacheStore
from cachewarm_pipeline.resources.redis_client import connect
from cachewarm_pipeline.resources.vectorizer import EmbedderVectorizer
from cachewarm_pipeline.serving import WarmedSemanticCache
from tests.cache_fakes import NOW, TrigramEmbedder, make_plan, publish

ROTATE = "How do I rotate the signing key?"
REVOKE = "Which users may revoke a certificate?"
PLAN = [
    {"prompt": ROTATE, "response": "rotate it so", "agent_type": "auditor"},
    {"prompt": REVOKE, "response": "these users", "agent_type": "auditor", "source": "query_log"},
    {"prompt": ROTATE, "response": "plan it so", "agent_type": "planner", "quality_score": 0.8},
]


class Clock:
    """A present that tests move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def store(client: redis.Redis, cache_name: str) -> CacheStore:
    store = CacheStore(client, cache_name)
    publish(store, make_plan(PLAN))
    return store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def embedder() -> TrigramEmbedder:
    return TrigramEmbedder()


@pytest.fixture
def cache(store: CacheStore, redis_url: str, embedder: TrigramEmbedder, clock: Clock) -> Iterator[WarmedSemanticCache]:
    with WarmedSemanticCache(store.name, redis_url, embedder=embedder, clock=clock) as cache:
        yield cache


def republish(store: CacheStore, **changes: Any) -> str:
    """The plan again, under other settings; returns its generation."""
    return publish(store, make_plan(PLAN), **changes).generation


# Exact hits


@pytest.mark.parametrize("prompt", [ROTATE, "how do i  rotate the SIGNING key", f'"{ROTATE}"', f"\u00a0{ROTATE}\n"])
def test_an_exact_hit_needs_no_vector(cache: WarmedSemanticCache, embedder: TrigramEmbedder, prompt: str) -> None:
    calls = embedder.calls
    (hit,) = cache.check(prompt, agent_type="auditor")
    assert (hit["response"], hit["vector_distance"], hit["match"]) == ("rotate it so", 0.0, "exact")
    assert embedder.calls == calls


def test_a_hit_has_the_fields_of_redisvl_and_ours(cache: WarmedSemanticCache) -> None:
    (hit,) = cache.check(ROTATE, agent_type="planner")
    entry = entry_id(ROTATE, "planner")
    assert hit == {
        "key": key_prefix(cache.name, cache.generation) + entry,
        "entry_id": entry,
        "prompt": ROTATE,
        "response": "plan it so",
        "vector_distance": 0.0,
        "inserted_at": NOW.timestamp(),
        "updated_at": NOW.timestamp(),
        "metadata": {"source": "golden", "generation": cache.generation, "provenance": {"analysis": 1}},
        "agent_type": "planner",
        "source": "golden",
        "quality_score": 0.8,
        "answer_group": hit["answer_group"],
        "match": "exact",
    }
    assert cache.check(ROTATE, agent_type="planner", return_fields=["response"]) == [
        {"response": "plan it so", "key": hit["key"]}
    ]


def test_only_the_first_2000_characters_of_a_prompt_count(
    client: redis.Redis, cache_name: str, redis_url: str, embedder: TrigramEmbedder
) -> None:
    publish(CacheStore(client, cache_name), make_plan([{"prompt": "x" * 2000}]))
    with WarmedSemanticCache(cache_name, redis_url, embedder=embedder) as cache:
        assert cache.check("x" * 2000 + "y" * 5000, agent_type="auditor")[0]["match"] == "exact"
        assert cache.check("y" + "x" * 5000, agent_type="auditor")[0]["match"] == "semantic"


# Semantic hits


def test_a_near_prompt_is_answered_within_the_published_distance_and_not_beyond(cache: WarmedSemanticCache) -> None:
    (hit,) = cache.check("How do I rotate the signing keys?", agent_type="auditor")
    assert hit["match"] == "semantic"
    assert hit["response"] == "rotate it so"
    assert 0 < hit["vector_distance"] <= 0.1
    assert cache.check("How do I rotate a tyre?", agent_type="auditor") == []


def test_only_entries_of_the_lookups_own_agent_type_answer(cache: WarmedSemanticCache) -> None:
    assert cache.check(ROTATE, agent_type="planner")[0]["response"] == "plan it so"
    assert cache.check(REVOKE, agent_type="planner") == []
    assert cache.check(REVOKE, agent_type="AUDITOR") == []
    assert cache.check(REVOKE, agent_type="nobody") == []
    assert cache.check(REVOKE, agent_type=" auditor ")[0]["response"] == "these users"


def test_the_caller_can_only_be_stricter_than_the_rule(
    cache: WarmedSemanticCache, redis_url: str, embedder: TrigramEmbedder
) -> None:
    near = "How do I rotate the signing keys?"
    distance = cache.check(near, agent_type="auditor")[0]["vector_distance"]
    assert cache.check(near, agent_type="auditor", distance_threshold=distance / 2) == []
    far = "How do I rotate the key?"
    assert cache.check(far, agent_type="auditor", distance_threshold=2.0) == []
    with WarmedSemanticCache(cache.name, redis_url, embedder=embedder, distance_threshold=distance / 2) as strict:
        assert strict.check(near, agent_type="auditor") == []
        assert strict.check(ROTATE, agent_type="auditor")[0]["match"] == "exact"


def test_more_results_are_the_nearest_that_the_rule_allows(
    client: redis.Redis, cache_name: str, redis_url: str, embedder: TrigramEmbedder
) -> None:
    plan = make_plan(
        [{"prompt": f"How do I rotate the signing {n}?"} for n in ("keys", "key now", "key in git", "keyring")]
    )
    publish(CacheStore(client, cache_name), plan, rules=MatchRules.uniform(0.2))
    with WarmedSemanticCache(cache_name, redis_url, embedder=embedder) as cache:
        hits = cache.check(ROTATE, agent_type="auditor", num_results=3)
    assert len(hits) == 3
    distances = [hit["vector_distance"] for hit in hits]
    assert distances == sorted(distances)
    assert distances[-1] <= 0.2


def test_a_nearer_entry_that_speaks_of_another_number_does_not_hide_the_right_one(
    client: redis.Redis, cache_name: str, redis_url: str, embedder: TrigramEmbedder
) -> None:
    prompts = [f"Which port does gateway {n} listen on in production?" for n in (8, 9)]
    publish(CacheStore(client, cache_name), make_plan([{"prompt": p} for p in prompts]), rules=MatchRules.uniform(0.3))
    with WarmedSemanticCache(cache_name, redis_url, embedder=embedder) as cache:
        for number, expected in ((8, [prompts[0]]), (9, [prompts[1]]), (7, [])):
            hits = cache.check(f"Which port does the gateway {number} listen on in production?", agent_type="auditor")
            assert [hit["prompt"] for hit in hits] == expected


def test_a_filter_narrows_and_leaves_the_exact_path(cache: WarmedSemanticCache) -> None:
    assert cache.check(ROTATE, agent_type="planner", filter_expression=Num("quality_score") > 0.85) == []
    (hit,) = cache.check(ROTATE, agent_type="auditor", filter_expression=Num("quality_score") > 0.85)
    assert hit["match"] == "semantic"
    either = (Tag("source") == "golden") | (Tag("source") == "query_log")
    assert cache.check(REVOKE, agent_type="planner", filter_expression=either) == []


def test_a_given_vector_is_used_as_it_is(cache: WarmedSemanticCache, embedder: TrigramEmbedder) -> None:
    (vector,) = embedder.embed([ROTATE])
    (hit,) = cache.check(vector=vector.tolist(), agent_type="auditor")
    assert hit["response"] == "rotate it so"
    with pytest.raises(ValueError, match="3 dimensions"):
        cache.check(vector=[1.0, 0.0, 0.0], agent_type="auditor")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"agent_type": "auditor"}, ValueError),
        ({"prompt": "", "agent_type": "auditor"}, ValueError),
        ({"prompt": "x"}, TypeError),
        ({"prompt": "x", "agent_type": ""}, ConfigurationError),
        ({"prompt": "x", "agent_type": "a\nb"}, ConfigurationError),
        ({"prompt": "x", "agent_type": None}, ConfigurationError),
        ({"prompt": 7, "agent_type": "auditor"}, TypeError),
        ({"prompt": "x", "agent_type": "auditor", "num_results": 0}, ValueError),
        ({"prompt": "x", "agent_type": "auditor", "return_fields": "response"}, TypeError),
    ],
)
def test_wrong_use_is_told(cache: WarmedSemanticCache, arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        cache.check(**arguments)


# Rules and generations


def test_exact_only_serves_the_exact_prompt_and_embeds_nothing(
    store: CacheStore, cache: WarmedSemanticCache, embedder: TrigramEmbedder
) -> None:
    exact_only = MatchRules(MatchRule("", "distance", 0.1), {"auditor": MatchRule("auditor", "exact_only")})
    republish(store, rules=exact_only)
    calls = embedder.calls
    assert cache.check(ROTATE, agent_type="auditor")[0]["match"] == "exact"
    assert cache.check("How do I rotate the signing keys?", agent_type="auditor") == []
    assert embedder.calls == calls
    assert cache.check("How do I rotate the signing keys?", agent_type="planner")[0]["match"] == "semantic"


def test_an_open_reader_applies_the_rules_of_a_new_generation_at_its_next_lookup(
    store: CacheStore, cache: WarmedSemanticCache
) -> None:
    near = "How do I rotate the signing keys?"
    assert cache.check(near, agent_type="auditor")
    generation = republish(store, rules=MatchRules.uniform(0.001))
    assert cache.check(near, agent_type="auditor") == []
    assert cache.generation == generation


def test_an_open_reader_survives_that_its_generation_is_taken_away(
    store: CacheStore, cache: WarmedSemanticCache
) -> None:
    near = "How do I rotate the signing keys?"
    for threshold in (0.2, 0.3, 0.4):
        republish(store, rules=MatchRules.uniform(threshold))
    assert cache.check(near, agent_type="auditor")[0]["metadata"]["generation"] == store.generations()[0].id


def test_a_generation_pruned_in_the_middle_of_a_lookup_is_looked_up_again(store: CacheStore, redis_url: str) -> None:
    class Publishing(TrigramEmbedder):
        """Two publishes happen while a lookup embeds: the generation that it began with is gone then."""

        def embed(self, texts: Any, on_batch: Any = None) -> np.ndarray:
            if not self.calls:
                for threshold in (0.2, 0.3):
                    republish(store, rules=MatchRules.uniform(threshold))
            return super().embed(texts, on_batch)

    with WarmedSemanticCache(store.name, redis_url, embedder=Publishing()) as cache:
        (hit,) = cache.check("How do I rotate the signing keys?", agent_type="auditor")
        assert hit["key"].startswith(key_prefix(store.name, store.generations()[0].id))
        assert cache.get_stats().lookups == 1


def test_rules_that_a_reader_does_not_know_are_refused_with_the_advice_to_upgrade(
    store: CacheStore, client: redis.Redis, cache: WarmedSemanticCache, redis_url: str
) -> None:
    generation = republish(store, rules=MatchRules.uniform(0.2))
    record: Any = client.hget(generations_key(store.name), generation)
    changed = json.loads(record)
    changed["match_rules"]["version"] = 99
    client.hset(generations_key(store.name), generation, json.dumps(changed))
    with pytest.raises(CacheError, match="upgrade cachewarm-pipeline"):
        cache.check(ROTATE, agent_type="auditor")
    with pytest.raises(CacheError, match="upgrade cachewarm-pipeline"):
        WarmedSemanticCache(store.name, redis_url)


def test_a_record_of_a_newer_version_beside_the_live_one_does_not_disturb_readers(
    store: CacheStore, client: redis.Redis, cache: WarmedSemanticCache, redis_url: str
) -> None:
    client.hset(generations_key(store.name), "20991231-ffff", '{"id": "20991231-ffff", "schema_version": 99}')
    with WarmedSemanticCache(store.name, redis_url) as late:
        assert late.check(ROTATE, agent_type="auditor")


def test_a_reader_with_another_embedder_is_refused(
    store: CacheStore, cache: WarmedSemanticCache, redis_url: str
) -> None:
    other = TrigramEmbedder(name="other")
    with pytest.raises(CacheError, match=r"embedded by 'test:trigrams', this reader has 'test:other'"):
        WarmedSemanticCache(store.name, redis_url, embedder=other)
    publish(store, make_plan(PLAN), embedder=other)
    with pytest.raises(CacheError, match=r"embedded by 'test:other', this reader has 'test:trigrams'"):
        cache.check(ROTATE, agent_type="auditor")


def test_an_embedder_that_answers_with_another_size_is_told(store: CacheStore, redis_url: str) -> None:
    lying = TrigramEmbedder(dimensions=32)
    with WarmedSemanticCache(store.name, redis_url, embedder=lying) as cache:
        assert cache.check(ROTATE, agent_type="auditor")
        with pytest.raises(CacheError, match=r"shape \(1, 32\), the cache has 64"):
            cache.check("How do I rotate the signing keys?", agent_type="auditor")


def test_nothing_published_is_a_clear_error(redis_url: str, cache_name: str) -> None:
    with pytest.raises(CacheError, match=r"nothing is published under the name .*cachewarm warm"):
        WarmedSemanticCache(cache_name, redis_url)


def test_an_unreachable_redis_is_a_clear_error_without_its_password(cache_name: str) -> None:
    with pytest.raises(CacheError, match="lost Redis while opening the cache") as caught:
        WarmedSemanticCache(cache_name, "redis://:geheim@127.0.0.1:1/0")
    assert "geheim" not in str(caught.value)


def test_name_and_url_are_enough_when_the_cache_was_warmed_by_the_embedded_model(
    client: redis.Redis, cache_name: str, redis_url: str
) -> None:
    from cachewarm_pipeline.resources.embedders.minilm import MiniLMEmbedder

    model = MiniLMEmbedder()
    plan = make_plan([{"prompt": ROTATE}, {"prompt": REVOKE}])
    vectors = model.embed(plan["prompt"].to_pylist())
    publish(CacheStore(client, cache_name), plan, vectors=vectors, embedder=model)  # type: ignore[arg-type]
    with WarmedSemanticCache(name=cache_name, redis_url=redis_url) as cache:
        (hit,) = cache.check(prompt="how do i rotate the signing keys?", agent_type="auditor")
    assert (hit["match"], hit["prompt"]) == ("semantic", ROTATE)


# The application's own entries


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


def test_prompts_of_which_nothing_is_left_in_canonical_form_stay_apart(cache: WarmedSemanticCache) -> None:
    assert cache.store("???", "what?", agent_type="auditor") != cache.store("!!!", "oh!", agent_type="auditor")
    assert cache.check("???", agent_type="auditor")[0]["response"] == "what?"


def test_an_entry_of_a_stock_writer_is_found_exactly_and_nearby(
    cache: WarmedSemanticCache, redis_url: str, embedder: TrigramEmbedder
) -> None:
    with stock_reader(cache, redis_url, embedder) as stock:
        key = stock.store("Where are the audit logs?", "there", filters={"agent_type": "auditor"})
    calls = embedder.calls
    assert cache.check("Where are the audit logs?", agent_type="auditor")[0]["match"] == "exact"
    assert embedder.calls == calls
    assert cache.check("Where are the audit log?", agent_type="auditor")[0]["key"] == key


def test_own_entries_stay_readable_when_a_generation_is_published(
    store: CacheStore, cache: WarmedSemanticCache
) -> None:
    cache.store("Where are the audit logs?", "there", agent_type="auditor")
    republish(store, rules=MatchRules.uniform(0.2))
    assert cache.check("where are the audit logs", agent_type="auditor")[0]["match"] == "exact"
    assert cache.check("Where are the audit log?", agent_type="auditor")[0]["response"] == "there"


def test_a_warmed_answer_comes_before_an_own_one_of_the_same_prompt(cache: WarmedSemanticCache) -> None:
    cache.store(ROTATE, "stale", agent_type="auditor")
    assert cache.check(ROTATE, agent_type="auditor")[0]["response"] == "rotate it so"


def test_a_hit_renews_an_own_entry_and_never_shortens_a_warmed_one(
    store: CacheStore, client: redis.Redis, redis_url: str, embedder: TrigramEmbedder
) -> None:
    with WarmedSemanticCache(store.name, redis_url, embedder=embedder, ttl=900) as cache:
        key = cache.store("Where are the audit logs?", "there", agent_type="auditor")
        for prompt in ("Where are the audit logs?", "Where are the audit log?"):
            client.expire(key, 30)
            assert cache.check(prompt, agent_type="auditor")[0]["key"] == key
            assert client.ttl(key) > 890
        for prompt in (ROTATE, "How do I rotate the signing keys?"):
            (hit,) = cache.check(prompt, agent_type="auditor")
            assert client.ttl(hit["key"]) > 6 * 86_400


def test_an_own_entry_that_is_no_entry_is_passed_over(cache: WarmedSemanticCache, client: redis.Redis) -> None:
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


def test_clear_takes_own_entries_only(cache: WarmedSemanticCache) -> None:
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


# Counting


def test_lookups_are_counted_by_outcome_and_agent_type(cache: WarmedSemanticCache) -> None:
    cache.check(ROTATE, agent_type="auditor")
    cache.check("How do I rotate the signing keys?", agent_type="auditor")
    cache.check("How do I rotate a tyre?", agent_type="auditor")
    cache.check("nothing: here", agent_type="odd:type: with | signs")
    stats = cache.get_stats()
    assert (stats.exact, stats.semantic, stats.misses) == (1, 1, 2)
    assert (stats.hits, stats.lookups, stats.hit_rate) == (2, 4, 0.5)
    assert stats.agent_types == {"auditor": Tally(1, 1, 1), "odd:type: with | signs": Tally(0, 0, 1)}
    assert (stats.total_entries, stats.generation) == (3, cache.generation)
    assert cache.stats_errors == 0


def test_a_count_costs_no_round_trip_of_its_own_and_waits_for_one_lookup_at_most(
    cache: WarmedSemanticCache, client: redis.Redis, clock: Clock
) -> None:
    key = stats_key(cache.name, "2026112209")
    field = "warmed:exact:auditor"
    trips = count_round_trips(cache)
    for lookup in range(3):
        cache.check(ROTATE, agent_type="auditor")
        assert int(client.hget(key, field) or 0) == lookup  # type: ignore[arg-type]
    assert trips == [1, 1, 1]
    cache.flush()
    assert client.hget(key, field) == b"3"
    assert KEEP_SECONDS - 10 <= client.ttl(key) <= KEEP_SECONDS


def count_round_trips(cache: WarmedSemanticCache) -> list[int]:
    trips: list[int] = []
    pipeline = cache._lookups.pipeline

    def counted(*args: Any, **kwargs: Any) -> Any:
        trips.append(1)
        return pipeline(*args, **kwargs)

    cache._lookups.pipeline = counted  # type: ignore[method-assign]
    return trips


def test_counts_fall_into_the_hour_of_their_lookup(
    cache: WarmedSemanticCache, client: redis.Redis, clock: Clock
) -> None:
    cache.check(ROTATE, agent_type="auditor")
    clock.now += timedelta(hours=1)
    cache.check(ROTATE, agent_type="auditor")
    cache.check(ROTATE, agent_type="auditor")
    assert cache.get_stats(hours=1).exact == 2
    assert cache.get_stats(hours=2).exact == 3
    clock.now += timedelta(hours=23)
    assert cache.get_stats(hours=24).exact == 2
    assert min(client.ttl(stats_key(cache.name, hour)) for hour in ("2026112209", "2026112210")) > 0


def test_a_failing_counter_breaks_no_lookup_and_is_counted(
    cache: WarmedSemanticCache, client: redis.Redis, clock: Clock
) -> None:
    client.set(stats_key(cache.name, "2026112209"), "not a hash")
    for _ in range(3):
        assert cache.check(ROTATE, agent_type="auditor")
    assert cache.stats_errors == 2
    client.delete(stats_key(cache.name, "2026112209"))
    assert cache.check(ROTATE, agent_type="auditor")
    cache.flush()
    assert cache.get_stats().exact == 2
    assert client.ttl(stats_key(cache.name, "2026112209")) > 0


def test_a_redis_that_takes_no_writes_still_answers_lookups(cache: WarmedSemanticCache, client: redis.Redis) -> None:
    client.config_set("min-replicas-to-write", 1)
    try:
        for _ in range(3):
            assert cache.check(ROTATE, agent_type="auditor")
            assert cache.check("How do I rotate the signing keys?", agent_type="auditor")
    finally:
        client.config_set("min-replicas-to-write", 0)
    assert cache.stats_errors >= 5


def test_lost_counts_are_counted_when_redis_is_lost(cache: WarmedSemanticCache, client: redis.Redis) -> None:
    cache.check(ROTATE, agent_type="auditor")

    def gone(*args: Any, **kwargs: Any) -> Any:
        raise redis.ConnectionError("gone")

    cache._lookups.pipeline = gone  # type: ignore[method-assign]
    with pytest.raises(CacheError, match="lost Redis while reading the cache: gone"):
        cache.check(ROTATE, agent_type="auditor")
    assert cache.stats_errors == 2  # HINCRBY and EXPIRE
    cache.flush()


def test_counts_of_many_threads_add_up(cache: WarmedSemanticCache) -> None:
    def look(number: int) -> None:
        for _ in range(20):
            cache.check(ROTATE if number % 2 else "How do I rotate a tyre?", agent_type="auditor")

    threads = [threading.Thread(target=look, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = cache.get_stats()
    assert (stats.exact, stats.misses, cache.stats_errors) == (60, 60, 0)


def test_the_last_count_is_sent_when_a_reader_is_closed_or_forgotten(
    store: CacheStore, redis_url: str, embedder: TrigramEmbedder
) -> None:
    with WarmedSemanticCache(store.name, redis_url, embedder=embedder) as closed:
        closed.check(ROTATE, agent_type="auditor")
    assert store.stats(1, datetime.now(UTC)).exact == 1
    forgotten = WarmedSemanticCache(store.name, redis_url, embedder=embedder)
    forgotten.check(ROTATE, agent_type="auditor")
    del forgotten
    gc.collect()
    assert store.stats(2, datetime.now(UTC)).exact == 2


def test_the_last_count_is_sent_when_the_program_ends(store: CacheStore, redis_url: str) -> None:
    code = (
        "import sys; from cachewarm_pipeline.serving import WarmedSemanticCache\n"
        "cache = WarmedSemanticCache(sys.argv[1], sys.argv[2])\n"
        f"assert cache.check({ROTATE!r}, agent_type='auditor')\n"
    )
    subprocess.run([sys.executable, "-c", code, store.name, redis_url], check=True)
    assert store.stats(2, datetime.now(UTC)).exact == 1


def test_numbers_that_are_not_ours_in_a_stats_hash_count_nowhere(
    cache: WarmedSemanticCache, client: redis.Redis
) -> None:
    fields = {"warmed:exact:a": "x", "odd": 3, "warmed:other:a": 2, "warmed:exact:": 1}
    client.hset(stats_key(cache.name, "2026112209"), mapping=fields)
    assert cache.get_stats().lookups == 1


# Async


def test_the_async_twin_does_the_same(cache: WarmedSemanticCache) -> None:
    prompts = [ROTATE, "How do I rotate the signing keys?", "How do I rotate a tyre?"]
    expected = [cache.check(prompt, agent_type="auditor") for prompt in prompts]

    async def look() -> list[Any]:
        async with cache:
            found = [await cache.acheck(prompt, agent_type="auditor") for prompt in prompts]
            key = await cache.astore("Where are the audit logs?", "there", agent_type="auditor")
            (own,) = await cache.acheck("where are the audit logs", agent_type="auditor")
            assert own["key"] == key
            stats = await cache.aget_stats()
            assert (stats.exact, stats.semantic, stats.misses) == (3, 2, 2)
            return found

    assert asyncio.run(look()) == expected


def test_lookups_of_one_loop_run_side_by_side_and_their_counts_add_up(cache: WarmedSemanticCache) -> None:
    async def look() -> None:
        found = await asyncio.gather(*(cache.acheck(ROTATE, agent_type="auditor") for _ in range(50)))
        assert all(hits[0]["response"] == "rotate it so" for hits in found)
        await cache.adisconnect()

    asyncio.run(look())
    assert cache.get_stats().exact == 50


def test_one_cache_serves_one_event_loop_after_another(cache: WarmedSemanticCache) -> None:
    for _ in range(3):
        assert asyncio.run(cache.acheck(ROTATE, agent_type="auditor"))


# Clients and replies


@pytest.mark.parametrize("options", [{"protocol": 2}, {"protocol": 3}, {"protocol": 3, "decode_responses": True}])
def test_any_client_of_the_application_will_do(
    store: CacheStore, redis_url: str, embedder: TrigramEmbedder, options: dict[str, Any]
) -> None:
    with redis.Redis.from_url(redis_url, **options) as own:
        cache = WarmedSemanticCache(store.name, redis_client=own, embedder=embedder)
        assert cache.check(ROTATE, agent_type="auditor")[0]["response"] == "rotate it so"
        near = cache.check("How do I rotate the signing keys?", agent_type="auditor")
        assert near == asyncio.run(cache.acheck("How do I rotate the signing keys?", agent_type="auditor"))
        assert near[0]["match"] == "semantic"
        republish(store, rules=MatchRules.uniform(0.2))
        assert cache.check(ROTATE, agent_type="auditor")[0]["match"] == "exact"
        assert cache.get_stats().lookups == 4
        cache.disconnect()
        assert own.ping()


ROW3 = {b"id": b"k", b"extra_attributes": {b"vector_distance": b"0.01", b"prompt": "é".encode()}, b"values": []}


def test_both_protocols_parse_alike() -> None:
    three = {b"total_results": 2, b"results": [ROW3, {b"id": b"gone", b"extra_attributes": None}], b"warning": []}
    two = [2, b"k", [b"vector_distance", b"0.01", b"prompt", "é".encode()], b"gone", None]
    expected = search.Found(2, [("k", {"vector_distance": "0.01", "prompt": "é"}), ("gone", {})], False)
    assert search.parse_found(three) == search.parse_found(two) == expected


@pytest.mark.parametrize(
    "reply",
    [
        {b"total_results": 1, b"results": [ROW3], b"warning": [b"Timeout limit was reached"]},
        redis.ResponseError("Timeout limit was reached"),
    ],
)
def test_a_search_that_was_cut_short_is_a_miss(cache: WarmedSemanticCache, reply: Any) -> None:
    ask = replace(cache._ask("x", None, 1, None, None, None, "auditor"), vector=bytes(256))
    steps = cache._reader.lookup(ask)
    next(steps)  # asks three exact keys and what is live
    steps.send([[None] * len(search.STORED_FIELDS)] * 3 + [cache.generation.encode()])
    with pytest.raises(StopIteration) as done:
        steps.send([reply])
    assert done.value.value == []
    assert cache.get_stats().misses == 1
