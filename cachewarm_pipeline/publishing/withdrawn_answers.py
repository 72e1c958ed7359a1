"""Answers that are out of service: which ones, and what a generation has to change for them. No Redis here.

An entry without its response stays in the index as a neighbour, because match rules were certified with it. A stock
reader skips it, and our reader treats it as a miss.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cachewarm_client.wrong_hit_reports import response_sha


@dataclass(frozen=True)
class WithdrawnAnswer:
    """One answer of one entry that no generation may serve any more."""

    entry_id: str
    response_sha: str
    """``response_sha`` of the answer."""
    at: datetime
    """When it was withdrawn."""
    why: str = ""
    """The reason, without personal data."""

    @property
    def field(self) -> str:
        """Its field in the hash of withdrawn answers; an entry may have had several bad answers."""
        return hash_field(self.entry_id, self.response_sha)

    def to_json(self) -> str:
        """The value of the field."""
        return json.dumps(
            {"response_sha": self.response_sha, "at": self.at.isoformat(), "why": self.why}, ensure_ascii=False
        )

    @classmethod
    def from_json(cls, name: str, text: str) -> "WithdrawnAnswer":
        """From a field and its value. The field alone names what is withdrawn, so a damaged value never brings an
        answer back."""
        entry, _, sha = name.partition(":")
        try:
            data = json.loads(text)
            return cls(entry, sha, datetime.fromisoformat(data["at"]), str(data.get("why", "")))
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls(entry, sha, datetime.fromtimestamp(0, UTC), "(its record is damaged)")


def hash_field(entry_id: str, sha: str) -> str:
    """Field of an answer in the hash of withdrawn answers; ``sha`` is the answer's ``response_sha``."""
    return f"{entry_id}:{sha}"


@dataclass(frozen=True)
class WithdrawalResult:
    """What a withdrawal did, by entry id. An entry may be in more than one of the three."""

    taken_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Generations in which the entry is out of service now."""
    differing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Generations in which the entry has another answer than the bad one; that answer stays in service."""
    missing: tuple[str, ...] = ()
    """Entries that no generation has. A bad answer that was named stays out of later generations all the same."""


@dataclass(frozen=True)
class Reconciliation:
    """What a generation has to change to serve exactly the answers that it may. True when there is any change."""

    take_out: tuple[str, ...]
    """Ids of entries whose answer is withdrawn."""
    bring_back: tuple[str, ...]
    """Ids of entries whose answer was reinstated."""

    def __bool__(self) -> bool:
        return bool(self.take_out or self.bring_back)


def hashes_by_entry(withdrawn: Iterable[WithdrawnAnswer]) -> dict[str, set[str]]:
    """Entry id to the ``response_sha`` of each of its withdrawn answers."""
    found: dict[str, set[str]] = {}
    for one in withdrawn:
        found.setdefault(one.entry_id, set()).add(one.response_sha)
    return found


def reconciliation(
    withdrawn: Mapping[str, Collection[str]], taken_out: Collection[str], responses: Mapping[str, str]
) -> Reconciliation:
    """What to change in a generation.

    ``withdrawn``: entry id to the hashes of its withdrawn answers. ``taken_out``: entries that are out of service in
    the generation. ``responses``: the planned answers, at least of every planned entry in one of the two.
    """
    bad = {entry for entry, shas in withdrawn.items() if entry in responses and response_sha(responses[entry]) in shas}
    back = {entry for entry in taken_out if entry in responses} - bad
    return Reconciliation(tuple(sorted(bad - set(taken_out))), tuple(sorted(back)))
