"""Reports of wrong hits: what an answer is known by, and who says that it is wrong. No Redis here."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from cachewarm_client.personal_data import mask
from cachewarm_client.text import canonical, sha256_hex

ANONYMOUS = "anonymous"
"""The one reporter that all reports without a reporter are of: by themselves they never count as many people."""

MAX_REPORTERS = 16
"""Reporters kept of an answer: far more than it takes to confirm a wrong hit."""

MAX_REPORTS = 10_000
"""Answers that may be reported at a time: some 5 MB, and more than anybody reads. Further ones are refused."""

MAX_WHY_CHARS = 200


def response_sha(response: str) -> str:
    """What an answer is known by: 16 hex digits of a hash of its canonical form (of itself, where nothing is left)."""
    return sha256_hex(canonical(response) or response)[:16]


def reporter_sha(reporter: str | None) -> str:
    """A reporter as it is kept: hashed, 16 hex digits; ``ANONYMOUS`` without one.

    Hashed as users of the log are (query_log.daily_counts.hash_user), so that one person is one reporter in both.
    """
    if reporter is None:
        return ANONYMOUS
    return hashlib.sha256(reporter.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def shortened(why: str) -> str:
    """A person's words as they may be kept: without personal data and secrets, at most ``MAX_WHY_CHARS`` characters."""
    return mask(why[: 10 * MAX_WHY_CHARS])[:MAX_WHY_CHARS].encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class WrongHitReport:
    """All reports of one answer of one entry."""

    entry_id: str
    agent_type: str
    response_sha: str
    """``response_sha`` of the answer that was reported: the entry may have another one by now."""
    reporters: tuple[str, ...]
    """Hashed, sorted, at most ``MAX_REPORTERS``."""
    reports: int
    first_at: datetime
    last_at: datetime
    why: str = ""
    """Of the last report that said why."""

    @classmethod
    def from_json(cls, text: str) -> "WrongHitReport":
        """Raises ValueError, KeyError or TypeError for text that is no report."""
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
    """An answer that some generation holds. ``provenance``: JSON, where it comes from."""

    entry_id: str
    agent_type: str
    prompt: str
    response: str
    source: str
    provenance: str
