"""A publisher that is killed at any point leaves one whole generation. The tests kill real processes."""

from typing import Any

import pytest
import redis
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.generation_record import State
from cachewarm_client.keys import generations_key, index_name

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.connect import connect
from tests.support.cache_crash import ENTRIES, publish_all, run_in_a_process
from tests.support.cache_fakes import TrigramEmbedder, doze, numbered_plan, publish

pytest_plugins = ["tests.support.cache_fixtures"]

AGENT_TYPES = 3
"""Agent types of a numbered plan."""
COUNTERS = {"stats", "arms", "served"}
"""Keys that readers write."""


def served_versions(cache: WarmedSemanticCache) -> set[str]:
    """Versions of the plans that answer evenly spread exact and semantic lookups. A miss or a wrong answer fails."""
    versions = set()
    for number in range(0, ENTRIES, 37):
        for prompt in (
            f"How do I do thing number {number} of the list",
            f"how do I do thing number {number} of this list?",
        ):
            hits = cache.check(prompt, agent_type=f"agent{number % 3}", distance_threshold=0.1)
            version, _, answer = hits[0]["response"].partition(": ")
            assert answer == f"thing {number}" or hits[0]["match"] == "semantic"
            versions.add(version)
    return versions


@pytest.mark.parametrize("half", [False, True], ids=["before a packet", "in the middle of a packet"])
def test_a_publisher_killed_at_any_point_leaves_one_whole_generation_serving_and_the_next_run_clean(
    redis_url: str, client: redis.Redis, cache_name: str, half: bool
) -> None:
    store = CacheStore(client, cache_name, sleep=doze)
    publish(store, numbered_plan(ENTRIES, version="v0"))
    publish(store, numbered_plan(ENTRIES, version="v1"))
    version, sends, killed_after_switch = 1, 0, 0
    with WarmedSemanticCache(cache_name, redis_url, embedder=TrigramEmbedder()) as reader:
        while True:
            sends += 1
            finished = run_in_a_process(client, publish_all, redis_url, cache_name, f"v{version + 1}", sends, half)
            (serving,) = served_versions(reader)
            assert serving == f"v{version + 1}" if finished else serving in (f"v{version}", f"v{version + 1}")
            killed_after_switch += not finished and serving != f"v{version}"
            version += 1
            publish(store, numbered_plan(ENTRIES, version=f"v{version}"))
            assert served_versions(reader) == {f"v{version}"}
            assert_clean(client, store)
            if finished:
                break
    assert sends > 20  # every step was killed once ...
    assert killed_after_switch >= 2  # ... including those after the switch


def assert_clean(client: redis.Redis, store: CacheStore) -> None:
    """Two whole generations and their records; nothing else but the lock of a killed run, which expires."""
    records = store.generations()
    assert [r.state for r in records] == [State.LIVE, State.PREVIOUS]
    kept = {r.id for r in records}
    found: Any = client.execute_command("FT._LIST")
    assert {i.decode() for i in found if i.startswith(f"warm:{store.name}:".encode())} == {
        index_name(store.name, generation) for generation in kept
    }
    owners = [key.decode().split(":")[2] for key in client.scan_iter(match=f"warm:{store.name}:*", count=1000)]
    counted = {generation: owners.count(generation) for generation in set(owners) - COUNTERS - {"lock"}}
    assert counted == {**dict.fromkeys(kept, ENTRIES + AGENT_TYPES), "generations": 1}  # a mark for each agent_type
    assert client.exists(generations_key(store.name))


def test_a_publisher_cut_off_from_redis_leaves_the_live_generation_and_the_next_run_clean(
    redis_url: str, client: redis.Redis, cache_name: str
) -> None:
    store = CacheStore(client, cache_name, sleep=doze)
    publish(store, numbered_plan(ENTRIES, version="v0"))
    publish(store, numbered_plan(ENTRIES, version="v1"))
    with connect(redis_url) as own:
        cut_off = CacheStore(own, cache_name, sleep=doze)

        def cut(*_: object) -> None:
            """The server closes every other connection during the load."""
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        load = own.connection_pool.get_connection

        def dropped(*args: Any, **kwargs: Any) -> Any:
            connection = load(*args, **kwargs)
            send, count = connection.send_packed_command, [0]

            def sending(command: Any, check_health: bool = True) -> Any:
                count[0] += 1
                if isinstance(command, list) and len(command) == 1 and len(command[0]) > 50_000 and count[0] == 2:
                    cut()
                return send(command, check_health)

            connection.send_packed_command = sending
            return connection

        own.connection_pool.get_connection = dropped  # type: ignore[method-assign]
        with pytest.raises(CacheError, match="lost Redis while loading generation"):
            publish(cut_off, numbered_plan(ENTRIES, version="v2"))
    with WarmedSemanticCache(cache_name, redis_url, embedder=TrigramEmbedder()) as reader:
        assert served_versions(reader) == {"v1"}
        publish(store, numbered_plan(ENTRIES, version="v2"))
        assert served_versions(reader) == {"v2"}
    assert_clean(client, store)
