"""Four readers with separate connections look up without a pause while generations are published."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa
import redis
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.vectorizer import EmbedderVectorizer
from redisvl.extensions.cache.llm import SemanticCache
from redisvl.query.filter import Tag

from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from tests.support.cache_fakes import TrigramEmbedder, distance_rules, fill, make_plan, publish

pytest_plugins = ["tests.support.cache_fixtures"]

COMMON, ONCE = 250, 50
"""Entries in every plan, and entries in every other plan only."""

LOOKUPS = 40
"""Least lookups of each reader between two publishes, in addition to those during one."""

PUBLISHES = 10

TICK = 60
"""Entries loaded per step, where a generation is loaded in steps."""

RULES = distance_rules(0.0001)
"""The prompts differ in a number only, which a wider distance would not tell apart."""

Check = Callable[[int], Any]


def prompt(number: int) -> str:
    return f"how do I do thing number {number} of the list?"


def plan_of(version: int) -> pa.Table:
    """COMMON entries whose answers name the version, and ONCE entries that the plans before and after do not have."""
    numbers = [*range(COMMON), *range(COMMON + (version % 2) * ONCE, COMMON + (version % 2 + 1) * ONCE)]
    rows = [{"prompt": prompt(n), "agent_type": f"agent{n % 3}", "response": f"v{version}: thing {n}"} for n in numbers]
    return make_plan(rows)


class Readers:
    """Threads that look up without a pause and record what they saw."""

    def __init__(self, checks: list[Check]) -> None:
        self.oldest = 0
        """Number of the last plan whose publish ended before a lookup began."""
        self.newest = 0
        """Number of the newest plan that may be live."""
        self.errors: list[str] = []
        self.misses: list[str] = []
        self.wrong: list[str] = []
        self.done = [0] * len(checks)
        self._moved = threading.Condition()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=pair) for pair in enumerate(checks)]

    def __enter__(self) -> "Readers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def wait_for(self, lookups: int) -> None:
        """Wait until each reader has done this many more lookups."""
        with self._moved:
            wanted = [done + lookups for done in self.done]
            assert self._moved.wait_for(
                lambda: all(done >= least for done, least in zip(self.done, wanted, strict=True)), timeout=60
            )

    def _run(self, reader: int, check: Check) -> None:
        number = reader
        while not self._stop.is_set():
            number = (number * 31 + 17) % (COMMON + 2 * ONCE)
            oldest = self.oldest
            try:
                hits = check(number)
            except Exception as error:
                self.errors.append(f"reader {reader}: {error!r}")
            else:
                self._check_hits(reader, number, oldest, hits)
            with self._moved:
                self.done[reader] += 1
                self._moved.notify_all()

    def _check_hits(self, reader: int, number: int, oldest: int, hits: Any) -> None:
        if not hits:
            if number < COMMON:
                self.misses.append(f"reader {reader}: {number} while {oldest}..{self.newest} were live")
            return
        version, _, answer = hits[0]["response"].partition(": ")
        if answer != f"thing {number}" or not oldest <= int(version[1:]) <= self.newest:
            self.wrong.append(f"reader {reader}: {hits[0]['response']!r} for {number}, live {oldest}..{self.newest}")


@contextmanager
def four_readers(name: str, url: str) -> Iterator[Readers]:
    """Three WarmedSemanticCache readers (exact, by vector, both in turns) and a stock one that uses the alias."""
    embedder = TrigramEmbedder()
    with ExitStack() as stack:
        exact, semantic, turns = (
            stack.enter_context(WarmedSemanticCache(name, url, embedder=embedder)) for _ in range(3)
        )
        stock = SemanticCache(
            name,
            redis_url=url,
            vectorizer=EmbedderVectorizer({**vars(embedder.info)}, embedder),
            distance_threshold=0.0001,
            create_index=False,
        )
        stack.callback(stock.disconnect)

        def by_prompt(cache: WarmedSemanticCache) -> Check:
            return lambda number: cache.check(prompt(number), agent_type=f"agent{number % 3}")

        def by_vector(cache: WarmedSemanticCache) -> Check:
            def check(number: int) -> Any:
                (vector,) = embedder.embed([prompt(number)])
                return cache.check(vector=vector.tolist(), agent_type=f"agent{number % 3}", distance_threshold=0.0001)

            return check

        def in_turns(number: int) -> Any:
            return (by_prompt if number % 2 else by_vector)(turns)(number)

        def through_the_alias(number: int) -> Any:
            return stock.check(prompt(number), filter_expression=Tag("agent_type") == f"agent{number % 3}")

        yield stack.enter_context(Readers([by_prompt(exact), by_vector(semantic), in_turns, through_the_alias]))


def assert_no_faults(readers: Readers) -> None:
    assert (readers.errors, readers.misses, readers.wrong) == ([], [], [])
    assert min(readers.done) >= PUBLISHES * LOOKUPS


def test_four_readers_see_no_error_no_miss_and_no_wrong_answer_during_ten_publishes(
    redis_url: str, client: redis.Redis, cache_name: str
) -> None:
    store = CacheStore(client, cache_name)
    publish(store, plan_of(0), rules=RULES)
    with four_readers(cache_name, redis_url) as readers:
        for number in range(1, PUBLISHES + 1):
            readers.newest = number
            assert publish(store, plan_of(number), rules=RULES).published
            readers.oldest = number
            readers.wait_for(LOOKUPS)
    assert_no_faults(readers)


def test_four_readers_never_see_a_generation_that_is_loaded_in_steps_before_it_is_complete(
    redis_url: str, client: redis.Redis, cache_name: str
) -> None:
    store = CacheStore(client, cache_name)
    publish(store, plan_of(0), rules=RULES)
    with four_readers(cache_name, redis_url) as readers:
        for number in (1, 2, 3):
            while True:
                filling = store.filling()
                if filling and filling.loaded + TICK >= filling.entries:
                    readers.newest = number  # this tick publishes
                published = fill(store, plan_of(number), TICK, rules=RULES).published
                readers.wait_for(LOOKUPS // 2)
                if published:
                    break
            readers.oldest = number
    assert_no_faults(readers)
