"""What speaks against an entry: reports, withdrawals, changed answers, rejections in the log, no hits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import pyarrow as pa


class EntryVerdict(StrEnum):
    """One thing that speaks against an entry; reviewers filter entries by it."""

    REPORTED = "reported"
    WITHDRAWN = "withdrawn"
    REINSTATED = "reinstated"
    CHANGED = "changed"
    REJECTED = "rejected"
    IDLE = "idle"


@dataclass(frozen=True)
class EntryFacts:
    """What is known of entries by the end of a day apart from their hits, by entry_id."""

    reports: Mapping[str, int] = field(default_factory=dict)
    """People who reported the answer as wrong."""
    withdrawn: Mapping[str, EntryVerdict] = field(default_factory=dict)
    """WITHDRAWN or REINSTATED."""
    checked: Mapping[str, tuple[datetime, bool]] = field(default_factory=dict)
    """When the answer was checked, and whether it had changed."""
    paid_usd: float | None = None
    """What runs paid in the window, for all entries together; None if it was not recorded."""


def entry_verdicts(entry_id: str, facts: EntryFacts, *, rejected: bool, idle: bool) -> list[EntryVerdict]:
    """The verdicts on an entry, in the order of EntryVerdict.

    ``rejected``: users rejected an answer to its prompt. ``idle``: plans exclude it because it earned nothing.
    """
    withdrawn = facts.withdrawn.get(entry_id)
    _, changed = facts.checked.get(entry_id, (None, False))
    against = {
        EntryVerdict.REPORTED: facts.reports.get(entry_id, 0) > 0,
        EntryVerdict.WITHDRAWN: withdrawn == EntryVerdict.WITHDRAWN,
        EntryVerdict.REINSTATED: withdrawn == EntryVerdict.REINSTATED,
        EntryVerdict.CHANGED: changed,
        EntryVerdict.REJECTED: rejected,
        EntryVerdict.IDLE: idle,
    }
    return [verdict for verdict, applies in against.items() if applies]


def withdrawn_verdicts(table: pa.Table, by: datetime) -> dict[str, EntryVerdict]:
    """WITHDRAWN or REINSTATED by entry_id, as known before ``by``. An entry is WITHDRAWN as long as one of its answers
    is. ``table``: WITHDRAWN_ENTRIES."""
    found: dict[str, EntryVerdict] = {}
    for row in table.to_pylist():
        if row["withdrawn_at"] >= by:
            continue
        withdrawn = row["reinstated_at"] is None or row["reinstated_at"] >= by
        if withdrawn or row["entry_id"] not in found:
            found[row["entry_id"]] = EntryVerdict.WITHDRAWN if withdrawn else EntryVerdict.REINSTATED
    return found
