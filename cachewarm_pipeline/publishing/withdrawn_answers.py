"""Answers that are taken out of service: which they are, and what a generation has to change for them. No Redis here.

An entry without its response stays in the index as a neighbour, since match rules were certified with it; a stock
reader skips it, and ours takes it for a miss.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cachewarm_client.wrong_hit_reports import response_sha


@dataclass(frozen=True)
class Withdrawal:
    """One answer of one entry that no generation may serve, from now on."""

    entry_id: str
    response_sha: str
    at: datetime
    why: str = ""

    @property
    def field(self) -> str:
        """Its field of the hash: an entry may have had several bad answers."""
        return field_of(self.entry_id, self.response_sha)

    def to_json(self) -> str:
        return json.dumps(
            {"response_sha": self.response_sha, "at": self.at.isoformat(), "why": self.why}, ensure_ascii=False
        )

    @classmethod
    def from_json(cls, name: str, text: str) -> "Withdrawal":
        """Of a field and its value. The field alone says what is withdrawn: damage never brings an answer back."""
        entry, _, sha = name.partition(":")
        try:
            data = json.loads(text)
            return cls(entry, sha, datetime.fromisoformat(data["at"]), str(data.get("why", "")))
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls(entry, sha, datetime.fromtimestamp(0, UTC), "(its record is damaged)")


def field_of(entry_id: str, sha: str) -> str:
    """Field of the hash of withdrawn answers."""
    return f"{entry_id}:{sha}"


@dataclass(frozen=True)
class Withdrawn:
    """What a withdrawal did, by entry id. An entry may be in several of the three."""

    taken_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Generations in which it is out of service now."""
    differing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Generations in which it holds another answer than the bad one, which stays in service."""
    missing: tuple[str, ...] = ()
    """Entries that no generation has; a bad answer that was named stays out of later ones all the same."""


@dataclass(frozen=True)
class Settlement:
    """What a generation has to change so that it serves exactly what it may: entry ids."""

    take_out: tuple[str, ...]
    bring_back: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.take_out or self.bring_back)


def by_entry(withdrawals: Iterable[Withdrawal]) -> dict[str, set[str]]:
    """Entry id to the hashes of its withdrawn answers."""
    found: dict[str, set[str]] = {}
    for one in withdrawals:
        found.setdefault(one.entry_id, set()).add(one.response_sha)
    return found


def settlement(
    withdrawn: Mapping[str, Collection[str]], taken_out: Collection[str], responses: Mapping[str, str]
) -> Settlement:
    """What is to be changed in a generation of which ``taken_out`` are out of service already.

    ``responses``: the planned answers, at least of every entry that is withdrawn or taken out and planned.
    """
    bad = {entry for entry, shas in withdrawn.items() if entry in responses and response_sha(responses[entry]) in shas}
    back = {entry for entry in taken_out if entry in responses} - bad
    return Settlement(tuple(sorted(bad - set(taken_out))), tuple(sorted(back)))
