"""A lookup as an application sees it: exact path, semantic hits, match rules and generations."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import redis
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.keys import generations_key, key_prefix
from cachewarm_client.match_rules import MatchRule
from cachewarm_client.text import entry_id
from redisvl.query.filter import Num, Tag

from cachewarm_pipeline.errors import CacheError, ConfigurationError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from tests.support.cache_fakes import (
    NOW,
    PLAN,
    REVOKE,
    ROTATE,
    TrigramEmbedder,
    distance_rules,
    make_plan,
    publish,
    republish,
)

pytest_plugins = ["tests.support.cache_fixtures"]


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


def test_more_results_are_the_nearest_entry_and_others_of_its_answer_group(
    client: redis.Redis, cache_name: str, redis_url: str, embedder: TrigramEmbedder
) -> None:
    prompts = [f"How do I rotate the signing {n}?" for n in ("keys", "key now", "key in git", "keyring")]
    other = {"prompt": "How do I rotate the signing keys of git?"}
    plan = make_plan([*({"prompt": prompt, "answer_group": "g"} for prompt in prompts), other])
    publish(CacheStore(client, cache_name), plan, rules=distance_rules(0.2))
    with WarmedSemanticCache(cache_name, redis_url, embedder=embedder) as cache:
        hits = cache.check(ROTATE, agent_type="auditor", num_results=3)
        everything = cache.check(ROTATE, agent_type="auditor", num_results=10)
    assert len(hits) == 3
    assert {hit["prompt"] for hit in everything} == set(prompts)
    distances = [hit["vector_distance"] for hit in hits]
    assert distances == sorted(distances)
    assert distances[-1] <= 0.2


def test_a_nearer_app_entry_with_another_number_does_not_hide_the_right_one(
    client: redis.Redis, cache_name: str, redis_url: str, embedder: TrigramEmbedder
) -> None:
    prompts = [f"Which port does gateway {n} listen on in production?" for n in (8, 9)]
    publish(CacheStore(client, cache_name), make_plan([{"prompt": "How do I bake bread?"}]), rules=distance_rules(0.3))
    with WarmedSemanticCache(cache_name, redis_url, embedder=embedder) as cache:
        for prompt in prompts:
            cache.store(prompt, f"answer to {prompt}", agent_type="auditor")
        for number, expected in ((8, [prompts[0]]), (9, [prompts[1]]), (7, [])):
            hits = cache.check(f"Which port does the gateway {number} listen on in production?", agent_type="auditor")
            assert [hit["prompt"] for hit in hits] == expected


def test_a_filter_narrows_the_hits_and_rules_out_exact_ones(cache: WarmedSemanticCache) -> None:
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
def test_unusable_arguments_are_refused(
    cache: WarmedSemanticCache, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        cache.check(**arguments)


# Rules and generations


def test_exact_only_serves_the_exact_prompt_and_embeds_nothing(
    warmed: CacheStore, cache: WarmedSemanticCache, embedder: TrigramEmbedder
) -> None:
    exact_only = replace(distance_rules(0.1), rules={"auditor": MatchRule("auditor", "exact_only")})
    republish(warmed, rules=exact_only)
    calls = embedder.calls
    assert cache.check(ROTATE, agent_type="auditor")[0]["match"] == "exact"
    assert cache.check("How do I rotate the signing keys?", agent_type="auditor") == []
    assert embedder.calls == calls
    assert cache.check("How do I rotate the signing keys?", agent_type="planner")[0]["match"] == "semantic"


def test_an_open_reader_applies_the_rules_of_a_new_generation_at_its_next_lookup(
    warmed: CacheStore, cache: WarmedSemanticCache
) -> None:
    near = "How do I rotate the signing keys?"
    assert cache.check(near, agent_type="auditor")
    generation = republish(warmed, rules=distance_rules(0.001))
    assert cache.check(near, agent_type="auditor") == []
    assert cache.generation == generation


def test_an_open_reader_continues_when_its_generation_is_removed(
    warmed: CacheStore, cache: WarmedSemanticCache
) -> None:
    near = "How do I rotate the signing keys?"
    for threshold in (0.2, 0.3, 0.4):
        republish(warmed, rules=distance_rules(threshold))
    assert cache.check(near, agent_type="auditor")[0]["metadata"]["generation"] == warmed.generations()[0].id


def test_a_lookup_starts_over_when_its_generation_is_removed_meanwhile(warmed: CacheStore, redis_url: str) -> None:
    class Publishing(TrigramEmbedder):
        """Publishes twice while a lookup embeds, so that the generation that it began with is gone."""

        def embed(self, texts: Any, on_batch: Any = None) -> np.ndarray:
            if not self.calls:
                for threshold in (0.2, 0.3):
                    republish(warmed, rules=distance_rules(threshold))
            return super().embed(texts, on_batch)

    with WarmedSemanticCache(warmed.name, redis_url, embedder=Publishing()) as cache:
        (hit,) = cache.check("How do I rotate the signing keys?", agent_type="auditor")
        assert hit["key"].startswith(key_prefix(warmed.name, warmed.generations()[0].id))
        assert cache.get_stats().lookups == 1


def test_rules_that_a_reader_does_not_know_are_refused_with_the_advice_to_upgrade(
    warmed: CacheStore, client: redis.Redis, cache: WarmedSemanticCache, redis_url: str
) -> None:
    generation = republish(warmed, rules=distance_rules(0.2))
    record: Any = client.hget(generations_key(warmed.name), generation)
    changed = json.loads(record)
    changed["match_rules"]["version"] = 99
    client.hset(generations_key(warmed.name), generation, json.dumps(changed))
    with pytest.raises(CacheError, match="upgrade cachewarm-client"):
        cache.check(ROTATE, agent_type="auditor")
    with pytest.raises(CacheError, match="upgrade cachewarm-client"):
        WarmedSemanticCache(warmed.name, redis_url)


def test_a_record_of_a_newer_version_beside_the_live_one_does_not_disturb_readers(
    warmed: CacheStore, client: redis.Redis, cache: WarmedSemanticCache, redis_url: str
) -> None:
    client.hset(generations_key(warmed.name), "20991231-ffff", '{"id": "20991231-ffff", "schema_version": 99}')
    with WarmedSemanticCache(warmed.name, redis_url) as late:
        assert late.check(ROTATE, agent_type="auditor")


def test_a_reader_with_another_embedder_is_refused(
    warmed: CacheStore, cache: WarmedSemanticCache, redis_url: str
) -> None:
    other = TrigramEmbedder(name="other")
    with pytest.raises(CacheError, match=r"embedded by 'test:trigrams', this reader has 'test:other'"):
        WarmedSemanticCache(warmed.name, redis_url, embedder=other)
    publish(warmed, make_plan(PLAN), embedder=other)
    with pytest.raises(CacheError, match=r"embedded by 'test:other', this reader has 'test:trigrams'"):
        cache.check(ROTATE, agent_type="auditor")


def test_an_embedder_that_returns_vectors_of_another_size_is_refused(warmed: CacheStore, redis_url: str) -> None:
    lying = TrigramEmbedder(dimensions=32)
    with WarmedSemanticCache(warmed.name, redis_url, embedder=lying) as cache:
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
    from cachewarm_client.embedders.minilm import MiniLMEmbedder

    model = MiniLMEmbedder()
    plan = make_plan([{"prompt": ROTATE}, {"prompt": REVOKE}])
    vectors = model.embed(plan["prompt"].to_pylist())
    publish(CacheStore(client, cache_name), plan, vectors=vectors, embedder=model)  # type: ignore[arg-type]
    with WarmedSemanticCache(name=cache_name, redis_url=redis_url) as cache:
        (hit,) = cache.check(prompt="how do i rotate the signing keys?", agent_type="auditor")
    assert (hit["match"], hit["prompt"]) == ("semantic", ROTATE)
