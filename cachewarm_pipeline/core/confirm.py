"""Which entries gave the answers that users rejected in the log, and how many people that are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cachewarm_pipeline.core.responses import canonical_response
from cachewarm_pipeline.core.text import entry_id


@dataclass(frozen=True)
class Rejected:
    """A served answer that users rejected, in a day of the log. ``users``: hashed ids, empty where unknown.
    ``reports``: rows."""

    agent_type: str
    query: str
    response: str
    users: tuple[str, ...]
    reports: int
    last_at: datetime

    @property
    def reporters(self) -> int:
        """Different people; where users are unknown each row counts as one."""
        return len(self.users) or self.reports


def blame(
    rows: Sequence[Rejected],
    entries: Sequence[Mapping[str, Any]],
    nearest: Callable[[str, Sequence[str]], str],
) -> dict[str, list[Rejected]]:
    """entry_id to the rejected rows that it answered. ``entries``: entry_id, agent_type, prompt, response of the plan.

    A row was answered by the entry of its own prompt if that has the row's response, else by one of the entries of its
    agent_type with that response: ``nearest(query, entry_ids)`` tells which. Rows that none of them can have answered
    (the application's own entries, an older generation) are blamed on nobody.
    """
    by_answer: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        by_answer.setdefault((entry["agent_type"], canonical_response(entry["response"])), []).append(entry["entry_id"])
    found: dict[str, list[Rejected]] = {}
    for row in rows:
        able = by_answer.get((row.agent_type, canonical_response(row.response)), [])
        own = entry_id(row.query, row.agent_type)
        guilty = own if own in able else able[0] if len(able) == 1 else nearest(row.query, able) if able else None
        if guilty:
            found.setdefault(guilty, []).append(row)
    return found


def reporters(rows: Sequence[Rejected]) -> int:
    """Different people behind the rows of one entry."""
    known = {user for row in rows for user in row.users}
    return len(known) + sum(row.reports for row in rows if not row.users)
