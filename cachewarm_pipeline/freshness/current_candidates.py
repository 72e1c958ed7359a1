"""What today's candidates say about the entries of a plan, and whether the entries' answers are too old."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.candidates.provenance import AnswerProvenance
from cachewarm_pipeline.freshness.answer_age import AgeLimits, confirmation, confirmations, confirmed_at
from cachewarm_pipeline.freshness.rows import PlanEntry
from cachewarm_pipeline.freshness.stale_reasons import answered_at


@dataclass(frozen=True)
class CurrentCandidate:
    """A candidate of today with an entry's id."""

    provenance: AnswerProvenance
    """What its answer depends on."""
    answered_at: datetime | None
    """When the application last gave the answer."""
    demand: float
    """Expected lookups a day."""
    confirmed_at: datetime | None = None
    """When the answer was last confirmed (answer_age); a variant's is its base's."""


def current_candidates(
    tables: Iterable[pa.Table], entry_ids: Iterable[str], limits: AgeLimits | None = None
) -> dict[str, list[CurrentCandidate]]:
    """Today's candidates of these entries, by entry_id, in the order of admission. With ``limits``, variants of agent
    types with a limit have the confirmation times of their bases' answers."""
    tables = list(tables)
    known = confirmations(tables, limits or AgeLimits())
    wanted = pa.array(sorted(set(entry_ids)), pa.string())
    found: dict[str, list[CurrentCandidate]] = {}
    for table in tables:
        columns = table.select(["entry_id", "provenance", "demand"])
        for row in columns.filter(pc.is_in(columns["entry_id"], value_set=wanted)).to_pylist():
            provenance = json.loads(row["provenance"])
            confirmed = confirmation(row["entry_id"], provenance, known)
            own = AnswerProvenance.of_row(provenance)
            candidate = CurrentCandidate(own, answered_at(provenance), row["demand"], confirmed)
            found.setdefault(row["entry_id"], []).append(candidate)
    return found


def entries_over_age(
    earlier: Iterable[PlanEntry],
    planned: Collection[str],
    today: Mapping[str, Sequence[CurrentCandidate]],
    limits: AgeLimits,
) -> list[PlanEntry]:
    """Entries of earlier plans (``earlier``, newest plan first) that the newest plan (the ids ``planned``) no longer
    has and whose answers are too old today. They are asked again like entries of the plan; otherwise nothing would ever
    bring them back."""
    found: dict[str, PlanEntry] = {}
    for entry in earlier:
        id = entry["entry_id"]
        if id not in planned and id not in found and is_over_age(entry, today.get(id, ()), limits):
            found[id] = entry
    return list(found.values())


def is_over_age(entry: PlanEntry, today: Sequence[CurrentCandidate], limits: AgeLimits) -> bool:
    """Whether an entry's answer was last confirmed too long ago, by the entry itself or by today's candidate with its
    source row. False where no candidate has it: then the source has another answer now."""
    own = AnswerProvenance.of(entry["provenance"])
    same = [candidate for candidate in today if candidate.provenance.source_row == own.source_row is not None]
    if not same:
        return False
    provenance = json.loads(entry["provenance"])
    times = [confirmed_at(provenance)]
    if not provenance.get("refreshed"):  # the source confirms only its own answer, not one that replaced it
        times += [candidate.confirmed_at for candidate in same]
    return limits.over(entry["agent_type"], max(filter(None, times), default=None))
