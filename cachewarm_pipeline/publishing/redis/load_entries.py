"""Loads entries into Redis as fast as the server accepts them: commands are sent ahead of their replies.

While the server works through one batch, the next one is encoded and sent. So the load waits neither for the round trip
nor for Python's own work. Every reply is read and checked.
"""

import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import redis
from cachewarm_client.generation_record import GenerationRecord
from cachewarm_client.keys import key_prefix
from cachewarm_client.redis_search_commands import RULE_VECTORS

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.redis.entry_ttls import entry_ttl, mark_whole, server_seconds

BATCH = 250
"""Entries sent at once. Two batches in flight hide a round trip of up to 15 ms; larger batches load no faster."""

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
    """Write entries of the plan under the generation's prefix, each with its TTL; returns how many.

    ``plan`` is the record's plan or a part of it. With the whole plan this also calls ``mark_whole``; with parts the
    caller does so after the last one. The optional column ``rule_vectors`` of the plan is what a learned rule reads
    (cachewarm_client.match_decision.pack). ``vectors`` is float32 (rows of the plan, dimensions), in the plan's order.
    ``before_batch(sent)`` may raise to stop the load. Memory beyond the arguments: three batches of ``BATCH`` entries
    (about 3 MB; 60 MB if every response has 64 KB). Loading the same entries again is harmless.

    Raises CacheError when Redis refuses any command (full, read-only, not permitted), and redis-py's exceptions when
    the connection is lost.
    """
    prefix = key_prefix(name, record.id)
    columns = [*_COLUMNS, *(name for name in (RULE_VECTORS,) if name in plan.column_names)]
    since = server_seconds(client)
    with _PipelinedConnection(client) as connection:
        for start in range(0, plan.num_rows, BATCH):
            before_batch(start)
            rows = plan.slice(start, BATCH).select(columns).to_pylist()
            connection.send(*_batch(prefix, record, rows, vectors[start : start + BATCH]))
        connection.read_replies()
    if plan.num_rows == record.entries:
        mark_whole(client, name, record, plan, since)
    return int(plan.num_rows)


def entry_values(record: GenerationRecord, row: Mapping[str, Any], vector: bytes) -> list[bytes]:
    """Values of an entry's hash in the order of ``FIELDS``; the last one is optional.

    The layout is that of RedisVL's SemanticCache, and the fields that lookups filter by. A stock reader skips a hit
    that lacks entry_id, prompt, response, inserted_at or updated_at, or whose metadata is not a JSON object.
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


# One template per entry holds HSET and EXPIRE in Redis's protocol, and one formatting fills it in. redis-py would pack
# the 29 words one by one: that would be most of the work of loading, and the server would wait for it.
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

_decode = json.JSONDecoder(parse_constant=str).decode  # NaN is not JSON: a parser in another language would fail
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
        ttl = entry_ttl(record, row["entry_id"], row["agent_type"])
        values = entry_values(record, row, vector.tobytes())
        words = [key.encode(), *values, key.encode(), b"%d" % ttl]
        entries.append(_ENTRY[len(values)] % tuple([part for word in words for part in (len(word), word)]))
        keys.append(key)
    return b"".join(entries), keys


class _PipelinedConnection:
    """One connection on which the next batch is sent before the replies to the last one are read.

    This cannot deadlock: the replies to a batch are a few KB, and Redis keeps them in memory while it reads on.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._pool = client.connection_pool
        self._unanswered: list[str] = []

    def __enter__(self) -> Self:
        self._connection: Any = self._pool.get_connection()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._connection.disconnect()  # replies may still arrive, and the next user must not read them
        self._pool.release(self._connection)

    def send(self, commands: bytes, keys: list[str]) -> None:
        """Send a batch, then read the replies to the batch before it."""
        self._connection.send_packed_command([commands])
        self.read_replies()
        self._unanswered = keys

    def read_replies(self) -> None:
        """Read every reply that is due. Raises CacheError with the number of refusals and the first one."""
        problems = []
        for key in self._unanswered:
            for command in ("HSET", "EXPIRE"):
                try:
                    reply = self._connection.read_response()
                except redis.ResponseError as error:
                    problems.append(str(error))
                else:
                    if command == "EXPIRE" and reply != 1:
                        problems.append(f"{key} disappeared before its TTL was set")
        sent, self._unanswered = 2 * len(self._unanswered), []
        if problems:
            raise CacheError(f"Redis refused {len(problems)} of {sent} writes while loading: {problems[0]}")
