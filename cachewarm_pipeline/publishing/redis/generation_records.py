"""The records of one cache's generations in Redis: which generations exist, which one is live, filling or pinned, and
which ones may be removed. Writing a record needs the publishing lock; reading needs nothing.
"""

from datetime import date
from typing import Any

from cachewarm_client.generation_record import GenerationRecord, Pin, State, parse_generations, parse_pin
from cachewarm_client.keys import generations_key
from cachewarm_client.redis_index import CacheIndex, redis_faults
from cachewarm_client.redis_search_commands import text

from cachewarm_pipeline.publishing.redis.publish_lock import LostLockError, PublishLock

_WRITE = """#!lua
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
"""


class GenerationRecords:
    """The records of one cache name. Every method raises CacheError when Redis is lost or a record is damaged."""

    def __init__(self, index: CacheIndex) -> None:
        self._index = index

    def live(self) -> GenerationRecord | None:
        """The live generation's record; None when nothing is published."""
        live, records = self.by_id()
        return records[live] if live else None

    def newest_first(self) -> list[GenerationRecord]:
        """All records: the live one first, then by creation time, newest first."""
        return sorted(self.by_id()[1].values(), key=lambda r: (r.state == State.LIVE, r.created_at, r.id), reverse=True)

    def filling(self) -> GenerationRecord | None:
        """The generation that is being loaded progressively; there is never more than one."""
        return next((r for r in self.newest_first() if r.state == State.FILLING), None)

    def previous(self) -> list[GenerationRecord]:
        """Generations that were live before, the one that was live last comes first."""
        return _previous(self.by_id()[1])

    def get(self, generation: str) -> GenerationRecord | None:
        """The record of a generation; None when it has none."""
        return self.by_id()[1].get(generation)

    def by_id(self) -> tuple[str | None, dict[str, GenerationRecord]]:
        """Id of the live generation (None when nothing is published), and every record by its id."""
        return parse_generations(self._fields())

    def pinned(self) -> Pin | None:
        """The pin that the last rollback set; None once it is released."""
        return parse_pin(self._fields())

    def is_whole(self, record: GenerationRecord) -> bool:
        """Whether the index holds every planned entry of a generation. Raises redis-py's exceptions."""
        return self._index.count(record.id) == record.entries

    def unused_id(self, generation: str) -> str:
        """This id, or with ``-r2``, ``-r3``, ... appended: the first one that no record and no index has."""
        _, records = self.by_id()
        taken = {*records, *self._index.generations()}
        ids = (f"{generation}-r{n}" if n > 1 else generation for n in range(1, len(taken) + 2))
        return next(i for i in ids if i not in taken)

    def removable(self, keep: int, superseded: date | None = None) -> set[str]:
        """Ids of generations, with a record or only an index, that nothing needs any more.

        Kept are the live one and the newest previous ones (``keep`` in all), the pinned one, and the one that is being
        filled, unless it is of the day ``superseded`` or an older one.
        """
        fields = self._fields()
        live, records = parse_generations(fields)
        pin = parse_pin(fields)
        filling = {
            r.id for r in records.values() if r.state == State.FILLING and not (superseded and r.as_of <= superseded)
        }
        # Stock readers open the alias's target, also when the hash that names the live generation was lost.
        kept = {live, self._index.alias_target(), pin and pin.generation, *filling}
        kept |= {r.id for r in _previous(records)[: max(0, keep - 1)]}
        return {*records, *self._index.generations()} - kept

    def write(self, lock: PublishLock, record: GenerationRecord) -> GenerationRecord:
        """Store a record. Raises LostLockError when another run has the lock: its record may be newer."""
        arguments = (lock.key, generations_key(self._index.name), lock.token, record.id, record.to_json())
        if not self._index.client.eval(_WRITE, 2, *arguments):
            raise LostLockError(f"lost the publishing lock; generation {record.id} was not published: run again")
        return record

    def delete(self, generation: str) -> None:
        """Delete a record. Raises redis-py's exceptions."""
        self._index.client.hdel(generations_key(self._index.name), generation)

    def _fields(self) -> dict[str, str]:
        with redis_faults("reading the generations"):
            fields: Any = self._index.client.hgetall(generations_key(self._index.name))
        return {text(name): text(value) for name, value in fields.items()}


def _previous(records: dict[str, GenerationRecord]) -> list[GenerationRecord]:
    previous = [r for r in records.values() if r.state == State.PREVIOUS and r.published_at]
    return sorted(previous, key=lambda r: (r.published_at or r.created_at, r.id), reverse=True)
