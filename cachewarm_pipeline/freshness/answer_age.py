"""How old an answer may be: an entry's TTL begins anew with every generation, so the age of its answer needs a rule of
its own. It holds for agent types whose change rate is measured, and for no others."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.candidates.provenance import AnswerProvenance

Row = Mapping[str, Any]


@dataclass(frozen=True)
class AgeLimits:
    """``days``: most days since an answer was last confirmed, by agent_type (freshness.change_rate.age_limit), not
    there where its rate is not measured. ``as_of``: when they are counted to; None only where there are no limits."""

    days: Mapping[str, float] = field(default_factory=dict)
    as_of: datetime | None = None

    def over(self, agent_type: str, confirmed_at: datetime | None) -> bool:
        """Whether an answer is too old. Where it is not known when it was confirmed, nothing is said against it."""
        limit = self.days.get(agent_type)
        if limit is None or confirmed_at is None or self.as_of is None:
            return False
        return (self.as_of - confirmed_at).total_seconds() > limit * 86_400

    def ahead(self, days: float) -> "AgeLimits":
        """The same so many days later."""
        return AgeLimits(self.days, self.as_of and self.as_of + timedelta(days))


def confirmed_at(provenance: Row) -> datetime | None:
    """When an answer was last confirmed: when it was found again (``refreshed``), else last given in the log.

    None for a variant, which has its base's answer, and for a golden one: the rate is measured on the log's answers and
    says nothing of those that people vouch for. Their source row tells when they change.
    """
    refreshed = provenance.get("refreshed") or {}
    found = refreshed.get("at") or provenance.get("last_answer_at")
    return datetime.fromisoformat(found) if found else None


Confirmed = Mapping[tuple[str, str | None], datetime]
"""When answers were confirmed, by entry_id and ``source_row``."""


def confirmations(tables: Iterable[pa.Table], limits: AgeLimits) -> dict[tuple[str, str | None], datetime]:
    """Of all candidates of agent types with a limit, but variants."""
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


def confirmation(entry_id: str, provenance: Row, known: Confirmed) -> datetime | None:
    """When a candidate's own answer was confirmed; of a variant that has its base's, when that was."""
    own = confirmed_at(provenance)
    if own is not None:
        return own
    return known.get((provenance.get("base_id") or entry_id, AnswerProvenance.of_row(provenance).source_row))
