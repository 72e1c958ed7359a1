"""Loading entries into Redis as fast as the server takes them: commands are sent ahead of their replies.

While the server works through one batch the next one is encoded and sent, so neither the round trip nor Python's own
work is waited for. Every reply is read and judged.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import redis
from cachewarm_client.generation_record import GenerationRecord
from cachewarm_client.keys import key_prefix, ttl_seconds, whole_key
from cachewarm_client.redis_search_commands import RULE_VECTORS

from cachewarm_pipeline.errors import CacheError

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
    """Write entries of the plan under the generation's prefix, each with its TTL; returns how many.

    ``plan`` is the record's or a part of it. Where it is the whole, ``mark_whole`` is done too; else the caller does it
    once all are there. ``vectors`` is float32 (rows of the plan, dimensions), in the plan's order; its column
    ``rule_vectors``, where it has one, is what a learned rule reads (match_rules.rule.pack). ``before_batch(sent)`` may
    raise to stop. Memory beyond the arguments: three batches of ``BATCH`` entries (about 3 MB; 60 MB if every response
    has 64 KB). Loading the same entries again is harmless. Raises CacheError when Redis refuses any command (full,
    read-only, not permitted), and redis-py's exceptions when the connection is lost.
    """
    prefix = key_prefix(name, record.id)
    columns = [*_COLUMNS, *(name for name in (RULE_VECTORS,) if name in plan.column_names)]
    since = server_seconds(client)
    with _Ahead(client) as ahead:
        for start in range(0, plan.num_rows, BATCH):
            before_batch(start)
            rows = plan.slice(start, BATCH).select(columns).to_pylist()
            ahead.send(*_batch(prefix, record, rows, vectors[start : start + BATCH]))
        ahead.finish()
    if plan.num_rows == record.entries:
        mark_whole(client, name, record, plan, since)
    return int(plan.num_rows)


def server_seconds(client: "redis.Redis") -> int:
    """The server's Unix time, rounded down: what lives from then on lives at least so long."""
    now: Any = client.time()
    return int(now[0])


def renew_ttls(
    client: "redis.Redis", name: str, record: GenerationRecord, plan: pa.Table, before_batch: Callable[[], None]
) -> list[int]:
    """Begin every entry's time to live anew; returns the plan's rows whose entries are gone.

    ``mark_whole`` is the caller's, where none is. Memory: one batch of keys.
    """
    prefix = key_prefix(name, record.id)
    gone: list[int] = []
    for start in range(0, plan.num_rows, BATCH):
        before_batch()
        pipe: Any = client.pipeline(transaction=False)
        part = plan.slice(start, BATCH)
        for entry, agent_type in zip(part["entry_id"].to_pylist(), part["agent_type"].to_pylist(), strict=True):
            pipe.expire(prefix + entry, _seconds(record, entry, agent_type))
        gone += [start + row for row, done in enumerate(pipe.execute()) if not done]
    return gone


def mark_whole(client: "redis.Redis", name: str, record: GenerationRecord, plan: pa.Table, since: int) -> None:
    """Until the first entry of an agent_type expires, it is as it was certified (cachewarm_client.keys.whole_key).

    ``since``: the server's time before the first entry was given its TTL, so that the mark never outlives an entry.
    """
    pipe: Any = client.pipeline(transaction=False)
    pairs = zip(plan["entry_id"].to_pylist(), plan["agent_type"].to_pylist(), strict=True)
    for agent_type, first in _first(record, pairs).items():
        pipe.set(whole_key(name, record.id, agent_type), 1, exat=since + first)
    pipe.execute()


def renew_found(
    client: "redis.Redis",
    name: str,
    record: GenerationRecord,
    entries: list[tuple[str, str]],
    before_batch: Callable[[], None],
) -> int:
    """Begin the time to live of entries (id, agent_type) anew, where the plan is not at hand; returns how many.

    An agent_type of which all entries are there stays marked as whole; a mark that is gone does not come back.
    """
    prefix, since, renewed = key_prefix(name, record.id), server_seconds(client), 0
    for start in range(0, len(entries), BATCH):
        before_batch()
        pipe: Any = client.pipeline(transaction=False)
        for entry, agent_type in entries[start : start + BATCH]:
            pipe.expire(prefix + entry, _seconds(record, entry, agent_type))
        renewed += sum(pipe.execute())
    pipe = client.pipeline(transaction=False)
    for agent_type, first in _first(record, entries).items():
        pipe.expireat(whole_key(name, record.id, agent_type), since + first)
    pipe.execute()
    return renewed


def _seconds(record: GenerationRecord, entry: str, agent_type: str) -> int:
    return ttl_seconds(entry, record.ttl_of(agent_type), record.ttl_jitter)


def _first(record: GenerationRecord, entries: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Agent type to the seconds after which the first of its entries expires."""
    first: dict[str, int] = {}
    for entry, agent_type in entries:
        seconds = _seconds(record, entry, agent_type)
        first[agent_type] = min(seconds, first.get(agent_type, seconds))
    return first


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
        ttl = _seconds(record, row["entry_id"], row["agent_type"])
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
