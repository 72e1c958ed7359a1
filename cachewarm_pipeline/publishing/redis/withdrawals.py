"""Takes bad answers out of service in every generation, and brings them back. Needs no publishing lock.

An answer is first recorded as withdrawn, and then taken out of every generation. A publish applies what is recorded
just before its switch. So whichever comes first, no generation goes live with the answer.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import redis
from cachewarm_client.generation_record import LIVE_FIELD, PINNED_FIELD
from cachewarm_client.keys import (
    generations_key,
    is_entry_id,
    key_prefix,
    ledger_lock_key,
    taken_out_key,
    withdrawn_key,
)
from cachewarm_client.redis_index import CacheIndex, redis_faults
from cachewarm_client.redis_search_commands import text
from cachewarm_client.wrong_hit_reports import ServedAnswer, response_sha, shortened
from redis.exceptions import LockError

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.withdrawn_answers import (
    Reconciliation,
    WithdrawalResult,
    WithdrawnAnswer,
    hash_field,
    hashes_by_entry,
    reconciliation,
)

ATTEMPTS = 3
"""Attempts to take out an answer that changes meanwhile. Only a publish that reinstates answers can change them."""

_AT_ONCE = 500
"""Answers recorded by one script: Lua accepts about 8,000 arguments at once."""

_LEDGER_SECONDS = 60
"""Lease of the ledger's lock: far longer than writing one small file takes."""

# All three have to work on a full server too: a bad answer must go out of service there as well.
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


class Withdrawals:
    """The withdrawn answers of one cache name. Every method raises CacheError, with a message of one line, when Redis
    is lost or refuses a command, except those whose docstring says otherwise."""

    def __init__(self, index: CacheIndex) -> None:
        self._index = index
        self._client: Any = index.client  # redis-py has no types for its replies

    def withdraw(self, entries: Mapping[str, str | None], now: datetime | None, why: str = "") -> WithdrawalResult:
        """Take answers out of service in every generation. See ``CacheStore.withdraw``."""
        for entry in entries:
            if not is_entry_id(entry):
                raise CacheError(
                    f"{entry!r:.80} is not an entry_id (64 hex digits, as a hit shows it); nothing was withdrawn"
                )
        with redis_faults("withdrawing entries"):
            return self._withdraw(entries, now or self._server_time(), shortened(why))

    def all(self) -> list[WithdrawnAnswer]:
        """All withdrawn answers, by entry id."""
        with redis_faults("reading what is withdrawn"):
            return self._read()

    def reinstate(self, entry_ids: Iterable[str]) -> tuple[str, ...]:
        """Delete the withdrawals of these entries; returns the ids that had one. Answers come back with the next
        ``reconcile``."""
        wanted = set(entry_ids)
        with redis_faults("reinstating entries"):
            found = [one for one in self._read() if one.entry_id in wanted]
            if found:
                self._client.hdel(withdrawn_key(self._index.name), *(one.field for one in found))
        return tuple(sorted({one.entry_id for one in found}))

    def answers(self, entry_ids: Iterable[str]) -> list[ServedAnswer]:
        """The answers of these entries that any generation has in service, each once."""
        wanted = set(entry_ids)
        with redis_faults("reading answers"):
            found = {
                (one.entry_id, response_sha(one.response)): one
                for generation in reversed(self._generations())  # the live one comes last, so its texts win
                for one in self._answers_of(generation, wanted)
            }
        return list(found.values())

    def answers_of(self, generation: str, entry_ids: Collection[str]) -> list[ServedAnswer]:
        """The answers of these entries that a generation has in service."""
        with redis_faults("reading answers"):
            return self._answers_of(generation, entry_ids)

    def count_out_of_service(self, generation: str) -> int:
        """Number of entries of a generation that were taken out of service."""
        with redis_faults("counting what is out of service"):
            return int(self._index.command("SCARD", taken_out_key(self._index.name, generation)))

    @contextmanager
    def ledger_lock(self) -> Iterator[None]:
        """Lock on the ledger of withdrawn entries. See ``CacheStore.ledger_lock``."""
        lock = self._client.lock(
            ledger_lock_key(self._index.name), timeout=_LEDGER_SECONDS, blocking_timeout=_LEDGER_SECONDS
        )
        with redis_faults("waiting for another withdrawal"):
            if not lock.acquire():
                raise CacheError("another withdrawal is running; nothing was changed: try again in a minute")
        try:
            yield
        finally:
            with suppress(redis.RedisError, LockError):
                lock.release()

    # Steps of a publish

    def take_out_withdrawn(self, generation: str, at: datetime) -> None:
        """Take every withdrawn answer out of a generation that is about to go live. Raises redis-py's exceptions."""
        bad = hashes_by_entry(self._read())
        self._take_out(generation, self._responses(generation, bad), bad, at)

    def unreconciled(self, generation: str, plan: pa.Table) -> Reconciliation:
        """What ``reconcile`` would change in a generation of the plan. It only reads. Raises redis-py's exceptions."""
        members = self._client.smembers(taken_out_key(self._index.name, generation))
        taken_out, bad = {text(entry) for entry in members}, hashes_by_entry(self._read())
        return reconciliation(bad, taken_out, _planned_responses(plan, taken_out | set(bad)))

    def reconcile(self, generation: str, plan: pa.Table, at: datetime) -> Reconciliation:
        """Make a generation of the plan serve exactly the answers that it may: reinstated ones again, withdrawn ones no
        more. Returns the changes. Raises redis-py's exceptions."""
        changes, name = self.unreconciled(generation, plan), self._index.name
        responses, prefix = _planned_responses(plan, set(changes.bring_back)), key_prefix(name, generation)
        for entry in changes.bring_back:
            response = responses[entry]
            keys = (prefix + entry, taken_out_key(name, generation), withdrawn_key(name))
            self._client.eval(_BRING_BACK, 3, *keys, response, entry, hash_field(entry, response_sha(response)))
        self.take_out_withdrawn(generation, at)
        return changes

    # Inside

    def _withdraw(self, entries: Mapping[str, str | None], at: datetime, why: str) -> WithdrawalResult:
        bad = {entry: set() if response is None else {response_sha(response)} for entry, response in entries.items()}
        self._record(bad, at, why)
        # Generations are listed after the record is written: one that does not exist yet finds it when it goes live.
        taken_out: dict[str, list[str]] = {}
        differing: dict[str, list[str]] = {}
        for generation in self._generations():
            responses = self._responses(generation, entries)
            current = {e: {response_sha(r)} for e, r in responses.items() if r is not None and entries[e] is None}
            self._record(current, at, why)
            for entry, shas in current.items():
                bad[entry] |= shas
            unchanged = self._take_out(generation, responses, bad, at)
            for entry in responses:
                (differing if entry in unchanged else taken_out).setdefault(entry, []).append(generation)
        return WithdrawalResult(
            {entry: tuple(found) for entry, found in taken_out.items()},
            {entry: tuple(found) for entry, found in differing.items()},
            tuple(sorted(set(entries) - set(taken_out) - set(differing))),
        )

    def _read(self) -> list[WithdrawnAnswer]:
        found = self._client.hgetall(withdrawn_key(self._index.name))
        return [WithdrawnAnswer.from_json(text(name), text(value)) for name, value in sorted(found.items())]

    def _record(self, bad: Mapping[str, Collection[str]], at: datetime, why: str) -> None:
        rows = [WithdrawnAnswer(entry, sha, at, why) for entry, shas in bad.items() for sha in shas]
        for start in range(0, len(rows), _AT_ONCE):
            fields = [part for row in rows[start : start + _AT_ONCE] for part in (row.field, row.to_json())]
            self._client.eval(_RECORD, 1, withdrawn_key(self._index.name), *fields)

    def _take_out(
        self,
        generation: str,
        responses: Mapping[str, str | None],
        bad: Mapping[str, Collection[str]],
        at: datetime,
    ) -> set[str]:
        """Take the bad ones of a generation's answers out of service; returns the entries that keep their answer."""
        prefix, taken_out = key_prefix(self._index.name, generation), taken_out_key(self._index.name, generation)
        answers = {entry: response for entry, response in responses.items() if response is not None}
        for _ in range(ATTEMPTS):
            wrong = [entry for entry, response in answers.items() if response_sha(response) in bad[entry]]
            if not wrong:
                break
            pipe = self._client.pipeline(transaction=False)
            for entry in wrong:
                pipe.eval(_TAKE_OUT, 2, prefix + entry, taken_out, answers[entry], at.isoformat(), entry)
            changed = [entry for entry, done in zip(wrong, pipe.execute(), strict=True) if not done]
            answers = {entry: response for entry, response in answers.items() if entry not in wrong}
            answers |= {e: r for e, r in self._responses(generation, changed).items() if r is not None}
        return set(answers)

    def _responses(self, generation: str, entries: Iterable[str]) -> dict[str, str | None]:
        """The answers of those entries that the generation has; None for an entry that is out of service."""
        asked, prefix = list(entries), key_prefix(self._index.name, generation)
        if not asked:
            return {}
        pipe = self._client.pipeline(transaction=False)
        for entry in asked:
            pipe.hmget(prefix + entry, "entry_id", "response")
        return {
            entry: None if response is None else text(response)
            for entry, (exists, response) in zip(asked, pipe.execute(), strict=True)
            if exists is not None
        }

    def _answers_of(self, generation: str, entry_ids: Collection[str]) -> list[ServedAnswer]:
        ids, prefix, found = sorted(entry_ids), key_prefix(self._index.name, generation), []
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            pipe = self._client.pipeline(transaction=False)
            for entry in part:
                pipe.hmget(prefix + entry, "agent_type", "prompt", "response", "source", "metadata")
            for entry, values in zip(part, pipe.execute(), strict=True):
                if None not in values:
                    agent_type, prompt, response, source, metadata = map(text, values)
                    provenance = json.dumps(json.loads(metadata).get("provenance") or {})
                    found.append(ServedAnswer(entry, agent_type, prompt, response, source, provenance))
        return found

    def _generations(self) -> list[str]:
        """Every generation that has a record or an index, the live one first."""
        key = generations_key(self._index.name)
        recorded = {text(name) for name in self._client.hkeys(key)} - {LIVE_FIELD, PINNED_FIELD}
        live = self._client.hget(key, LIVE_FIELD)
        return sorted(recorded | self._index.generations(), key=lambda g: (live is None or g != text(live), g))

    def _server_time(self) -> datetime:
        return datetime.fromtimestamp(self._client.time()[0], UTC)


def _planned_responses(plan: pa.Table, entries: Collection[str]) -> dict[str, str]:
    if not entries:
        return {}
    rows = plan.filter(pc.is_in(plan["entry_id"], pa.array(sorted(entries), pa.string())))
    return dict(zip(rows["entry_id"].to_pylist(), rows["response"].to_pylist(), strict=True))
