"""Shared by the tests of the cache: a small deterministic embedder, plans, and publishing at a fixed time."""

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import redis
from cachewarm_client.certificate import Certificate
from cachewarm_client.embedders.embedder import EmbedderInfo, Usage
from cachewarm_client.keys import generations_key, index_name, is_entry_id, key_prefix
from cachewarm_client.match_rules import MatchRule, MatchRules
from cachewarm_client.text import embedding_key, entry_id, sha256_hex

from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.redis.publish_request import PublishResult
from cachewarm_pipeline.storage.schemas import WARMING_PLAN

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
DAY = date(2026, 11, 21)
DIMENSIONS = 64


class TrigramEmbedder:
    """An embedder without a model: unit vectors of hashed character trigrams. Texts of similar spelling are near."""

    def __init__(self, dimensions: int = DIMENSIONS, name: str = "trigrams") -> None:
        self.info = EmbedderInfo(f"test:{name}", "test", name, dimensions, 0.0)
        self.usage = Usage()
        self.calls = 0

    def embed(
        self, texts: Sequence[str], on_batch: Callable[[Sequence[int], np.ndarray], None] | None = None
    ) -> np.ndarray:
        self.calls += 1
        vectors = np.zeros((len(texts), self.info.dimensions or 0), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = _trigrams(self.info.model, text, vectors.shape[1])
        return vectors


@cache
def _trigrams(model: str, text: str, dimensions: int) -> np.ndarray:
    """Cached for the process, because plans and lookups repeat the same texts."""
    counts = np.zeros(dimensions, dtype=np.float32)
    padded = f"{model}  {text.lower()} "
    for start in range(len(model), len(padded) - 2):
        digest = hashlib.blake2b(padded[start : start + 3].encode(), digest_size=4).digest()
        counts[int.from_bytes(digest, "big") % dimensions] += 1
    return counts / np.linalg.norm(counts)


def doze(seconds: float) -> None:
    """A shorter ``time.sleep`` for stores: an index of a few entries is ready within milliseconds."""
    time.sleep(seconds / 25)


def make_plan(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """A WARMING_PLAN; each row needs a prompt and gets defaults for the other columns."""
    full = []
    for rank, row in enumerate(rows):
        agent_type = row.get("agent_type", "auditor")
        full.append(
            {
                "entry_id": entry_id(row["prompt"], agent_type),
                "agent_type": agent_type,
                "response": f"answer to {row['prompt']}",
                "source": "golden",
                "quality_score": 0.9,
                "demand": 1.0,
                "cost_usd": None,
                "provenance": '{"analysis": 1}',
                "answer_group": sha256_hex(agent_type, row["prompt"])[:16],
                "embedding_key": embedding_key("test:trigrams", row["prompt"]),
                "rank": rank,
                **row,
            }
        )
    return pa.Table.from_pylist(full, schema=WARMING_PLAN)


def numbered_plan(count: int, *, version: str = "v1", agent_types: int = 3) -> pa.Table:
    """A plan of ``count`` entries. Their responses contain the version, so that a test can tell which plan answered."""
    return make_plan(
        [
            {
                "prompt": f"how do I do thing number {n} of the list?",
                "agent_type": f"agent{n % agent_types}",
                "response": f"{version}: thing {n}",
            }
            for n in range(count)
        ]
    )


def distance_rules(distance_threshold: float) -> MatchRules:
    """One certified distance for every agent_type."""
    proof = Certificate(0.05, 0.01, 1 - distance_threshold, 200, 1, 0.03, 400, 5)
    return MatchRules(MatchRule("", "distance", distance_threshold, True, None, proof, proof))


def settings_of(plan: pa.Table, embedder: TrigramEmbedder, changes: dict[str, Any]) -> dict[str, Any]:
    """The arguments with which the tests publish a plan."""
    return {
        "as_of": DAY,
        "plan_hash": sha256_hex(repr(plan.to_pylist())),
        "embedder": embedder.info,
        "rules": distance_rules(0.1),
        "ttl_days": 7.0,
        "ttl_jitter": 0.1,
        "now": NOW,
        **changes,
    }


def publish(
    store: CacheStore,
    plan: pa.Table,
    *,
    embedder: TrigramEmbedder | None = None,
    vectors: np.ndarray | None = None,
    **changes: Any,
) -> PublishResult:
    """Publishes a plan with the settings of the tests."""
    embedder = embedder or TrigramEmbedder()
    if vectors is None:
        vectors = embedder.embed(plan["prompt"].to_pylist())
    return store.publish(plan, vectors, **settings_of(plan, embedder, changes))


def fill(
    store: CacheStore,
    plan: pa.Table,
    allowance: int | Callable[[datetime | None], int],
    *,
    embedder: TrigramEmbedder | None = None,
    **changes: Any,
) -> PublishResult:
    """Publishes part of a plan with the settings of the tests. ``allowance`` may be a number of entries."""
    embedder = embedder or TrigramEmbedder()
    vectors = embedder.embed(plan["prompt"].to_pylist())
    allowed = allowance if callable(allowance) else lambda _: allowance
    return store.publish_some(plan, vectors, allowance=allowed, **settings_of(plan, embedder, changes))


ROTATE = "How do I rotate the signing key?"
REVOKE = "Which users may revoke a certificate?"
PLAN = [
    {"prompt": ROTATE, "response": "rotate it so", "agent_type": "auditor"},
    {"prompt": REVOKE, "response": "these users", "agent_type": "auditor", "source": "query_log"},
    {"prompt": ROTATE, "response": "plan it so", "agent_type": "planner", "quality_score": 0.8},
]


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def republish(store: CacheStore, **changes: Any) -> str:
    """Publishes the plan again with other settings. Returns its generation."""
    return publish(store, make_plan(PLAN), **changes).generation


def keys(client: redis.Redis, prefix: str) -> set[str]:
    return {key.decode() for key in client.scan_iter(match=prefix + "*", count=1000)}


def entry_keys(client: redis.Redis, name: str, generation: str) -> set[str]:
    """Keys of the entries of a generation, without its other keys."""
    return {key for key in keys(client, key_prefix(name, generation)) if is_entry_id(key.rpartition(":")[2])}


def indexes(client: redis.Redis, name: str) -> set[str]:
    found: Any = client.execute_command("FT._LIST")
    return {i.decode().removeprefix(index_name(name, "")) for i in found if i.decode().startswith(index_name(name, ""))}


def writes(client: redis.Redis) -> int:
    info: Any = client.info("persistence")
    return int(info["rdb_changes_since_last_save"])


def state(client: redis.Redis, name: str) -> tuple[Any, set[str], set[str], str | None]:
    """Everything that a publish can change."""
    return (
        client.hgetall(generations_key(name)),
        indexes(client, name),
        keys(client, f"warm:{name}:"),
        CacheStore(client, name).index.alias_target(),
    )
