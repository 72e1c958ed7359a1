"""Which entries gave the answers that users rejected in the log."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cachewarm_client.text import entry_id
from cachewarm_client.wrong_hit_reports import ServedAnswer

from cachewarm_pipeline.query_log.response_text import canonical_response


@dataclass(frozen=True)
class Rejected:
    """A served answer that users rejected, in a day of the log. ``users``: hashed ids, empty where unknown."""

    agent_type: str
    query: str
    response: str
    users: tuple[str, ...]
    last_at: datetime


def attribute(
    rows: Sequence[Rejected],
    entries: Sequence[ServedAnswer],
    nearest: Callable[[str, Sequence[str]], str],
) -> dict[str, list[Rejected]]:
    """entry_id to the rejected rows that it answered. ``entries``: what the live generation serves.

    A row was answered by the entry of its own prompt if that has the row's response, else by one of the entries of its
    agent_type with that response: ``nearest(query, entry_ids)`` tells which. Rows that none of them can have answered
    (the application's own entries, an older generation) are blamed on nobody.
    """
    by_answer: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        by_answer.setdefault((entry.agent_type, canonical_response(entry.response)), []).append(entry.entry_id)
    found: dict[str, list[Rejected]] = {}
    for row in rows:
        able = by_answer.get((row.agent_type, canonical_response(row.response)), [])
        own = entry_id(row.query, row.agent_type)
        guilty = own if own in able else able[0] if len(able) == 1 else nearest(row.query, able) if able else None
        if guilty:
            found.setdefault(guilty, []).append(row)
    return found
