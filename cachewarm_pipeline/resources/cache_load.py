"""Loading entries into Redis as fast as the server takes them: commands are sent ahead of their replies.

While the server works through one batch the next one is encoded and sent, so neither the round trip nor Python's own
work is waited for. Every reply is read and judged.
"""

import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import redis

from cachewarm_pipeline.core.errors import CacheError
from cachewarm_pipeline.core.generation import key_prefix, ttl_seconds, whole_key
from cachewarm_pipeline.core.records import GenerationRecord
from cachewarm_pipeline.core.search import RULE_VECTORS

BATCH = 250
"""Entries sent at once. Two batches under way hide a round trip up to some 15 ms; larger ones load no faster."""

_COLUMNS = [
    "entry_id",
    "agent_type",
    "prompt",
    "response",
    "source",
    "quality_score",
    "provenance",
    "answer_group",
]


def load_entries(
    client: "redis.Redis",
    name: str,
    record: GenerationRecord,
    plan: pa.Table,
    vectors: np.ndarray,
    before_batch: Callable[[int], None],
) -> int:
    """Write the plan's entries under the generation's prefix, each with its TTL; returns how many.

    ``vectors`` is float32 (rows of the plan, dimensions), in the plan's order; its column ``rule_vectors``, where it
    has one, is what a learned rule reads (core.rules.rule.pack). ``before_batch(sent)`` may raise to
    stop. Memory beyond the arguments: three batches of ``BATCH`` entries (about 3 MB; 60 MB if every response has
    64 KB). Loading the same entries again is harmless. Raises CacheError when Redis refuses any command (full,
    read-only, not permitted), and redis-py's exceptions when the connection is lost.
    """
    prefix = key_prefix(name, record.id)
    columns = [*_COLUMNS, *(name for name in (RULE_VECTORS,) if name in plan.column_names)]
    with _Ahead(client) as ahead:
        for start in range(0, plan.num_rows, BATCH):
            before_batch(start)
            rows = plan.slice(start, BATCH).select(columns).to_pylist()
            ahead.send(*_batch(prefix, record, rows, vectors[start : start + BATCH]))
        ahead.finish()
    _mark_whole(client, name, record, plan)
    return int(plan.num_rows)


def renew_ttls(
    client: "redis.Redis", name: str, record: GenerationRecord, plan: pa.Table, before_batch: Callable[[], None]
) -> bool:
    """Begin every entry's time to live anew; False when an entry is gone. Memory: one batch of keys."""
    prefix = key_prefix(name, record.id)
    for start in range(0, plan.num_rows, BATCH):
        before_batch()
        pipe: Any = client.pipeline(transaction=False)
        for entry in plan["entry_id"].slice(start, BATCH).to_pylist():
            pipe.expire(prefix + entry, ttl_seconds(entry, record.ttl_days, record.ttl_jitter))
        if not all(pipe.execute()):
            return False
    _mark_whole(client, name, record, plan)
    return True


def _mark_whole(client: "redis.Redis", name: str, record: GenerationRecord, plan: pa.Table) -> None:
    """Until the first entry expires the generation is as it was certified (core.generation.whole_key)."""
    first = min(ttl_seconds(entry, record.ttl_days, record.ttl_jitter) for entry in plan["entry_id"].to_pylist())
    client.set(whole_key(name, record.id), 1, ex=first)


def entry_values(record: GenerationRecord, row: Mapping[str, Any], vector: bytes) -> list[bytes]:
    """Values of an entry's hash in the order of ``FIELDS``, the last one only where it has one: RedisVL's SemanticCache
    layout and what lookups filter by.

    A stock reader skips a hit without entry_id, prompt, response, inserted_at or updated_at, or with metadata that is
    no JSON object.
    """
    at = b"%r" % record.created_at.timestamp()
    generation = record.id.encode()
    source = row["source"].encode()
    metadata = b'{"source": "%b", "generation": "%b", "provenance": %b}' % (
        source,
        generation,
        _json(row["provenance"]),
    )
    return [
        row["entry_id"].encode(),
        row["prompt"].encode(),
        row["response"].encode(),
        vector,
        at,
        at,
        metadata,
        row["agent_type"].encode(),
        row["source"].encode(),
        b"%r" % row["quality_score"],
        row["answer_group"].encode(),
        generation,
        *((row[RULE_VECTORS].encode(),) if row.get(RULE_VECTORS) else ()),
    ]


FIELDS = (
    "entry_id",
    "prompt",
    "response",
    "prompt_vector",
    "inserted_at",
    "updated_at",
    "metadata",
    "agent_type",
    "source",
    "quality_score",
    "answer_group",
    "generation",
    RULE_VECTORS,
)

_VALUE = "$%d\r\n%b\r\n"


def _word(text: str) -> str:
    return f"${len(text)}\r\n{text}\r\n"


# An entry is HSET and EXPIRE in Redis's protocol, filled in by one formatting: redis-py's own packing of its 29 words
# would be most of the work of loading, and the server would wait for it.
_ENTRY = {
    count: "".join(
        [
            f"*{2 + 2 * count}\r\n" + _word("HSET") + _VALUE,
            *(_word(field) + _VALUE for field in FIELDS[:count]),
            "*3\r\n" + _word("EXPIRE") + _VALUE + _VALUE,
        ]
    ).encode()
    for count in (len(FIELDS) - 1, len(FIELDS))
}

_decode = json.JSONDecoder(parse_constant=str).decode  # NaN is no JSON; a reader in another language would stop at it
_encode = json.JSONEncoder().encode


def _json(text: str) -> bytes:
    try:
        return _encode(_decode(text)).encode()
    except (ValueError, RecursionError):
        return _encode(text).encode()


def _batch(
    prefix: str, record: GenerationRecord, rows: list[dict[str, Any]], vectors: np.ndarray
) -> tuple[bytes, list[str]]:
    """The commands of a batch, and the key of each entry in it."""
    matrix = np.ascontiguousarray(vectors, dtype="<f4")
    keys, entries = [], []
    for row, vector in zip(rows, matrix, strict=True):
        key = prefix + row["entry_id"]
        ttl = ttl_seconds(row["entry_id"], record.ttl_days, record.ttl_jitter)
        values = entry_values(record, row, vector.tobytes())
        words = [key.encode(), *values, key.encode(), b"%d" % ttl]
        entries.append(_ENTRY[len(values)] % tuple([part for word in words for part in (len(word), word)]))
        keys.append(key)
    return b"".join(entries), keys


class _Ahead:
    """One connection on which the next batch is sent before the replies of the last one are read.

    This cannot lock up: replies to a batch are a few KB, and Redis keeps them in memory while it reads on.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._pool = client.connection_pool
        self._owed: list[str] = []

    def __enter__(self) -> Self:
        self._connection: Any = self._pool.get_connection()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._connection.disconnect()  # replies may still come: nobody else may read them as theirs
        self._pool.release(self._connection)

    def send(self, commands: bytes, keys: list[str]) -> None:
        """Send a batch, then read the replies that the batch before it still owes."""
        self._connection.send_packed_command([commands])
        self.finish()
        self._owed = keys

    def finish(self) -> None:
        """Read every reply that is owed. Raises CacheError with the first refusal and how many there were."""
        problems = []
        for key in self._owed:
            for command in ("HSET", "EXPIRE"):
                try:
                    reply = self._connection.read_response()
                except redis.ResponseError as error:
                    problems.append(str(error))
                else:
                    if command == "EXPIRE" and reply != 1:
                        problems.append(f"{key} was gone before it could be given its time to live")
        sent, self._owed = 2 * len(self._owed), []
        if problems:
            raise CacheError(f"Redis refused {len(problems)} of {sent} writes while loading: {problems[0]}")
