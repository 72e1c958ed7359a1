"""Taking bad answers out of service in every generation, and bringing them back. Needs no lock.

An answer is written down as withdrawn first and taken out of every generation then; a publish applies what is written
down just before its switch. So whichever comes first, no generation that holds the answer goes live with it.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.generation_record import LIVE_FIELD, PINNED_FIELD
from cachewarm_client.keys import generations_key, is_entry_id, key_prefix, taken_out_key, withdrawn_key
from cachewarm_client.redis_index import CacheIndex
from cachewarm_client.redis_search_commands import text
from cachewarm_client.wrong_hit_reports import ServedAnswer, response_sha, shortened

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.withdrawn_answers import (
    Settlement,
    Withdrawal,
    Withdrawn,
    by_entry,
    field_of,
    settlement,
)

TRIES = 3
"""Looks at an answer that changes in between; only a publish that brings answers back changes one."""

_AT_ONCE = 500
"""Answers written down by one script: Lua takes some 8,000 arguments at once."""

# All three must work on a full server too: a bad answer goes out of service there as well.
_RECORD = """#!lua flags=allow-oom
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
"""
_TAKE_OUT = """#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], 'response') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'response')
redis.call('HSET', KEYS[1], 'withdrawn', ARGV[2])
redis.call('SADD', KEYS[2], ARGV[3])
return 1
"""
_BRING_BACK = """#!lua flags=allow-oom
if redis.call('HEXISTS', KEYS[3], ARGV[3]) == 1 then return 0 end
redis.call('SREM', KEYS[2], ARGV[2])
if redis.call('HEXISTS', KEYS[1], 'withdrawn') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'response', ARGV[1])
redis.call('HDEL', KEYS[1], 'withdrawn')
return 1
"""


def withdraw(index: CacheIndex, entries: Mapping[str, str | None], now: datetime | None, why: str = "") -> Withdrawn:
    """Take answers out of service in every generation (``CacheStore.withdraw``). Raises redis-py's exceptions."""
    for entry in entries:
        if not is_entry_id(entry):
            raise CacheError(f"{entry!r:.80} is no entry_id (64 hex digits, as a hit has it); nothing was withdrawn")
    at, why = now or _server_time(index), shortened(why)
    bad = {entry: set() if response is None else {response_sha(response)} for entry, response in entries.items()}
    _record(index, bad, at, why)
    # Listed after that: a generation that is not there yet finds the record when it goes live.
    taken_out: dict[str, list[str]] = {}
    differing: dict[str, list[str]] = {}
    for generation in _generations(index):
        there = _responses(index, generation, entries)
        whatever = {e: {response_sha(r)} for e, r in there.items() if r is not None and entries[e] is None}
        _record(index, whatever, at, why)
        for entry, shas in whatever.items():
            bad[entry] |= shas
        still = _take_out(index, generation, there, bad, at)
        for entry in there:
            (differing if entry in still else taken_out).setdefault(entry, []).append(generation)
    return Withdrawn(
        {entry: tuple(found) for entry, found in taken_out.items()},
        {entry: tuple(found) for entry, found in differing.items()},
        tuple(sorted(set(entries) - set(taken_out) - set(differing))),
    )


def withdrawals(index: CacheIndex) -> list[Withdrawal]:
    """All answers that are withdrawn, by entry id. Raises redis-py's exceptions."""
    found: Any = index.client.hgetall(withdrawn_key(index.name))
    return [Withdrawal.from_json(text(name), text(value)) for name, value in sorted(found.items())]


def reinstate(index: CacheIndex, entry_ids: Iterable[str]) -> tuple[str, ...]:
    """Forget what is withdrawn of these entries; returns those of which anything was. Raises redis-py's exceptions."""
    wanted = set(entry_ids)
    found = [one for one in withdrawals(index) if one.entry_id in wanted]
    if found:
        index.client.hdel(withdrawn_key(index.name), *(one.field for one in found))
    return tuple(sorted({one.entry_id for one in found}))


def answers(index: CacheIndex, entry_ids: Collection[str]) -> list[ServedAnswer]:
    """The answers of these entries that any generation has in service, each once. Raises redis-py's exceptions."""
    found = {
        (one.entry_id, response_sha(one.response)): one
        for generation in reversed(_generations(index))  # the live one last: its texts win
        for one in answers_of(index, generation, entry_ids)
    }
    return list(found.values())


def answers_of(index: CacheIndex, generation: str, entry_ids: Collection[str]) -> list[ServedAnswer]:
    """The answers of these entries that a generation has in service. Raises redis-py's exceptions."""
    ids, prefix, found = sorted(entry_ids), key_prefix(index.name, generation), []
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        pipe: Any = index.client.pipeline(transaction=False)
        for entry in part:
            pipe.hmget(prefix + entry, "agent_type", "prompt", "response", "source", "metadata")
        for entry, values in zip(part, pipe.execute(), strict=True):
            if None not in values:
                agent_type, prompt, response, source, metadata = map(text, values)
                provenance = json.dumps(json.loads(metadata).get("provenance") or {})
                found.append(ServedAnswer(entry, agent_type, prompt, response, source, provenance))
    return found


def taken_out(index: CacheIndex, generation: str) -> int:
    """Entries of a generation that are out of service. Raises redis-py's exceptions."""
    return int(index.command("SCARD", taken_out_key(index.name, generation)))


def take_out_withdrawn(index: CacheIndex, generation: str, at: datetime) -> None:
    """Apply what is withdrawn to a generation that is about to go live. Raises redis-py's exceptions."""
    bad = by_entry(withdrawals(index))
    _take_out(index, generation, _responses(index, generation, bad), bad, at)


def unsettled(index: CacheIndex, generation: str, plan: pa.Table) -> Settlement:
    """What a generation of the plan would have to change. It writes nothing. Raises redis-py's exceptions."""
    members: Any = index.client.smembers(taken_out_key(index.name, generation))
    taken_out, bad = {text(entry) for entry in members}, by_entry(withdrawals(index))
    return settlement(bad, taken_out, _planned(plan, taken_out | set(bad)))


def settle(index: CacheIndex, generation: str, plan: pa.Table, at: datetime) -> Settlement:
    """Make a generation of the plan serve exactly what it may: reinstated answers again, withdrawn ones no more."""
    changes = unsettled(index, generation, plan)
    responses, prefix = _planned(plan, set(changes.bring_back)), key_prefix(index.name, generation)
    for entry in changes.bring_back:
        response = responses[entry]
        keys = (prefix + entry, taken_out_key(index.name, generation), withdrawn_key(index.name))
        index.client.eval(_BRING_BACK, 3, *keys, response, entry, field_of(entry, response_sha(response)))
    take_out_withdrawn(index, generation, at)
    return changes


def _planned(plan: pa.Table, entries: Collection[str]) -> dict[str, str]:
    if not entries:
        return {}
    rows = plan.filter(pc.is_in(plan["entry_id"], pa.array(sorted(entries), pa.string())))
    return dict(zip(rows["entry_id"].to_pylist(), rows["response"].to_pylist(), strict=True))


def _generations(index: CacheIndex) -> list[str]:
    """Every generation that has a record or an index, the live one first."""
    client: Any = index.client
    named = {text(name) for name in client.hkeys(generations_key(index.name))} - {LIVE_FIELD, PINNED_FIELD}
    live = client.hget(generations_key(index.name), LIVE_FIELD)
    return sorted(named | index.generations(), key=lambda g: (live is None or g != text(live), g))


def _responses(index: CacheIndex, generation: str, entries: Iterable[str]) -> dict[str, str | None]:
    """The answers of those entries that the generation has; None for one that is out of service."""
    asked, prefix = list(entries), key_prefix(index.name, generation)
    if not asked:
        return {}
    pipe: Any = index.client.pipeline(transaction=False)
    for entry in asked:
        pipe.hmget(prefix + entry, "entry_id", "response")
    return {
        entry: None if response is None else text(response)
        for entry, (there, response) in zip(asked, pipe.execute(), strict=True)
        if there is not None
    }


def _record(index: CacheIndex, bad: Mapping[str, Collection[str]], at: datetime, why: str) -> None:
    rows = [Withdrawal(entry, sha, at, why) for entry, shas in bad.items() for sha in shas]
    for start in range(0, len(rows), _AT_ONCE):
        fields = [part for row in rows[start : start + _AT_ONCE] for part in (row.field, row.to_json())]
        index.client.eval(_RECORD, 1, withdrawn_key(index.name), *fields)


def _take_out(
    index: CacheIndex,
    generation: str,
    there: Mapping[str, str | None],
    bad: Mapping[str, Collection[str]],
    at: datetime,
) -> set[str]:
    """Take the bad ones of a generation's answers out of service; returns the entries that keep theirs."""
    prefix, taken_out = key_prefix(index.name, generation), taken_out_key(index.name, generation)
    answers = {entry: response for entry, response in there.items() if response is not None}
    for _ in range(TRIES):
        turn = [entry for entry, response in answers.items() if response_sha(response) in bad[entry]]
        if not turn:
            break
        pipe: Any = index.client.pipeline(transaction=False)
        for entry in turn:
            pipe.eval(_TAKE_OUT, 2, prefix + entry, taken_out, answers[entry], at.isoformat(), entry)
        changed = [entry for entry, done in zip(turn, pipe.execute(), strict=True) if not done]
        answers = {entry: response for entry, response in answers.items() if entry not in turn}
        answers |= {e: r for e, r in _responses(index, generation, changed).items() if r is not None}
    return set(answers)


def _server_time(index: CacheIndex) -> datetime:
    now: Any = index.client.time()
    return datetime.fromtimestamp(now[0], UTC)
