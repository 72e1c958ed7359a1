"""ENTRY_HITS of one day: a row for each entry that was live at the end of the day, with or without hits, and for each
other entry that had hits. No Redis here."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pyarrow as pa
from cachewarm_client.generation_record import GenerationRecord

from cachewarm_pipeline.days import end_of, start_of
from cachewarm_pipeline.measurement.counter_rows import EntryHitCount
from cachewarm_pipeline.storage.measurement_schemas import ENTRY_HITS


@dataclass(frozen=True)
class EntryDetails:
    """What is known of a warmed entry; a text is empty if it is not known."""

    agent_type: str = ""
    prompt: str = ""
    source: str = ""
    cost_usd: float | None = None
    """Of the call that a hit saves."""


@dataclass(frozen=True)
class LiveGenerations:
    """The generations that were live on a day, of those that Redis still has."""

    end: GenerationRecord | None
    """Live at the end of the day; None if it is not known."""
    begin: GenerationRecord | None
    """Live at the beginning of the day: the same as ``end`` if none was published on the day."""
    between: tuple[GenerationRecord, ...]
    """The others that went live on the day."""

    @classmethod
    def on(cls, day: date, records: Iterable[GenerationRecord]) -> "LiveGenerations":
        """From the ``records``, by when each of them went live last."""
        live = sorted((r for r in records if r.published_at), key=lambda r: (r.published_at or r.created_at, r.id))
        by_end = [r for r in live if (r.published_at or r.created_at) < end_of(day)]
        by_begin = [r for r in by_end if (r.published_at or r.created_at) <= start_of(day)]
        end, begin = (found[-1] if found else None for found in (by_end, by_begin))
        return cls(end, begin, tuple(r for r in by_end if r not in by_begin and r is not end))


def entry_hits_table(
    generation: str | None,
    live: Mapping[str, EntryDetails],
    all_day: Collection[str],
    served: Mapping[str, EntryHitCount],
    others: Mapping[str, EntryDetails],
) -> pa.Table:
    """ENTRY_HITS of a day, ordered by entry id.

    ``live``: entries of the ``generation`` that was live at the end of the day. ``all_day``: ids in ``live`` that were
    live from the beginning of the day. ``served``: hits by entry id. ``others``: details of served entries that are not
    in ``live``.
    """
    rows: list[dict[str, Any]] = []
    for entry_id in sorted({*live, *served}):
        entry = live.get(entry_id) or others.get(entry_id) or EntryDetails()
        hits = served.get(entry_id)
        rows.append(
            {
                "entry_id": entry_id,
                "agent_type": entry.agent_type,
                "prompt": entry.prompt,
                "source": entry.source,
                "cost_usd": entry.cost_usd,
                "generation": generation if entry_id in live else None,
                "whole_day": entry_id in live and entry_id in all_day,
                "hits": hits.hits if hits else 0,
                "last_hit": hits.last_hour if hits else None,
            }
        )
    return pa.Table.from_pylist(rows, ENTRY_HITS)


def with_costs(entries: Mapping[str, EntryDetails], costs: Mapping[str, float | None]) -> dict[str, EntryDetails]:
    """The entries with the cost of the call that a hit saves, by entry id.

    If the cost of an entry is not known (a golden answer that is not in the log), it gets the mean of its agent_type.
    """
    known: dict[str, list[float]] = {}
    for entry_id, entry in entries.items():
        if (cost := costs.get(entry_id)) is not None:
            known.setdefault(entry.agent_type, []).append(cost)
    means = {agent_type: sum(of) / len(of) for agent_type, of in known.items()}

    def cost_of(entry_id: str, entry: EntryDetails) -> float | None:
        cost = costs.get(entry_id)
        return means.get(entry.agent_type) if cost is None else cost

    return {entry_id: replace(entry, cost_usd=cost_of(entry_id, entry)) for entry_id, entry in entries.items()}
