"""What today's candidates say of entries of a plan, among it whether their answers are too old."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.candidates.provenance import AnswerProvenance
from cachewarm_pipeline.freshness.answer_age import AgeLimits, confirmation, confirmations, confirmed_at
from cachewarm_pipeline.freshness.stale_answers import answered_at

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """What today's candidates say of an entry. ``asked``: lookups a day; ``confirmed_at``: as of
    freshness.answer_age, of a variant that of its base."""

    own: AnswerProvenance
    answered_at: datetime | None
    asked: float
    confirmed_at: datetime | None = None


def candidates_of(
    tables: Iterable[pa.Table], entry_ids: Iterable[str], limits: AgeLimits | None = None
) -> dict[str, list[Candidate]]:
    """Today's candidates of these entries, in the order of admission. ``limits``: says for which agent types variants
    are told when their bases' answers were confirmed."""
    tables = list(tables)
    known = confirmations(tables, limits or AgeLimits())
    wanted = pa.array(sorted(set(entry_ids)), pa.string())
    found: dict[str, list[Candidate]] = {}
    for table in tables:
        columns = table.select(["entry_id", "provenance", "demand"])
        for row in columns.filter(pc.is_in(columns["entry_id"], value_set=wanted)).to_pylist():
            provenance = json.loads(row["provenance"])
            confirmed = confirmation(row["entry_id"], provenance, known)
            one = Candidate(AnswerProvenance.of_row(provenance), answered_at(provenance), row["demand"], confirmed)
            found.setdefault(row["entry_id"], []).append(one)
    return found


def aged_out(
    earlier: Iterable[Row], planned: Collection[str], today: Mapping[str, Sequence[Candidate]], limits: AgeLimits
) -> list[Row]:
    """Of entries of earlier plans (newest plan first), those that the newest plan (``planned``) has no more and whose
    answer is too old today: they are asked anew like entries of the plan, or nothing would ever bring them back."""
    found: dict[str, Row] = {}
    for entry in earlier:
        id = entry["entry_id"]
        if id not in planned and id not in found and is_over_age(entry, today.get(id, ()), limits):
            found[id] = entry
    return list(found.values())


def is_over_age(entry: Row, today: Sequence[Candidate], limits: AgeLimits) -> bool:
    """Whether an entry's answer was confirmed too long ago, by itself and by today's candidate with its source row. Not
    where there is none: then its source has moved on."""
    own = AnswerProvenance.of(entry["provenance"])
    same = [candidate for candidate in today if candidate.own.source_row == own.source_row is not None]
    if not same:
        return False
    provenance = json.loads(entry["provenance"])
    times = [confirmed_at(provenance)]
    if not provenance.get("refreshed"):  # the source says nothing about an answer that took its place
        times += [candidate.confirmed_at for candidate in same]
    return limits.over(entry["agent_type"], max(filter(None, times), default=None))
