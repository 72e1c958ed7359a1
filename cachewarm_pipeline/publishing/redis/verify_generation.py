"""What must hold before a generation may be served: proven by asking Redis, not by having written to it."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client import redis_search_commands as search
from cachewarm_client.generation_record import GenerationRecord
from cachewarm_client.keys import index_name, key_prefix
from cachewarm_client.redis_index import SEARCH_TIMEOUT_MS, CacheIndex

from cachewarm_pipeline.errors import CacheError

INDEXING_SECONDS = 600.0
"""The engine reads every key of the database once when an index is made: about 10 s for a million keys."""

POLL_SECONDS = 0.05

SAMPLE = 32
"""Self-lookups spread evenly over the plan."""

SAMPLE_AGENT_TYPES = 256
"""And the first entry of each agent_type, up to so many: a filter that fails, fails for an agent_type."""

ZERO_DISTANCE = 1e-4
"""A vector's distance to itself in float32, with room."""

_CHUNK = 64


class UnprovenError(CacheError):
    """A generation is not what was planned: loading more of it, or asking again, does not make it right."""


def check_plan(plan: pa.Table, vectors: np.ndarray) -> None:
    """Refuse a plan that cannot be loaded as it is, before anything is touched. Raises CacheError."""
    if plan.num_rows == 0:
        raise CacheError("the plan has no entries; publishing it would empty the cache, so nothing was changed")
    if vectors.ndim != 2 or vectors.shape[0] != plan.num_rows or vectors.shape[1] == 0:
        raise CacheError(f"{plan.num_rows} planned entries, but vectors of shape {vectors.shape}; run the day again")
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.allclose(lengths, 1.0, atol=1e-3):  # also false for NaN and infinity
        bad = int(np.flatnonzero(~np.isclose(lengths, 1.0, atol=1e-3))[0])
        raise CacheError(f"the vector of entry {plan['entry_id'][bad]} is not of unit length; run the day again")
    if pc.count_distinct(plan["entry_id"]).as_py() != plan.num_rows:
        raise CacheError("the plan holds an entry_id twice; run the day again")
    for agent_type in pc.unique(plan["agent_type"]).to_pylist():
        if not search.usable_agent_type(agent_type):
            raise CacheError(
                f"agent_type {agent_type[:80]!r} cannot be looked up: it is empty, too long, holds control characters, "
                "or has blanks at its ends"
            )


def wait_until_scanned(
    index: CacheIndex,
    generation: str,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    tick: Callable[[], None],
) -> None:
    """Wait until the engine has read the keys that were there before (the application's own entries).

    Raises CacheError after ``INDEXING_SECONDS`` or when the index is gone.
    """
    deadline = clock() + INDEXING_SECONDS
    while True:
        info = index.info(index_name(index.name, generation))
        if info is None:
            raise CacheError(f"the index of generation {generation} is gone: somebody removed it; run again")
        if not info.scanning:
            return
        if clock() > deadline:
            raise CacheError(
                f"Redis has not finished indexing generation {generation} after {INDEXING_SECONDS:.0f} s; "
                "run again when it is less busy"
            )
        tick()
        sleep(POLL_SECONDS)


def check_count(index: CacheIndex, record: GenerationRecord) -> None:
    """The index holds every planned entry. An entry that could not be indexed is silently left out by the engine."""
    found = index.count(record.id)
    if found != record.entries:
        info = index.info(index_name(index.name, record.id))
        reason = info.last_error if info else "the index is gone"
        raise UnprovenError(
            f"generation {record.id} holds {found} of {record.entries} planned entries (last indexing error: "
            f"{reason}); it was not published"
        )


def sample_rows(plan: pa.Table) -> list[int]:
    """Rows to look up: evenly spread ones, and the first of each agent_type. Deterministic."""
    rows = plan.num_rows
    spread = {round(i * (rows - 1) / max(1, SAMPLE - 1)) for i in range(SAMPLE)}
    firsts: dict[str, int] = {}
    for row, agent_type in enumerate(plan["agent_type"].to_pylist()):
        firsts.setdefault(agent_type, row)
    return sorted(spread | set(list(firsts.values())[:SAMPLE_AGENT_TYPES]))


def check_self_lookups(
    index: CacheIndex, record: GenerationRecord, plan: pa.Table, vectors: np.ndarray, tick: Callable[[], None]
) -> None:
    """Sampled entries are found by their own vector and agent_type, and will expire. Raises UnprovenError.

    The entry found must be the one looked up, or one whose planned vector is the same.
    """
    rows = sample_rows(plan)
    for start in range(0, len(rows), _CHUNK):
        tick()
        _check_rows(index, record, plan, vectors, rows[start : start + _CHUNK])


def _check_rows(
    index: CacheIndex, record: GenerationRecord, plan: pa.Table, vectors: np.ndarray, rows: Sequence[int]
) -> None:
    prefix = key_prefix(index.name, record.id)
    pipe: Any = index.client.pipeline(transaction=False)
    for row in rows:
        vector = np.ascontiguousarray(vectors[row], dtype="<f4").tobytes()
        lookup = search.knn_command(
            index_name(index.name, record.id),
            plan["agent_type"][row].as_py(),
            vector,
            1,
            extra_filter="@generation:{$generation}",
            extra_params={"generation": record.id},
            fields=["entry_id"],
            timeout_ms=SEARCH_TIMEOUT_MS,
        )
        pipe.execute_command(*lookup)
        pipe.execute_command("TTL", prefix + plan["entry_id"][row].as_py())
    replies: list[Any] = pipe.execute()
    for position, row in enumerate(rows):
        found, ttl = search.parse_found(replies[2 * position]), int(replies[2 * position + 1])
        expected = plan["entry_id"][row].as_py()
        agent_type = plan["agent_type"][row].as_py()
        where = f"generation {record.id}, entry {expected[:12]} of agent_type {agent_type!r}"
        if ttl <= 0:
            raise UnprovenError(f"{where}: it has no time to live; it was not published")
        if found.partial:
            raise CacheError(f"{where}: looking it up timed out, Redis is too busy; it was not published, run again")
        if not found.rows:
            raise UnprovenError(f"{where}: its own vector does not find it; it was not published")
        key, fields = found.rows[0]
        distance = float(fields.get(search.DISTANCE_FIELD, "nan"))
        answered = key.removeprefix(prefix)
        # `not <=` so that NaN fails
        if (
            not math.isfinite(distance)
            or not distance <= ZERO_DISTANCE
            or not (answered == expected or _twins(plan, vectors, row, answered))
        ):
            raise UnprovenError(
                f"{where}: its own vector finds {answered[:12]} at distance {distance:.4f}; it was not published"
            )


def _twins(plan: pa.Table, vectors: np.ndarray, row: int, other: str) -> bool:
    position = pc.index(plan["entry_id"], other).as_py()
    return position >= 0 and 1.0 - float(vectors[row] @ vectors[position]) <= ZERO_DISTANCE
