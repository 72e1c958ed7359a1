"""Hits by entry of one day: of every entry that was live at its end, hits or not, and of the others that had some.
No Redis here."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.generation_record import GenerationRecord

from cachewarm_pipeline.days import end_of, start_of
from cachewarm_pipeline.measurement.counter_rows import EntryHitCount
from cachewarm_pipeline.storage.measurement_schemas import ENTRY_HITS


@dataclass(frozen=True)
class Entry:
    """What is known of a warmed entry. ``cost_usd``: of the call that a hit saves, where it is known."""

    agent_type: str = ""
    prompt: str = ""
    source: str = ""
    cost_usd: float | None = None


@dataclass(frozen=True)
class LiveThen:
    """Generations that were live on a day, of those that are known still. ``end``: at its end, None where that one is
    not known. ``begin``: as the day began; the same one where none was published on the day. ``between``: the others
    that went live on the day."""

    end: GenerationRecord | None
    begin: GenerationRecord | None
    between: tuple[GenerationRecord, ...]

    @classmethod
    def on(cls, day: date, records: Iterable[GenerationRecord]) -> "LiveThen":
        """By when each of the ``records`` went live last."""
        live = sorted((r for r in records if r.published_at), key=lambda r: (r.published_at or r.created_at, r.id))
        by_end = [r for r in live if (r.published_at or r.created_at) < end_of(day)]
        by_begin = [r for r in by_end if (r.published_at or r.created_at) <= start_of(day)]
        end, begin = (found[-1] if found else None for found in (by_end, by_begin))
        return cls(end, begin, tuple(r for r in by_end if r not in by_begin and r is not end))


def entry_hits(
    generation: str | None,
    live: Mapping[str, Entry],
    all_day: Collection[str],
    served: Mapping[str, EntryHitCount],
    others: Mapping[str, Entry],
) -> pa.Table:
    """ENTRY_HITS of a day, by entry id.

    ``live``: entries of the ``generation`` that was live at its end. ``all_day``: ids that were live since it began,
    as far as they are in ``live``. ``others``: what is known of served entries that are not.
    """
    rows: list[dict[str, Any]] = []
    for entry_id in sorted({*live, *served}):
        entry = live.get(entry_id) or others.get(entry_id) or Entry()
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


def with_costs(entries: Mapping[str, Entry], costs: Mapping[str, float | None]) -> dict[str, Entry]:
    """The entries with what their calls cost, by entry id; the mean of their agent_type where that is not known, as of
    golden answers that the log does not have."""
    known: dict[str, list[float]] = {}
    for entry_id, entry in entries.items():
        if (cost := costs.get(entry_id)) is not None:
            known.setdefault(entry.agent_type, []).append(cost)
    means = {agent_type: sum(of) / len(of) for agent_type, of in known.items()}

    def cost_of(entry_id: str, entry: Entry) -> float | None:
        cost = costs.get(entry_id)
        return means.get(entry.agent_type) if cost is None else cost

    return {entry_id: replace(entry, cost_usd=cost_of(entry_id, entry)) for entry_id, entry in entries.items()}


def worth(dataset: str, table: pa.Table) -> tuple[int, ...]:
    """How much a table of counts knows: stored counts are never replaced by a table of which any of these is less."""
    if dataset == "arm_counts":
        return (_sum(table["lookups"]),)
    if dataset == "hour_counts":
        return (sum(_sum(table[name]) for name in ("exact", "semantic", "misses")),)
    live = table.num_rows - table["generation"].null_count
    return _sum(table["hits"]), live, _sum(table["whole_day"])


def _sum(column: pa.ChunkedArray) -> int:
    return int(pc.sum(column).as_py() or 0)
