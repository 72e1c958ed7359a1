"""The shadow: which answers of the application's own a cache would hold by now if nobody were warmed.

The holdout finds what the application stored, and it stores when a lookup misses. With 95% of the users warmed hardly
anybody misses what is warmed, so the holdout's cache is far emptier than one that all users fill: measured against it,
warming would be credited with hits that a cold cache learns by itself. So where a warmed entry answers, the reader
notes that a cold cache would hold an answer to this very prompt from now on. Nothing is served from the note; a lookup
of the holdout that misses where the note is there counts in its bucket as a hit.

It rests on this, and errs as follows:
- The application stores what it asks the model for, prompt by prompt. Whether it stores at all is known by ``store`` of
  this package within STORES_SECONDS, by agent_type. Of stock writers nothing is known: the lift stays too high.
- A note lives as an own answer would: as long as the reader's ``ttl``, renewed by hits; without one as long as
  ``store`` was told, from the first answer on; at most MAX_SECONDS. ``clear`` and ``drop`` leave notes behind: the lift
  is too low until they expire. Until they are there (one ``ttl`` after a holdout begins) it is too high.
- What the holdout would have hit is stored anew all the same: where hits renew that changes nothing, where answers
  expire by themselves the lift is too low (1.4 of 18 points in benchmarks.impact).
- Readers without a holdout leave no notes: where only some processes have one, the lift is too high by what the others'
  users ask. Give all the same share.
- Own answers that a cold cache would serve by meaning are not noted: the lift is too high by those, which are few,
  since own entries are served within a certified plain distance only.
"""

from collections.abc import Mapping
from typing import Any

from cachewarm_client.counters import is_count
from cachewarm_client.keys import shadow_key, stores_key
from cachewarm_client.lookup import app_entry_id
from cachewarm_client.reader_requests import LookupRequest
from cachewarm_client.redis_search_commands import text

MAX_SECONDS = 30 * 86_400
"""The bound on memory: some 220 bytes for each distinct prompt that warmed entries answered in so long."""

STORES_SECONDS = 7 * 86_400
"""After so long without a ``store`` the application is taken to keep nothing of its own."""

MARK_EVERY = 3_600
"""Seconds after which a ``store`` tells again that the application stores: a round trip more, once an hour."""

_MARKED = 1_000
"""Agent types whose last mark is remembered."""


class Shadow:
    """The notes of one lookup. ``there``: a cold cache that everybody fills would have answered it."""

    def __init__(self, name: str, ask: LookupRequest) -> None:
        self._name = name
        self._ask = ask
        self._stores: int | None = None
        self.there = False

    @classmethod
    def of(cls, name: str, ask: LookupRequest) -> "Shadow | None":
        """None where there is nothing to note: in readers without a holdout, without a prompt, and in the holdout where
        a filter leaves no exact path."""
        if ask.place.bucket is None or ask.prompt is None or (ask.held_out and ask.also):
            return None
        return cls(name, ask)

    @property
    def _key(self) -> str:
        return shadow_key(self._name, app_entry_id(self._ask.prompt or "", self._ask.agent_type))

    def question(self) -> tuple[Any, ...]:
        """The one command that rides with the lookup; its reply goes to ``heard``."""
        if self._ask.held_out:
            return ("EXISTS", self._key)
        return ("GET", stores_key(self._name, self._ask.agent_type))

    def heard(self, reply: Any) -> bool:
        """Whether the reply could be used. One that cannot notes nothing."""
        if isinstance(reply, Exception):
            return False
        if self._ask.held_out:
            self.there = bool(reply)
        else:
            told = "" if reply is None else text(reply)
            self._stores = int(told) if is_count(told) else None
        return True

    def note(self, by_warmed_entry: bool) -> tuple[Any, ...] | None:
        """The command that notes how it ended; None where nothing is to be noted."""
        ttl = self._ask.ttl
        if self._ask.held_out:  # a hit would have renewed it
            return ("EXPIRE", self._key, min(ttl, MAX_SECONDS)) if self.there and ttl else None
        if not by_warmed_entry or self._stores is None:
            return None
        if ttl or not self._stores:
            return ("SET", self._key, 1, "EX", min(ttl or MAX_SECONDS, MAX_SECONDS))
        return ("SET", self._key, 1, "EX", min(self._stores, MAX_SECONDS), "NX")  # no hit renews what expires by itself


class Marks:
    """Tells, at most every MARK_EVERY seconds, that the application stores answers of an agent_type."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._at: Mapping[str, float] = {}

    def due(self, agent_type: str, ttl: int | None, at: float) -> tuple[Any, ...] | None:
        """The command to send, if it is time. ``ttl``: seconds that this answer lives; ``at``: Unix time."""
        if abs(at - self._at.get(agent_type, float("-inf"))) < MARK_EVERY:
            return None
        known = {} if len(self._at) >= _MARKED else self._at
        self._at = {**known, agent_type: at}  # as a whole: threads share it
        return ("SET", stores_key(self._name, agent_type), ttl or 0, "EX", STORES_SECONDS)
