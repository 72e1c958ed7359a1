"""Every agent_type is found exactly, whatever characters it has: by our reader and by a stock filter."""

from typing import Any

import redis
from cachewarm_client import redis_search_commands as search
from cachewarm_client.keys import index_name
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redisvl.query.filter import Tag

from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from tests.support.cache_fakes import TrigramEmbedder, make_plan, publish

pytest_plugins = ["tests.support.cache_fixtures"]


def found(client: redis.Redis, command: Any) -> set[str]:
    reply = search.parse_found(client.execute_command(*command))
    return {fields["agent_type"] for _, fields in reply.rows}


agent_types = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).map(str.strip).filter(bool)
)
TRICKY = [
    "a,b",
    "a",
    "b",
    "{x}",
    "x",
    'say "hi"',
    "a b",
    "a  b",
    "p|q",
    "p",
    "AB",
    "ab",
    "*",
    "a*",
    "$agent_type",
    "\\:",
    "\\\\",
    "a\\b",
    "ß",
    "ss",
]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.sets(agent_types, min_size=1, max_size=30))
def test_every_agent_type_is_found_exactly_whatever_characters_it_has(
    store: CacheStore, client: redis.Redis, drawn: set[str]
) -> None:
    names = sorted({*drawn, *TRICKY})
    done = publish(store, make_plan([{"prompt": "the same", "agent_type": name} for name in names]))
    vector = TrigramEmbedder().embed(["the same"])[0].tobytes()
    index = index_name(store.name, done.generation)
    for name in names:
        assert found(client, search.knn_command(index, name, vector, 50)) == {name}


# What RedisVL 0.28 escapes, and what needs no escaping. It cannot query others: a backtick, a tab, a single "_".
stock_signs = st.sampled_from(",.<>{}[]\\\"':;!@#$%^&*()-+=~|/ ?_") | st.characters(categories=["L", "Nd"])
stock_types = (
    st.text(stock_signs, min_size=1, max_size=30).map(str.strip).filter(lambda name: any(map(str.isalnum, name)))
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.sets(stock_types, min_size=1, max_size=30))
def test_a_stock_filter_finds_every_agent_type_exactly_too(
    store: CacheStore, client: redis.Redis, drawn: set[str]
) -> None:
    names = sorted({*drawn, *TRICKY})
    publish(store, make_plan([{"prompt": "the same", "agent_type": name} for name in names]))
    for name in names:
        query = ("FT.SEARCH", store.name, str(Tag("agent_type") == name), "LIMIT", 0, 50, "DIALECT", 2)
        assert found(client, query) == {name}
