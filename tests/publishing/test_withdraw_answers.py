"""A bad answer goes out of service in every generation, at once and for good, and the certificate holds on."""

from datetime import timedelta
from typing import Any

import pytest
import redis
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.keys import index_name, key_prefix, withdrawn_key
from cachewarm_client.text import entry_id
from cachewarm_client.vectorizer import EmbedderVectorizer
from cachewarm_client.wrong_hit_reports import response_sha
from redisvl.extensions.cache.llm import SemanticCache
from redisvl.query.filter import Tag

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis import generations as cache_generations
from cachewarm_pipeline.publishing.redis import withdraw_answers as cache_withdraw
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.load_entries import load_entries
from cachewarm_pipeline.publishing.withdrawn_answers import Withdrawal
from tests.support.cache_crash import run_in_a_process
from tests.support.cache_fakes import (
    DAY,
    NOW,
    PLAN,
    REVOKE,
    ROTATE,
    TrigramEmbedder,
    distance_rules,
    fill,
    make_plan,
    numbered_plan,
    publish,
    republish,
    state,
    writes,
)

pytest_plugins = ["tests.support.cache_fixtures"]

BAD = entry_id(ROTATE, "auditor")
NEAR = "How do I rotate the signing keys?"


def answer_in(client: redis.Redis, store: CacheStore, generation: str, entry: str = BAD) -> str | None:
    found: Any = client.hget(key_prefix(store.name, generation) + entry, "response")
    return None if found is None else found.decode()


# What is withdrawn is not served


def test_an_answer_is_out_of_service_in_every_generation_and_its_entry_stays(
    warmed: CacheStore, client: redis.Redis
) -> None:
    generations = [*(r.id for r in warmed.generations()), republish(warmed, rules=distance_rules(0.2))]
    fill(warmed, make_plan(PLAN), 1, as_of=DAY + timedelta(days=1))
    filling = warmed.filling()
    assert filling is not None
    generations.append(filling.id)
    before = {g: (warmed.entry_ids(g), client.ttl(key_prefix(warmed.name, g) + BAD)) for g in generations}
    done = warmed.withdraw({BAD: "Rotate it SO."}, NOW, "says nonsense to mary.jones@contoso-mail.com")
    assert {g: set(found) for g, found in done.taken_out.items()} == {BAD: set(generations)}
    assert (done.differing, done.missing) == ({}, ())
    for generation in generations:
        assert answer_in(client, warmed, generation) is None
        assert client.hget(key_prefix(warmed.name, generation) + BAD, "withdrawn") == NOW.isoformat().encode()
        assert warmed.entry_ids(generation) == before[generation][0]
        assert before[generation][1] - 5 <= client.ttl(key_prefix(warmed.name, generation) + BAD)
    why = "says nonsense to [email]"
    assert warmed.withdrawn() == [Withdrawal(BAD, response_sha("rotate it so"), NOW, why)]
    assert warmed.withdraw({BAD: "rotate it so"}, NOW) == done  # it can be repeated


def test_the_exact_prompt_is_a_miss_right_away_and_other_entries_answer_on(
    warmed: CacheStore, cache: WarmedSemanticCache, embedder: TrigramEmbedder
) -> None:
    warmed.withdraw({BAD: "rotate it so"}, NOW)
    calls = embedder.calls
    assert cache.check(ROTATE, agent_type="auditor") == []
    assert embedder.calls == calls
    assert cache.check(ROTATE, agent_type="planner")[0]["response"] == "plan it so"
    assert cache.check(REVOKE, agent_type="auditor")[0]["response"] == "these users"
    assert cache.get_stats().misses == 1
    cache.store(ROTATE, "the application's own", agent_type="auditor")
    assert cache.check(ROTATE, agent_type="auditor")[0]["response"] == "the application's own"


def test_a_near_prompt_is_a_miss_too_and_no_neighbour_of_the_same_answer_takes_its_place(
    store: CacheStore, redis_url: str, embedder: TrigramEmbedder
) -> None:
    rows = [
        {"prompt": ROTATE, "response": "so", "answer_group": "g"},
        {"prompt": "How do I rotate a signing key now?", "response": "so", "answer_group": "g"},
    ]
    publish(store, make_plan(rows), rules=distance_rules(0.5))
    with WarmedSemanticCache(store.name, redis_url, embedder=embedder) as cache:
        assert len(cache.check(NEAR, agent_type="auditor", num_results=2)) == 2
        (vector,) = embedder.embed([ROTATE])
        store.withdraw({BAD: None}, NOW)
        assert cache.check(NEAR, agent_type="auditor", num_results=2) == []
        assert cache.check(vector=vector.tolist(), agent_type="auditor") == []
        assert cache.check(ROTATE, agent_type="auditor", filter_expression=Tag("source") == "golden") == []
        why = cache.explain(NEAR, agent_type="auditor")
        assert why["match"] == "withdrawn"
        assert [near["withdrawn"] for near in why["neighbours"]] == [True, False]
        exact = cache.explain(ROTATE, agent_type="auditor")
        assert (exact["match"], exact["picked"].endswith(BAD)) == ("withdrawn", True)
        cache.store(NEAR + " x", "my own", agent_type="auditor")
        assert cache.check(NEAR, agent_type="auditor")[0]["response"] == "my own"


def test_a_withdrawn_entry_does_not_hide_the_right_one_that_is_nearer(
    store: CacheStore, redis_url: str, embedder: TrigramEmbedder
) -> None:
    prompts = [f"Which port does gateway {n} listen on in production?" for n in (8, 9)]
    publish(store, make_plan([{"prompt": p} for p in prompts]), rules=distance_rules(0.3))
    store.withdraw({entry_id(prompts[0], "auditor"): None}, NOW)
    with WarmedSemanticCache(store.name, redis_url, embedder=embedder) as cache:
        for number, expected in ((8, []), (9, [prompts[1]])):
            hits = cache.check(f"Which port does the gateway {number} listen on in production?", agent_type="auditor")
            assert [hit["prompt"] for hit in hits] == expected


def test_a_stock_reader_skips_what_is_withdrawn(warmed: CacheStore, redis_url: str, embedder: TrigramEmbedder) -> None:
    stock = SemanticCache(
        warmed.name,
        redis_url=redis_url,
        vectorizer=EmbedderVectorizer(vars(embedder.info), embedder),
        distance_threshold=0.1,
        filterable_fields=[{"name": "agent_type", "type": "tag"}],
        create_index=False,
    )
    with stock:

        def responses(prompt: str, agent_type: str) -> list[str]:
            return [hit["response"] for hit in stock.check(prompt, filter_expression=Tag("agent_type") == agent_type)]

        assert responses(NEAR, "auditor") == ["rotate it so"]
        warmed.withdraw({BAD: "rotate it so"}, NOW)
        assert responses(NEAR, "auditor") == []
        assert responses(ROTATE, "auditor") == []
        assert responses(ROTATE, "planner") == ["plan it so"]


# Which answer


def test_an_entry_that_holds_another_answer_keeps_it(warmed: CacheStore, client: redis.Redis) -> None:
    old = warmed.generations()[0].id
    better = make_plan([{**PLAN[0], "response": "a better one"}, *PLAN[1:]])
    new = publish(warmed, better).generation
    done = warmed.withdraw({BAD: "rotate it so"}, NOW)
    assert (done.taken_out, done.differing) == ({BAD: (old,)}, {BAD: (new,)})
    assert answer_in(client, warmed, new) == "a better one"
    done = warmed.withdraw({BAD: None}, NOW)
    assert {g: set(found) for g, found in done.taken_out.items()} == {BAD: {old, new}}
    assert {w.response_sha for w in warmed.withdrawn()} == {response_sha(r) for r in ("rotate it so", "a better one")}


def test_an_entry_that_nobody_has_is_told_and_its_bad_answer_stays_out_of_later_plans(
    warmed: CacheStore, client: redis.Redis
) -> None:
    later, nowhere = entry_id("Where are the logs?", "auditor"), entry_id("nowhere", "auditor")
    done = warmed.withdraw({later: "there", nowhere: None}, NOW)
    assert done.missing == tuple(sorted([later, nowhere]))
    assert [w.entry_id for w in warmed.withdrawn()] == [later]
    plan = make_plan([*PLAN, {"prompt": "Where are the logs?", "response": "There!"}])
    generation = publish(warmed, plan).generation
    assert answer_in(client, warmed, generation, later) is None
    assert len(warmed.entry_ids(generation)) == 4


@pytest.mark.parametrize("entry", ["", "taken_out", "whole:0123456789abcdef", BAD.upper(), f"{BAD}:x"])
def test_what_is_no_entry_id_is_refused_before_anything_is_withdrawn(
    warmed: CacheStore, client: redis.Redis, entry: str
) -> None:
    before = state(client, warmed.name)
    with pytest.raises(CacheError, match="is no entry_id"):
        warmed.withdraw({BAD: None, entry: None}, NOW)
    assert state(client, warmed.name) == before


def test_a_full_server_takes_answers_out_of_service_too(warmed: CacheStore, client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)
    try:
        done = warmed.withdraw({BAD: "rotate it so"}, NOW)
    finally:
        client.config_set("maxmemory", 0)
    assert list(done.taken_out) == [BAD]
    assert answer_in(client, warmed, warmed.generations()[0].id) is None


def test_hundreds_of_answers_are_withdrawn_at_once(store: CacheStore, client: redis.Redis) -> None:
    plan = numbered_plan(1200)
    generation = publish(store, plan).generation
    bad = plan["entry_id"].to_pylist()[:1100]
    done = store.withdraw(dict.fromkeys(bad), None)
    assert done.taken_out == dict.fromkeys(bad, (generation,))
    assert len(store.withdrawn()) == 1100
    assert store.reinstate(bad) == tuple(sorted(bad))
    assert publish(store, plan).unchanged
    assert all(answer_in(client, store, generation, entry) for entry in bad)


# While generations are published


def test_a_withdrawal_while_a_generation_is_built_from_a_plan_that_has_the_answer_holds_for_it(
    warmed: CacheStore, client: redis.Redis, redis_url: str, embedder: TrigramEmbedder
) -> None:
    plan = make_plan(PLAN)

    def meanwhile(line: str) -> None:
        if "verifying" in line:  # its entries are loaded, it is not live
            CacheStore(client, warmed.name).withdraw({BAD: "rotate it so"}, NOW)

    done = publish(warmed, plan, rules=distance_rules(0.2), progress=meanwhile)
    assert done.published
    assert answer_in(client, warmed, done.generation) is None
    with WarmedSemanticCache(warmed.name, redis_url, embedder=embedder) as cache:
        assert cache.check(ROTATE, agent_type="auditor") == []


@pytest.mark.parametrize("when", ["before it is loaded", "before the switch"])
def test_no_generation_goes_live_with_an_answer_that_was_withdrawn_at_any_moment(
    warmed: CacheStore, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def withdraw() -> None:
        CacheStore(client, warmed.name).withdraw({BAD: "rotate it so"}, NOW)

    def load(*arguments: Any) -> int:
        withdraw()
        return load_entries(*arguments)

    def take_out(*arguments: Any) -> None:
        cache_withdraw.take_out_withdrawn(*arguments)
        withdraw()

    if when == "before it is loaded":
        monkeypatch.setattr(cache_generations, "load_entries", load)
    else:
        monkeypatch.setattr(cache_generations, "take_out_withdrawn", take_out)
    generation = republish(warmed, rules=distance_rules(0.2))
    assert answer_in(client, warmed, generation) is None


def test_what_is_withdrawn_stays_out_of_later_generations_and_an_unchanged_plan_stays_unchanged(
    warmed: CacheStore, client: redis.Redis
) -> None:
    warmed.withdraw({BAD: "rotate it so"}, NOW)
    generation = republish(warmed, as_of=DAY + timedelta(days=1))
    assert answer_in(client, warmed, generation) is None
    changes = writes(client)
    again = publish(warmed, make_plan(PLAN), as_of=DAY + timedelta(days=1))
    assert (again.unchanged, again.generation) == (True, generation)
    assert writes(client) == changes
    assert answer_in(client, warmed, generation) is None


def test_an_answer_that_a_killed_withdrawal_left_in_service_goes_with_the_next_publish(
    warmed: CacheStore, client: redis.Redis
) -> None:
    live = warmed.generations()[0].id
    row = Withdrawal(BAD, response_sha("rotate it so"), NOW)
    client.hset(withdrawn_key(warmed.name), row.field, row.to_json())  # written down, and killed
    assert publish(warmed, make_plan(PLAN)).unchanged
    assert answer_in(client, warmed, live) is None


def test_a_slice_that_is_loaded_again_after_a_withdrawal_does_not_bring_the_answer_back(
    store: CacheStore, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    plan = make_plan(PLAN)
    fill(store, plan, 1)
    write = store._write
    monkeypatch.setattr(store, "_write", lambda lock, record: killed() if record.loaded > 1 else record)
    with pytest.raises(KeyboardInterrupt):
        fill(store, plan, 1)
    monkeypatch.setattr(store, "_write", write)
    store.withdraw({entry_id(REVOKE, "auditor"): None, BAD: None}, NOW)
    done = fill(store, plan, 5)
    assert done.published
    assert answer_in(client, store, done.generation) is None
    assert answer_in(client, store, done.generation, entry_id(REVOKE, "auditor")) is None
    assert answer_in(client, store, done.generation, entry_id(ROTATE, "planner")) == "plan it so"


def test_a_rollback_serves_no_withdrawn_answer(warmed: CacheStore, client: redis.Redis) -> None:
    first = warmed.generations()[0].id
    republish(warmed, rules=distance_rules(0.2))
    row = Withdrawal(BAD, response_sha("rotate it so"), NOW)
    client.hset(withdrawn_key(warmed.name), row.field, row.to_json())
    assert warmed.rollback(NOW).id == first
    assert answer_in(client, warmed, first) is None


# Back in service


def test_a_reinstated_entry_is_served_again_with_the_next_publish_and_not_before(
    warmed: CacheStore, client: redis.Redis, cache: WarmedSemanticCache
) -> None:
    live = warmed.generations()[0].id
    ttl = client.ttl(key_prefix(warmed.name, live) + BAD)
    warmed.withdraw({BAD: None, entry_id(REVOKE, "auditor"): None}, NOW)
    assert warmed.reinstate([BAD, entry_id("nowhere", "auditor")]) == (BAD,)
    assert cache.check(ROTATE, agent_type="auditor") == []
    again = publish(warmed, make_plan(PLAN))
    assert (again.unchanged, again.generation) == (True, live)
    (hit,) = cache.check(ROTATE, agent_type="auditor")
    assert hit["response"] == "rotate it so"
    assert cache.check(NEAR, agent_type="auditor")[0]["response"] == "rotate it so"
    assert cache.check(REVOKE, agent_type="auditor") == []
    assert client.hget(hit["key"], "withdrawn") is None
    assert ttl - 5 <= client.ttl(hit["key"]) <= ttl
    changes = writes(client)
    publish(warmed, make_plan(PLAN))
    assert writes(client) == changes


def test_an_expired_entry_is_not_brought_back_without_its_vector(warmed: CacheStore, client: redis.Redis) -> None:
    live = warmed.generations()[0]
    warmed.withdraw({BAD: None}, NOW)
    warmed.reinstate([BAD])
    client.delete(key_prefix(warmed.name, live.id) + BAD)
    cache_withdraw.settle(warmed._index, live.id, make_plan(PLAN), NOW)
    assert not client.exists(key_prefix(warmed.name, live.id) + BAD)


# Kills


def withdraw_bad(store: CacheStore, why: str) -> None:
    store.withdraw({BAD: "rotate it so"}, NOW, why)


def test_a_withdrawal_killed_at_any_point_takes_an_answer_out_or_leaves_it_and_never_breaks_an_entry(
    store: CacheStore, client: redis.Redis, redis_url: str
) -> None:
    sample = [republish(store, rules=distance_rules(distance)) for distance in (0.1, 0.2)]
    index = index_name(store.name, sample[1])
    sends = 0
    while True:
        sends += 1
        finished = run_in_a_process(client, withdraw_bad, redis_url, store.name, "", sends)
        for generation in sample:
            fields: Any = client.hgetall(key_prefix(store.name, generation) + BAD)
            assert (b"response" in fields) != (b"withdrawn" in fields)
            assert not finished or b"withdrawn" in fields
        info = store._index.info(index)
        assert info is not None
        assert info.docs == 3
        if finished:
            break
        store.reinstate([BAD])
        publish(store, make_plan(PLAN), rules=distance_rules(0.2))
        assert answer_in(client, store, sample[1]) == "rotate it so"
    assert sends > 5
