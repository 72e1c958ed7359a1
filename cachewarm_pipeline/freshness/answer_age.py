"""How old an answer may be. An entry's TTL starts again with every generation, so the age of its answer needs a limit
of its own. There is one only for agent types whose change rate is measured."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.candidates.provenance import AnswerProvenance
from cachewarm_pipeline.freshness.rows import Provenance


@dataclass(frozen=True)
class AgeLimits:
    """How old answers may be."""

    days: Mapping[str, float] = field(default_factory=dict)
    """Most days since an answer was last confirmed, by agent_type (ttl.age_limit); agent types whose rate is not
    measured have none."""
    as_of: datetime | None = None
    """The moment that ages are computed for; None only where there are no limits."""

    def over(self, agent_type: str, confirmed_at: datetime | None) -> bool:
        """Whether an answer is too old. An answer whose confirmation time is not known is never too old."""
        limit = self.days.get(agent_type)
        if limit is None or confirmed_at is None or self.as_of is None:
            return False
        return (self.as_of - confirmed_at).total_seconds() > limit * 86_400

    def ahead(self, days: float) -> "AgeLimits":
        """The same limits, for ages ``days`` later."""
        return AgeLimits(self.days, self.as_of and self.as_of + timedelta(days))


def confirmed_at(provenance: Provenance) -> datetime | None:
    """When an answer was last confirmed: when a check found it again (``refreshed``), else when the log last gave it.

    None for a variant, which has its base's answer, and for a golden answer. The change rate is measured on the log's
    answers and does not apply to golden answers; a change of their source row shows there.
    """
    refreshed = provenance.get("refreshed")
    found = (refreshed and refreshed.get("at")) or provenance.get("last_answer_at")
    return datetime.fromisoformat(found) if found else None


Confirmations = Mapping[tuple[str, str | None], datetime]
"""When answers were last confirmed, by entry_id and ``source_row``."""


def confirmations(tables: Iterable[pa.Table], limits: AgeLimits) -> dict[tuple[str, str | None], datetime]:
    """The confirmation times of all candidates of agent types with a limit, without variants."""
    names = pa.array(sorted(limits.days), pa.string())
    found: dict[tuple[str, str | None], datetime] = {}
    for table in tables if limits.days else ():
        columns = table.select(["entry_id", "agent_type", "provenance"])
        for row in columns.filter(pc.is_in(columns["agent_type"], value_set=names)).to_pylist():
            provenance = json.loads(row["provenance"])
            at = None if provenance.get("base_id") else confirmed_at(provenance)
            if at is not None:
                key = row["entry_id"], AnswerProvenance.of_row(provenance).source_row
                found[key] = max(at, found.get(key, at))
    return found


def confirmation(entry_id: str, provenance: Provenance, known: Confirmations) -> datetime | None:
    """When a candidate's own answer was confirmed; for a variant with its base's answer, when that was."""
    own = confirmed_at(provenance)
    if own is not None:
        return own
    return known.get((provenance.get("base_id") or entry_id, AnswerProvenance.of_row(provenance).source_row))
