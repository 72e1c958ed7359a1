"""The shadow: which answers a cold cache would contain by now, if nothing were warmed.

The holdout hits what the application stored, and an application stores an answer when a lookup misses. With 95% of the
users warmed, hardly anybody misses what is warmed. So the holdout's cache is far emptier than one that all users fill,
and measured against it, warming would be credited with hits that a cold cache learns by itself. Therefore, where a
warmed entry answers, the reader notes that a cold cache would have an answer to this very prompt from now on. Nothing
is served from the note. A lookup of the holdout that misses although the note exists counts in its bucket as a hit.

Assumptions, and the errors they cause:
- The application stores what it asks the model for, prompt by prompt. Whether it stores at all is known from calls of
  this package's ``store`` within STORES_SECONDS, per agent_type. Nothing is known about stock writers: with them the
  measured lift is too high.
- A note lives as long as an app entry would: for the reader's ``ttl``, renewed by hits; without one for the ttl that
  ``store`` was given, from the first answer on; at most MAX_SECONDS. ``clear`` and ``drop`` leave notes behind: the
  lift is too low until they expire. Until notes exist (one ``ttl`` after a holdout begins) the lift is too high.
- The application stores again what the holdout would have hit. Where hits renew entries this changes nothing; where
  answers simply expire, the lift is too low (1.4 of 18 points in benchmarks.impact).
- Readers without a holdout leave no notes. Where only some processes have a holdout, the lift is too high by what the
  others' users ask. Give all processes the same share.
- Semantic hits of a cold cache are not noted: the lift is too high by those. They are few, since app entries are served
  within a certified plain distance only.
"""

from collections.abc import Mapping
from typing import Any

from cachewarm_client.counters import is_count
from cachewarm_client.keys import shadow_key, stores_key
from cachewarm_client.lookup import app_entry_id
from cachewarm_client.reader_requests import LookupRequest
from cachewarm_client.redis_search_commands import text

MAX_SECONDS = 30 * 86_400
"""Bounds memory: about 220 bytes for each distinct prompt that warmed entries answered within this time."""

STORES_SECONDS = 7 * 86_400
"""Without a ``store`` for this long, the application is assumed to store nothing."""

MARK_EVERY = 3_600
"""Seconds between two marks that the application stores: one more round trip, once an hour."""

_MAX_MARKED = 1_000
"""Agent types whose last mark is remembered."""


class Shadow:
    """The note of one lookup."""

    def __init__(self, name: str, request: LookupRequest) -> None:
        self._name = name
        self._request = request
        self._store_ttl: int | None = None
        """Seconds that the application's answers live, 0 for ever; None when it stores nothing."""
        self.would_hit = False
        """Whether a cold cache that all users fill would have answered."""

    @classmethod
    def of(cls, name: str, request: LookupRequest) -> "Shadow | None":
        """The shadow of a lookup. None where there is nothing to note: in readers without a holdout, without a prompt,
        and in the holdout with a filter, which rules out exact hits."""
        if request.assignment.bucket is None or request.prompt is None or (request.held_out and request.extra_filter):
            return None
        return cls(name, request)

    @property
    def _key(self) -> str:
        return shadow_key(self._name, app_entry_id(self._request.prompt or "", self._request.agent_type))

    def command(self) -> tuple[Any, ...]:
        """The one command that is sent with the lookup; pass its reply to ``read_reply``."""
        if self._request.held_out:
            return ("EXISTS", self._key)
        return ("GET", stores_key(self._name, self._request.agent_type))

    def read_reply(self, reply: Any) -> bool:
        """Whether the reply could be used. After one that could not, nothing is noted."""
        if isinstance(reply, Exception):
            return False
        if self._request.held_out:
            self.would_hit = bool(reply)
        else:
            seconds = "" if reply is None else text(reply)
            self._store_ttl = int(seconds) if is_count(seconds) else None
        return True

    def note(self, by_warmed_entry: bool) -> tuple[Any, ...] | None:
        """The command that notes how the lookup ended; None where there is nothing to note."""
        ttl = self._request.ttl
        if self._request.held_out:  # a hit would have renewed the entry
            return ("EXPIRE", self._key, min(ttl, MAX_SECONDS)) if self.would_hit and ttl else None
        if not by_warmed_entry or self._store_ttl is None:
            return None
        if ttl or not self._store_ttl:
            return ("SET", self._key, 1, "EX", min(ttl or MAX_SECONDS, MAX_SECONDS))
        # NX: hits do not renew an entry that simply expires.
        return ("SET", self._key, 1, "EX", min(self._store_ttl, MAX_SECONDS), "NX")


class StoreMarks:
    """Marks in Redis, at most every MARK_EVERY seconds, that the application stores answers of an agent_type."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._marked_at: Mapping[str, float] = {}

    def due_command(self, agent_type: str, ttl: int | None, at: float) -> tuple[Any, ...] | None:
        """The command to send; None while the last mark is recent. ``ttl``: seconds that this answer lives; ``at``:
        Unix time."""
        if abs(at - self._marked_at.get(agent_type, float("-inf"))) < MARK_EVERY:
            return None
        known = {} if len(self._marked_at) >= _MAX_MARKED else self._marked_at
        self._marked_at = {**known, agent_type: at}  # replaced as a whole: threads share it
        return ("SET", stores_key(self._name, agent_type), ttl or 0, "EX", STORES_SECONDS)
