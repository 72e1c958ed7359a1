"""What an answer depends on. It is stored in an entry's provenance under ``depends``. When any of it changes, the
answer is checked again (freshness.stale_answers)."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cachewarm_client.text import sha256_hex


@dataclass(frozen=True)
class AnswerProvenance:
    """What an answer depends on; None where it is not known. Candidates set the first two, the plan adds the others."""

    source_row: str | None = None
    """Hash of what the answer was made from; see ``source_row_hash``."""
    answer_model: str | None = None
    """The model that wrote it."""
    prompt_version: str | None = None
    """Version of the application's prompt when the answer first came into a plan, as set."""
    embedder: str | None = None
    """Id of the model that made the prompt's vector."""

    @classmethod
    def of(cls, provenance: str) -> "AnswerProvenance":
        """From the provenance JSON of a candidate or an entry. All fields are None where it has no ``depends``."""
        return cls.of_row(json.loads(provenance))

    @classmethod
    def of_row(cls, provenance: Mapping[str, Any]) -> "AnswerProvenance":
        """From provenance that is already parsed."""
        found = provenance.get("depends") or {}
        return cls(**{name: found.get(name) for name in cls.__dataclass_fields__})

    def as_dict(self) -> dict[str, str | None]:
        """The value of ``depends``."""
        return asdict(self)


def source_row_hash(*parts: str) -> str:
    """16 hex characters that identify what an answer was made from."""
    return sha256_hex(*parts)[:16]


def dump(provenance: dict[str, Any]) -> str:
    """Provenance as the JSON that is stored: equal content gives equal text."""
    return json.dumps(provenance, sort_keys=True, ensure_ascii=False)
