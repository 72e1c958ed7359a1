"""Decides whether a plan has to be published and whether it may be. It only reads Redis."""

from datetime import date

import pyarrow.compute as pc
from cachewarm_client.generation_record import GenerationRecord, State
from cachewarm_client.keys import may_replace, whole_key
from cachewarm_client.redis_index import CacheIndex

from cachewarm_pipeline.publishing.redis.generation_records import GenerationRecords
from cachewarm_pipeline.publishing.redis.publish_request import PublishRequest
from cachewarm_pipeline.publishing.redis.withdrawals import Withdrawals


class PublishChecks:
    """Raises CacheError for damaged records, and redis-py's exceptions."""

    def __init__(self, index: CacheIndex, records: GenerationRecords, withdrawals: Withdrawals) -> None:
        self._index = index
        self._records = records
        self._withdrawals = withdrawals

    def serving(self, request: PublishRequest) -> GenerationRecord | None:
        """The live generation, when every reader finds exactly the requested plan in it."""
        target = self._index.alias_target()  # first: the name may belong to another application
        live = self._records.live()
        same = live and live.id == target and live.same_content(request.record) and self._records.is_whole(live)
        return live if same else None

    def needs_upkeep(self, live: GenerationRecord, request: PublishRequest, superseded: date | None) -> bool:
        """Whether the live generation of the requested plan needs renewed TTLs, a change to its withdrawn answers, or
        older generations removed."""
        return bool(
            self.needs_renewal(live, request)
            or self._withdrawals.unreconciled(live.id, request.plan)
            or self._records.removable(request.keep, superseded)
        )

    def needs_renewal(self, record: GenerationRecord, request: PublishRequest) -> bool:
        """Whether TTLs have to be restarted: past half of the entries' life, or a mark of wholeness is missing."""
        types = pc.unique(request.plan["agent_type"]).to_pylist()
        marks = [whole_key(self._index.name, record.id, agent_type) for agent_type in types]
        return record.past_half_life(request.now) or self._index.client.exists(*marks) < len(marks)

    def loaded_already(self, request: PublishRequest) -> GenerationRecord | None:
        """A whole generation of the same content: rolled back from, or left by a run killed before the switch."""
        for record in self._records.by_id()[1].values():
            finished = record.state not in (State.BUILDING, State.FILLING)
            if finished and record.same_content(request.record) and self._records.is_whole(record):
                return record
        return None

    def why_pinned(self, request: PublishRequest) -> str:
        """Why a pin forbids this publish; empty when nothing is pinned, or the requested plan itself is."""
        if not (pin := self._records.pinned()):
            return ""
        record = self._records.get(pin.generation)
        if record and record.same_content(request.record) and self._records.is_whole(record):
            return ""
        return pin.describe()

    def why_older(self, request: PublishRequest) -> str:
        """Why a plan of an older day is not published; empty when it may be.

        Check this under the lock: another run may have published since.
        """
        live = self._records.live()
        if not live or may_replace(live.as_of, request.record.as_of, request.allow_rollback, live.partial):
            return ""
        return f"the live generation {live.id} is newer (CACHEWARM_ALLOW_ROLLBACK=true replaces it all the same)"
