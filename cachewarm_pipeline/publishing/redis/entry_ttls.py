"""How long entries live in Redis: setting and renewing their TTLs, and marking the agent types that are still whole."""

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import redis
from cachewarm_client.generation_record import GenerationRecord
from cachewarm_client.keys import key_prefix, ttl_seconds, whole_key

_KEYS_AT_ONCE = 250
"""Commands in one pipeline, as many as a batch of ``load_entries`` has entries."""


def server_seconds(client: "redis.Redis") -> int:
    """The server's Unix time, rounded down. An entry that is given its TTL afterwards lives at least from then on."""
    now: Any = client.time()
    return int(now[0])


def entry_ttl(record: GenerationRecord, entry: str, agent_type: str) -> int:
    """Seconds that an entry of a generation lives, with the jitter that its id decides."""
    return ttl_seconds(entry, record.ttl_of(agent_type), record.ttl_jitter)


def renew_ttls(
    client: "redis.Redis", name: str, record: GenerationRecord, plan: pa.Table, before_batch: Callable[[], None]
) -> list[int]:
    """Restart the TTL of every planned entry; returns the rows of the plan whose entries are gone.

    The caller calls ``mark_whole`` when none is gone. Memory: one batch of keys.
    """
    prefix = key_prefix(name, record.id)
    gone: list[int] = []
    for start in range(0, plan.num_rows, _KEYS_AT_ONCE):
        before_batch()
        pipe: Any = client.pipeline(transaction=False)
        part = plan.slice(start, _KEYS_AT_ONCE)
        for entry, agent_type in zip(part["entry_id"].to_pylist(), part["agent_type"].to_pylist(), strict=True):
            pipe.expire(prefix + entry, entry_ttl(record, entry, agent_type))
        gone += [start + row for row, done in enumerate(pipe.execute()) if not done]
    return gone


def mark_whole(client: "redis.Redis", name: str, record: GenerationRecord, plan: pa.Table, since: int) -> None:
    """Mark each agent_type as whole until its first entry expires (cachewarm_client.keys.whole_key): until then
    all certified entries are present.

    ``since``: the server's time before the first entry was given its TTL, so that no mark outlives an entry.
    """
    pipe: Any = client.pipeline(transaction=False)
    pairs = zip(plan["entry_id"].to_pylist(), plan["agent_type"].to_pylist(), strict=True)
    for agent_type, first in _first_expiry(record, pairs).items():
        pipe.set(whole_key(name, record.id, agent_type), 1, exat=since + first)
    pipe.execute()


def renew_found_ttls(
    client: "redis.Redis",
    name: str,
    record: GenerationRecord,
    entries: list[tuple[str, str]],
    before_batch: Callable[[], None],
) -> int:
    """Restart the TTL of these entries (id, agent_type) when the plan is not available; returns how many.

    An agent_type that is marked as whole stays marked; a mark that has expired does not come back.
    """
    prefix, since, renewed = key_prefix(name, record.id), server_seconds(client), 0
    for start in range(0, len(entries), _KEYS_AT_ONCE):
        before_batch()
        pipe: Any = client.pipeline(transaction=False)
        for entry, agent_type in entries[start : start + _KEYS_AT_ONCE]:
            pipe.expire(prefix + entry, entry_ttl(record, entry, agent_type))
        renewed += sum(pipe.execute())
    pipe = client.pipeline(transaction=False)
    for agent_type, first in _first_expiry(record, entries).items():
        pipe.expireat(whole_key(name, record.id, agent_type), since + first)
    pipe.execute()
    return renewed


def _first_expiry(record: GenerationRecord, entries: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Agent type to the seconds after which the first of its entries expires."""
    first: dict[str, int] = {}
    for entry, agent_type in entries:
        seconds = entry_ttl(record, entry, agent_type)
        first[agent_type] = min(seconds, first.get(agent_type, seconds))
    return first
