"""Rows used by several files here: the columns that freshness reads, as typed dictionaries."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypedDict, final

import numpy as np

from cachewarm_pipeline.ports import AnswerPair, JudgeUse


class Refreshed(TypedDict):
    """Where the newer answer of an entry came from."""

    at: str
    """ISO time at which the answer was found."""
    by: str
    """``log`` or ``llm:<model>``."""


class Provenance(TypedDict, total=False):
    """Parsed provenance of a candidate or an entry."""

    base_id: str
    """entry_id of a variant's base."""
    refreshed: Refreshed
    """Where a newer answer came from."""
    last_answer_at: str
    """ISO time at which the application last gave the answer."""
    depends: Mapping[str, str | None]
    """See candidates.provenance.AnswerProvenance."""


@final
class LoggedQuery(TypedDict):
    """A frequent query of the log that the plan does not warm."""

    entry_id: str
    agent_type: str
    prompt: str
    source: str


@final
class PlanEntry(TypedDict):
    """A row of WARMING_PLAN."""

    entry_id: str
    agent_type: str
    prompt: str
    source: str
    response: str
    provenance: str
    """JSON of a Provenance."""
    demand: float
    """Expected lookups a day."""
    gain: float | None
    """Expected hits a day; None where entries were chosen by frequency."""


Query = LoggedQuery | PlanEntry
"""A query whose answer may be checked. Only a PlanEntry has a response."""


class CheckRow(TypedDict):
    """A row of ANSWER_CHECKS, whose schema describes the columns."""

    entry_id: str
    agent_type: str
    prompt: str
    source: str
    reasons: Collection[str]
    """Values of stale_reasons.Stale."""
    why: str
    old_response: str
    new_response: str | None
    answered_by: str | None
    answered_at: datetime | None
    age_days: float | None
    changed: bool | None
    checked_at: datetime | None
    marked_at: datetime | None
    priority: float
    answer_model: str | None
    prompt_version: str | None
    source_row: str | None


class AreEquivalent(Protocol):
    """A judge's ``same``: whether the two answers of each pair are equivalent, bool (n,)."""

    def __call__(self, pairs: Sequence[AnswerPair], /, use: JudgeUse = ...) -> np.ndarray: ...
