"""What an entry's answer depends on. It is kept in the entry's provenance as ``depends``; a change of any of it asks
for another look at the answer (freshness.stale_answers)."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cachewarm_client.text import sha256_hex


@dataclass(frozen=True)
class AnswerProvenance:
    """None: not known. Candidates know the first two, the plan adds the others.

    ``source_row``: what the answer was made from (``source_row``). ``answer_model``: what wrote it. ``prompt_version``:
    of the application's prompt, as set when the answer first came into a plan. ``embedder``: id of the model that made
    the prompt's vector.
    """

    source_row: str | None = None
    answer_model: str | None = None
    prompt_version: str | None = None
    embedder: str | None = None

    @classmethod
    def of(cls, provenance: str) -> "AnswerProvenance":
        """Of a candidate's or an entry's provenance; all None where it has no ``depends``."""
        return cls.of_row(json.loads(provenance))

    @classmethod
    def of_row(cls, provenance: Mapping[str, Any]) -> "AnswerProvenance":
        """The same of provenance that is parsed."""
        found = provenance.get("depends") or {}
        return cls(**{name: found.get(name) for name in cls.__dataclass_fields__})

    def as_dict(self) -> dict[str, str | None]:
        return asdict(self)


def source_row(*parts: str) -> str:
    """16 hex characters that stand for what an answer was made from."""
    return sha256_hex(*parts)[:16]


def dump(provenance: dict[str, Any]) -> str:
    """Provenance as it is stored: equal content gives equal text."""
    return json.dumps(provenance, sort_keys=True, ensure_ascii=False)
