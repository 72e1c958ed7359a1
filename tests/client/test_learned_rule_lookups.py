"""Lookups under a learned rule, on a real Redis: pick, certified threshold, app entries and explanations."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import redis
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.certificate import Certificate
from cachewarm_client.keys import generations_key, whole_key
from cachewarm_client.learned_space import Space
from cachewarm_client.match_decision import pack
from cachewarm_client.match_features import FEATURES, VERSION
from cachewarm_client.match_model import MatchModel
from cachewarm_client.match_rules import NEIGHBOURS, MatchRule, MatchRules
from cachewarm_client.redis_search_commands import RULE_VECTORS
from cachewarm_client.words import tokens, word_key
from redisvl.query.filter import Tag

from cachewarm_pipeline.cli.inspect_cache import explained
from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.match_rules.match_model_fit import Labelled, Scorer, describe, place_entries
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from tests.support.cache_fakes import DIMENSIONS, TrigramEmbedder, entry_keys, make_plan, publish

pytest_plugins = ["tests.support.cache_fixtures"]

ROWS = [
    {"prompt": f"How do I {verb} the {thing}?", "response": f"{verb} {thing}", "agent_type": "a", "answer_group": verb}
    for verb in ("rotate", "revoke", "renew", "inspect")
    for thing in ("signing key", "server certificate", "access token", "root password")
]
WEIGHTS = {"similarity": 8.0, "overlap": 3.0, "vote_wide": 1.0, "learned_margin": 2.0, "negation_differs": -9.0}
WEIGHTS |= {"reliability": 0.2, "words_sum": 0.1, "words_least": 0.2, "words_most": 0.3}
WORDS = {
    word_key(word): weight
    for word, weight in {"keys": 1.5, "not": -2.0, "please": 0.75, "do": 0.25, "how": -0.125, "weather": -3.0}.items()
}
NEAR = "How do I rotate the signing keys?"
NEGATED = "How do I not rotate the signing key?"


def model(intercept: float = -9.0) -> MatchModel:
    return MatchModel(VERSION, intercept, tuple(WEIGHTS.get(name, 0.0) for name in FEATURES), 1.0)


def rules(threshold: float, space: Space | None, distance: float | None = None, intercept: float = -9.0) -> MatchRules:
    proof = Certificate(0.05, 0.01, threshold, 200, 1, 0.03, 400, 5)
    own = MatchRule("a", "learned", distance, True, model(intercept), proof, None, "200 hits")
    return MatchRules(MatchRule("", "exact_only"), {"a": own}, space, WORDS)


SPACE = Space(np.random.default_rng(0).normal(size=(DIMENSIONS, 16)).astype(np.float16))


def scorer_of(data: Labelled, entries: int) -> Scorer:
    everything = np.arange(entries)
    placed = place_entries(data, everything, everything, SPACE)
    return replace(placed, reliability=np.linspace(-2, 3, entries).astype(np.float16), words=WORDS)


def placed(plan: pa.Table, embedder: TrigramEmbedder) -> tuple[pa.Table, Labelled]:
    """The plan with its entries' places in the learned space, as a publish has it; and what fitting sees of it."""
    prompts = plan["prompt"].to_pylist()
    groups = np.unique(plan["answer_group"].to_pylist(), return_inverse=True)[1]
    data = Labelled(embedder.embed(prompts), groups, [tokens(prompt) for prompt in prompts])
    scorer = scorer_of(data, plan.num_rows)
    packed = list(map(pack, scorer.own, scorer.centre, scorer.reliability))
    return plan.append_column(RULE_VECTORS, pa.array(packed)), data


def live(store: CacheStore, embedder: TrigramEmbedder, of: MatchRules) -> None:
    plan, _ = placed(make_plan(ROWS), embedder)
    publish(store, plan, rules=of)


@pytest.fixture
def reader(store: CacheStore, redis_url: str, embedder: TrigramEmbedder) -> Iterator[WarmedSemanticCache]:
    live(store, embedder, rules(0.0, SPACE))
    with WarmedSemanticCache(store.name, redis_url, embedder=embedder) as cache:
        yield cache


def test_serving_gives_every_lookup_the_score_and_pick_of_fitting(
    reader: WarmedSemanticCache, embedder: TrigramEmbedder
) -> None:
    asked = [NEAR, NEGATED, "Please renew the access token", "How do I inspect a root password", "weather in spring"]
    plan, data = placed(make_plan(ROWS), embedder)
    n = plan.num_rows
    whole = Labelled(
        np.concatenate((data.vectors, embedder.embed(asked))),
        np.concatenate((data.groups, [-1] * len(asked))),
        [*data.tokens, *map(tokens, asked)],
    )
    scorer = scorer_of(whole, n)
    rows, picked, _ = describe(whole, np.arange(n), scorer, np.arange(n, n + len(asked)))
    for prompt, score, pick in zip(asked, model().score(rows), picked, strict=True):
        why = reader.explain(prompt, agent_type="a")
        assert why["score"] == pytest.approx(score, abs=2e-3)
        assert why["picked"].endswith(plan["entry_id"][int(pick)].as_py())
        hits = reader.check(prompt, agent_type="a")
        assert bool(hits) == (score >= 0)
        assert not hits or hits[0]["entry_id"] == plan["entry_id"][int(pick)].as_py()


def test_the_certified_threshold_decides_and_not_the_distance(
    store: CacheStore, redis_url: str, embedder: TrigramEmbedder, reader: WarmedSemanticCache
) -> None:
    (hit,) = reader.check(NEAR, agent_type="a")
    assert (hit["match"], hit["response"]) == ("semantic", "rotate signing key")
    assert RULE_VECTORS not in hit
    assert reader.check(NEGATED, agent_type="a") == []  # nearer than many paraphrases, but negated
    score = reader.explain(NEAR, agent_type="a")["score"]
    live(store, embedder, rules(math.nextafter(score, 99) + 1e-6, SPACE))
    assert reader.check(NEAR, agent_type="a") == []


def test_an_exact_prompt_needs_no_model_and_agent_types_without_a_rule_serve_exact_hits_only(
    reader: WarmedSemanticCache, embedder: TrigramEmbedder
) -> None:
    calls = embedder.calls
    assert reader.check(ROWS[0]["prompt"], agent_type="a")[0]["match"] == "exact"
    assert reader.check(NEAR, agent_type="b") == []
    assert embedder.calls == calls


def test_a_lookup_by_vector_alone_is_a_miss_under_a_learned_rule(
    reader: WarmedSemanticCache, embedder: TrigramEmbedder
) -> None:
    vector = embedder.embed([NEAR])[0].tolist()
    assert reader.check(vector=vector, agent_type="a") == []


@pytest.mark.parametrize("results", [1, NEIGHBOURS, 50])
def test_the_number_of_results_does_not_change_the_decision(reader: WarmedSemanticCache, results: int) -> None:
    hits = reader.check(NEAR, agent_type="a", num_results=results, explain=True)
    assert hits[0]["explanation"]["score"] == reader.explain(NEAR, agent_type="a")["score"]
    assert {hit["answer_group"] for hit in hits} == {"rotate"}


def test_a_certified_distance_serves_the_nearest_entry_or_nothing_with_any_filter(
    store: CacheStore, redis_url: str, embedder: TrigramEmbedder
) -> None:
    rows = [{**ROWS[0], "source": "golden"}, {**ROWS[4], "source": "query_log"}]
    proof = Certificate(0.05, 0.01, 0.5, 200, 1, 0.03, 400, 5)
    wide = MatchRules(MatchRule("", "exact_only"), {"a": MatchRule("a", "distance", 0.5, True, None, proof, proof)})
    publish(store, make_plan(rows), rules=wide)
    with WarmedSemanticCache(store.name, redis_url, embedder=embedder) as cache:
        assert [hit["response"] for hit in cache.check(NEAR, agent_type="a", num_results=5)] == ["rotate signing key"]
        assert cache.check(NEAR, agent_type="a", filter_expression=Tag("source") == "golden")
        assert cache.check(NEAR, agent_type="a", filter_expression=Tag("source") == "query_log") == []


def test_after_an_entry_has_expired_the_rule_is_not_applied_and_exact_hits_remain(
    reader: WarmedSemanticCache, client: redis.Redis
) -> None:
    key = whole_key(reader.name, reader.generation, "a")
    first = min(client.pexpiretime(entry) for entry in entry_keys(client, reader.name, reader.generation))
    assert 0 < client.pexpiretime(key) <= first
    assert reader.check(NEAR, agent_type="a")
    client.delete(key)
    assert reader.check(NEAR, agent_type="a") == []
    assert reader.check(ROWS[0]["prompt"], agent_type="a")[0]["match"] == "exact"


def test_a_prompt_with_personal_data_gets_exact_hits_only(
    reader: WarmedSemanticCache, embedder: TrigramEmbedder
) -> None:
    calls = embedder.calls
    assert reader.check(f"{NEAR} mail mary.jones@contoso-mail.com", agent_type="a") == []
    assert embedder.calls == calls


def test_many_app_entries_nearby_do_not_change_what_the_rule_sees(reader: WarmedSemanticCache) -> None:
    before = reader.explain(NEAR, agent_type="a")
    for n in range(NEIGHBOURS + 2):
        reader.store(f"How do I rotate the signing keys {'!' * n} x{n}?", f"own {n}", agent_type="a")
    after = reader.explain(NEAR, agent_type="a")
    assert after["score"] == before["score"]
    assert after["picked"] == before["picked"]
    (hit,) = reader.check(NEAR, agent_type="a")
    assert hit["response"] == "rotate signing key"


def test_app_entries_answer_within_a_certified_distance_only(
    store: CacheStore, redis_url: str, embedder: TrigramEmbedder, reader: WarmedSemanticCache
) -> None:
    question = "May interns open the vault on the second floor?"
    reader.store(question, "no", agent_type="a")
    assert reader.check(question, agent_type="a")[0]["match"] == "exact"
    near = "May interns open the vaults on the second floor?"
    assert reader.check(near, agent_type="a") == []
    live(store, embedder, rules(0.0, SPACE, distance=0.1))
    assert reader.check(near, agent_type="a")[0]["response"] == "no"
    assert reader.check("May interns not open the vault on the second floor?", agent_type="a") == []


def test_the_filter_and_distance_of_a_caller_only_narrow_what_the_rule_serves(reader: WarmedSemanticCache) -> None:
    assert reader.check(NEAR, agent_type="a", filter_expression=Tag("source") == "golden")
    assert reader.check(NEAR, agent_type="a", filter_expression=Tag("source") == "query_log") == []
    assert reader.check(NEAR, agent_type="a", distance_threshold=1e-6) == []
    plain, filtered = (
        reader.explain(NEAR, agent_type="a")["score"],
        reader.check(NEAR, agent_type="a", filter_expression=Tag("source") == "golden", explain=True)[0],
    )
    assert filtered["explanation"]["score"] == plain


def test_an_explanation_names_the_rule_its_parts_and_the_neighbours(reader: WarmedSemanticCache) -> None:
    why = reader.explain(NEAR, agent_type="a")
    assert (why["match"], why["rule"], why["rule_rests_on"]) == ("semantic", "learned", "200 hits")
    assert sum(part["effect"] for part in why["parts"]) - 9.0 == pytest.approx(why["score"])
    assert why["confidence"] == pytest.approx(1 / (1 + math.exp(-why["score"])))
    assert len(why["neighbours"]) == NEIGHBOURS
    assert why["words"] == [{"word": "keys", "weight": 1.5}]
    assert any(line.endswith("words that differ: keys +1.50") for line in explained(why))
    assert reader.explain(NEGATED, agent_type="a")["match"] == "miss"
    assert reader.explain(ROWS[0]["prompt"], agent_type="a")["match"] == "exact"
    assert reader.check(NEAR, agent_type="a", explain=True)[0]["explanation"]["picked"] == why["picked"]
    assert "explanation" not in reader.check(NEAR, agent_type="a")[0]


def test_explaining_is_not_counted_as_a_lookup(reader: WarmedSemanticCache) -> None:
    reader.explain(NEAR, agent_type="a")
    reader.explain("x", agent_type="a")
    assert reader.get_stats().lookups == 0


def test_a_client_that_decodes_replies_reads_a_learned_rule_too(
    reader: WarmedSemanticCache, redis_url: str, embedder: TrigramEmbedder
) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        cache = WarmedSemanticCache(reader.name, redis_client=client, embedder=embedder)
        assert cache.check(NEAR, agent_type="a")[0]["response"] == "rotate signing key"


def test_entries_without_their_rule_vectors_are_an_error(
    store: CacheStore, redis_url: str, embedder: TrigramEmbedder
) -> None:
    publish(store, make_plan(ROWS), rules=rules(-99.0, SPACE))
    cache = WarmedSemanticCache(store.name, redis_url, embedder=embedder)
    with cache, pytest.raises(CacheError, match="publish again"):
        cache.check(NEAR, agent_type="a")


def test_a_rule_of_an_unknown_version_that_is_live_under_an_open_reader_is_refused(
    reader: WarmedSemanticCache, client: redis.Redis
) -> None:
    key = generations_key(reader.name)
    record = json.loads(client.hget(key, reader.generation) or "")
    newer = {**record, "id": "newer", "match_rules": {**record["match_rules"], "version": 99}}
    client.hset(key, mapping={"newer": json.dumps(newer), "live": "newer"})
    with pytest.raises(CacheError, match=r"version 99.*upgrade"):
        reader.check(NEAR, agent_type="a")
