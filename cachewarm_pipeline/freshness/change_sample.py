"""Which queries the change rate is measured on, and which of their checks count.

Not the plan's entries alone: those are there because their answers did not change in the window, and so would make
answers look steadier than they are (by a quarter at 3% a day, by half at 10%).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.exclusion_reasons import ExclusionReason

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ChangeCheck:
    """A row of CHANGE_CHECKS: of one query, whether its answer of an age (days) has changed."""

    entry_id: str
    agent_type: str
    planned: bool
    age_days: float
    changed: bool


def population(planned: Sequence[Row], frequent: pa.Table, unfit: pa.Table) -> list[Row]:
    """The planned entries, then the day's other frequent queries, then those left out as VOLATILE, each entry_id once.
    Rows have entry_id, agent_type, prompt and source; planned ones are as they come.

    Volatile queries are in it because one whose answer changed in the middle of the window is taken for volatile; those
    that are so by nature are told apart later (freshness.answer_history.weeks).
    """
    volatile = unfit.filter(pc.equal(unfit["reason"], str(ExclusionReason.VOLATILE)))
    found: dict[str, Row] = {row["entry_id"]: row for row in planned}
    for table in (frequent, volatile):
        for row in table.select(["entry_id", "agent_type", "prompt"]).to_pylist():
            found.setdefault(row["entry_id"], row | {"source": "query_log"})
    return list(found.values())


def newest_of_each(days: Iterable[Iterable[ChangeCheck]]) -> list[ChangeCheck]:
    """One check a query, the first that is met. ``days``: newest first. A query that was checked in each of four weeks
    is one piece of evidence, not four."""
    found: dict[str, ChangeCheck] = {}
    for checks in days:
        for check in checks:
            found.setdefault(check.entry_id, check)
    return list(found.values())
