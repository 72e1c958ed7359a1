"""Reports of wrong hits as data: how answers and reporters are identified. No Redis here."""

import json
from dataclasses import dataclass
from datetime import datetime

from cachewarm_client.personal_data import mask
from cachewarm_client.text import canonical, hash_user, sha256_hex

ANONYMOUS = "anonymous"
"""The reporter of all reports without one: together they count as one person."""

MAX_REPORTERS = 16
"""Reporters kept per answer: far more than it takes to confirm a wrong hit."""

MAX_REPORTS = 10_000
"""Answers that may be reported at a time: about 5 MB, and more than anybody reads. Further ones are refused."""

MAX_WHY_CHARS = 200
"""Characters kept of a reason."""


def response_sha(response: str) -> str:
    """Identifies an answer: 16 hex digits of a hash of its canonical form, or of the answer where that is empty."""
    return sha256_hex(canonical(response) or response)[:16]


def reporter_sha(reporter: str | None) -> str:
    """Identifies a reporter: ``hash_user``, 16 hex digits, as for users of the log; ``ANONYMOUS`` without one."""
    return ANONYMOUS if reporter is None else hash_user(reporter)


def shortened(why: str) -> str:
    """A reason as it is stored: without personal data and secrets, at most ``MAX_WHY_CHARS`` characters."""
    return mask(why[: 10 * MAX_WHY_CHARS])[:MAX_WHY_CHARS].encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class WrongHitReport:
    """All reports of one answer of one entry."""

    entry_id: str
    agent_type: str
    response_sha: str
    """``response_sha`` of the reported answer; the entry may have another answer by now."""
    reporters: tuple[str, ...]
    """``reporter_sha`` of each reporter, sorted, at most ``MAX_REPORTERS``."""
    reports: int
    """How many reports there were, repeated ones included."""
    first_at: datetime
    last_at: datetime
    why: str = ""
    """The reason of the last report that gave one."""

    @classmethod
    def from_json(cls, text: str) -> "WrongHitReport":
        """The report of its JSON form. Raises ValueError, KeyError or TypeError for other text."""
        data = json.loads(text)
        return cls(
            entry_id=str(data["entry_id"]),
            agent_type=str(data["agent_type"]),
            response_sha=str(data["response_sha"]),
            reporters=tuple(sorted(map(str, data["reporters"]))),
            reports=int(data["reports"]),
            first_at=datetime.fromisoformat(data["first_at"]),
            last_at=datetime.fromisoformat(data["last_at"]),
            why=str(data.get("why", "")),
        )


@dataclass(frozen=True)
class ServedAnswer:
    """An answer that a generation contains."""

    entry_id: str
    agent_type: str
    prompt: str
    response: str
    source: str
    """golden, query_log or synthetic."""
    provenance: str
    """JSON: where the answer comes from."""
