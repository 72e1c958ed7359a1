"""The reasons for which an entry is stale, and which of them still apply. Both sides use these rules: the asset
`answer_checks` marks entries (answer_check_rows), and the plan excludes stale candidates (stale_answers)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cachewarm_pipeline.candidates.provenance import AnswerProvenance
from cachewarm_pipeline.freshness.rows import CheckRow, Provenance


class Stale(StrEnum):
    """Why an entry is stale."""

    ANSWER_MODEL = "answer_model"
    PROMPT_VERSION = "prompt_version"
    CHANGED = "changed"
    EMBEDDER = "embedder"
    SOURCE_ROW = "source_row"
    AGE = "age"


ANSWER_REASONS = frozenset([Stale.ANSWER_MODEL, Stale.PROMPT_VERSION, Stale.CHANGED, Stale.AGE])
"""The reasons for which the answer itself is stale. For the other two a new plan is enough: it embeds the prompt again
and takes the source's new answer."""


@dataclass(frozen=True)
class CurrentSources:
    """What answers depend on today. None: not compared."""

    answer_model: str | None
    """The model that answers in the application."""
    prompt_version: str | None
    """Version of the application's prompt."""
    embedder: str
    """Id of the embedding model."""


def still_stale(
    check: CheckRow, provenance: AnswerProvenance, answered_at: datetime | None, current: CurrentSources
) -> frozenset[Stale]:
    """The reasons of a check for which the checked answer is still stale.

    ``provenance``: what the candidate's answer depends on today. ``answered_at``: when the application last gave it.

    ANSWER_MODEL no longer applies once the answer's model is the current one, or models are not compared.
    PROMPT_VERSION no longer applies once the version is the current one, or the application has given the same answer
    again since the mark. AGE is never among them: it is computed again each time.
    """
    found = ({Stale(reason) for reason in check["reasons"]} & ANSWER_REASONS) - {Stale.AGE}
    if not differs(provenance.answer_model, current.answer_model):
        found.discard(Stale.ANSWER_MODEL)
    again = answered_at is not None and check["marked_at"] is not None and answered_at > check["marked_at"]
    if again or not differs(check["prompt_version"], current.prompt_version):
        found.discard(Stale.PROMPT_VERSION)
    return frozenset(found)


def differs(known: str | None, current: str | None) -> bool:
    """Whether two values are both known, and different."""
    return known is not None and current is not None and known != current


def answered_at(provenance: Provenance) -> datetime | None:
    """When the application last gave the answer; None where it is not known."""
    found = provenance.get("last_answer_at")
    return datetime.fromisoformat(found) if found else None
