"""Which entries gave the answers that users rejected in the log. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cachewarm_client.text import entry_id
from cachewarm_client.wrong_hit_reports import ServedAnswer

from cachewarm_pipeline.query_log.response_text import canonical_response


@dataclass(frozen=True)
class RejectedAnswer:
    """A served answer that users rejected on one day of the log."""

    agent_type: str
    query: str
    """The query as it was spelled."""
    response: str
    users: tuple[str, ...]
    """Hashed ids of the users; empty when they are unknown."""
    last_at: datetime
    """When it was served last."""


def attribute_to_entries(
    rejected: Sequence[RejectedAnswer],
    entries: Sequence[ServedAnswer],
    nearest: Callable[[str, Sequence[str]], str],
) -> dict[str, list[RejectedAnswer]]:
    """Entry id to the rejected answers that the entry gave. ``entries``: what the live generation serves.

    An answer came from the entry of its own prompt, when that entry has this response. Otherwise it came from an entry
    of the same agent_type with this response; ``nearest(query, entry_ids)`` chooses between several. An answer that no
    entry can have given (an app entry's, or an older generation's) is attributed to none.
    """
    by_response: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        by_response.setdefault((entry.agent_type, canonical_response(entry.response)), []).append(entry.entry_id)
    found: dict[str, list[RejectedAnswer]] = {}
    for row in rejected:
        candidates = by_response.get((row.agent_type, canonical_response(row.response)), [])
        own = entry_id(row.query, row.agent_type)
        if own in candidates:
            source = own
        elif len(candidates) == 1:
            source = candidates[0]
        elif candidates:
            source = nearest(row.query, candidates)
        else:
            continue
        found.setdefault(source, []).append(row)
    return found
