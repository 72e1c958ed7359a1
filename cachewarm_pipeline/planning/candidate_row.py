"""Rows of candidates as planning handles them: plain dictionaries with the types of storage.schemas."""

from typing import TypedDict


class CandidateRow(TypedDict):
    """One row of storage.schemas.CANDIDATE_FIELDS, with the key of its prompt's vector."""

    entry_id: str
    """Hash of canonical prompt and agent_type."""
    agent_type: str
    prompt: str
    response: str
    source: str
    """``golden``, ``query_log`` or ``synthetic``."""
    quality_score: float
    """0 to 1."""
    demand: float
    """Expected lookups a day."""
    cost_usd: float | None
    """Mean cost of the call that a hit saves; None where unknown."""
    provenance: str
    """JSON object: where the answer comes from."""
    embedding_key: str


class PlanRow(CandidateRow):
    """One row of storage.schemas.WARMING_PLAN."""

    rank: int
    gain: float | None
    """Hits a day that the entry adds to those before it; None where selection is by frequency."""
    answer_group: str


class LabelledRow(TypedDict):
    """The columns of storage.schemas.LABELLED_QUERIES that planning reads."""

    entry_id: str
    agent_type: str
    prompt: str
    response: str
    frequency: int
    demand: float
    stands_for: float
    """Demand of the whole agent_type over the demand of its labelled queries."""
    cost_usd: float | None
    part: str
    """``choose``, ``fit`` or ``certify``."""
