"""Shared setup of the cache benchmarks: a Redis server, plans of random unit vectors, and a stock RedisVL cache."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from cachewarm_client.certificate import Certificate
from cachewarm_client.embedders.embedder import EmbedderInfo, Usage
from cachewarm_client.generation_record import GenerationRecord, State
from cachewarm_client.learned_space import Space
from cachewarm_client.match_decision import pack
from cachewarm_client.match_features import FEATURES, VERSION
from cachewarm_client.match_model import MatchModel
from cachewarm_client.match_rules import MatchRule, MatchRules
from cachewarm_client.redis_search_commands import RULE_VECTORS
from cachewarm_client.text import entry_id
from cachewarm_client.vectorizer import EmbedderVectorizer
from redisvl.extensions.cache.llm import SemanticCache

from cachewarm_pipeline.embedded.redis_server import ensure_redis, stop_redis
from cachewarm_pipeline.match_rules.word_weights import MOST_WORDS
from cachewarm_pipeline.storage.schemas import WARMING_PLAN

DIMENSIONS = 384
AGENT_TYPES = 6
SPACE = 128
"""Dimensions of a learned space, as match_rules.space_learning.RANK."""
NOW = datetime(2026, 11, 22, tzinfo=UTC)
INFO = EmbedderInfo("bench:random", "bench", "random", DIMENSIONS, 0.0)
ANSWER = "Rotate it in the console, wait until both keys are accepted, then revoke the old one and watch the log. " * 3


@contextmanager
def temporary_redis() -> Iterator[str]:
    """The URL of an embedded Redis in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        yield ensure_redis(Path(folder))
        stop_redis(Path(folder))


def random_vectors(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSIONS), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def prompt(number: int) -> str:
    return f"How do I do thing number {number} in a repository with many services?"


def agent_type(number: int) -> str:
    return f"agent_{number % AGENT_TYPES}"


def plan_of(count: int) -> pa.Table:
    rows = [
        {
            "entry_id": entry_id(prompt(n), agent_type(n)),
            "agent_type": agent_type(n),
            "prompt": prompt(n),
            "response": f"{n}: {ANSWER}",
            "source": "query_log",
            "quality_score": 0.9,
            "demand": 1.0,
            "cost_usd": None,
            "provenance": '{"day": "2026-11-21"}',
            "answer_group": f"{n:016x}",
            "embedding_key": hashlib.sha256(prompt(n).encode()).hexdigest(),
            "rank": n,
        }
        for n in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=WARMING_PLAN)


def learned_rules() -> MatchRules:
    """A learned rule for each agent_type, with weights on all features and a space of SPACE dimensions.

    The rules serve every lookup. The benchmarks measure the cost of a decision, and a lookup that a rule rejects costs
    no less."""
    draw = np.random.default_rng(1)
    space = Space(draw.uniform(-1, 1, (DIMENSIONS, SPACE)).astype(np.float16))
    model = MatchModel(VERSION, 0.0, tuple(draw.uniform(0.1, 1, len(FEATURES)).tolist()), 1.0)
    certificate = Certificate(0.05, 0.01, -1000.0, 1000, 10, 0.02, 2000, 1)
    rules = {
        name: MatchRule(name, "learned", None, True, model, certificate) for name in map(agent_type, range(AGENT_TYPES))
    }
    words = {f"word{n}": 0.5 for n in range(MOST_WORDS)} | {"repository": 0.5, "services": -0.5}
    return MatchRules(MatchRule("", "exact_only"), rules, space, words)


def distance_rules(distance_threshold: float) -> MatchRules:
    """One certified distance for every agent_type."""
    proof = Certificate(0.05, 0.01, 1 - distance_threshold, 1000, 10, 0.02, 2000, 1)
    return MatchRules(MatchRule("", "distance", distance_threshold, True, None, proof, proof))


def with_rule_vectors(plan: pa.Table, vectors: np.ndarray, rules: MatchRules) -> pa.Table:
    """The plan with the vector of each entry in the space of the rules, as a publish gets it.

    Each answer is a group of its own."""
    assert rules.space is not None
    projected = rules.space.project(vectors)
    return plan.append_column(RULE_VECTORS, pa.array([pack(row, row, 1.0) for row in projected], pa.string()))


def record_of(plan: pa.Table, generation: str) -> GenerationRecord:
    return GenerationRecord(
        id=generation,
        state=State.BUILDING,
        entries=plan.num_rows,
        by_source={"query_log": plan.num_rows},
        plan_hash=generation,
        as_of=date(2026, 11, 21),
        created_at=NOW,
        embedder=vars(INFO),
        match_rules=distance_rules(0.1),
        ttl_days=7.0,
        ttl_jitter=0.1,
    )


class PreparedEmbedder:
    """An embedder that returns prepared vectors, so that a benchmark measures the cache and not a model."""

    usage = Usage()

    def __init__(self, vectors: Mapping[str, np.ndarray], info: EmbedderInfo = INFO) -> None:
        self._vectors = vectors
        self.info = info

    def embed(self, texts: Sequence[str], on_batch: Any = None) -> np.ndarray:
        return np.stack([self._vectors[text] for text in texts])


def redisvl_cache(name: str, url: str, embedder: PreparedEmbedder, *, create_index: bool) -> SemanticCache:
    """A stock RedisVL cache with an agent_type filter, built as its documentation does."""
    return SemanticCache(
        name=name,
        redis_url=url,
        vectorizer=EmbedderVectorizer(vars(INFO), embedder),
        distance_threshold=0.1,
        filterable_fields=[{"name": "agent_type", "type": "tag"}],
        create_index=create_index,
    )
