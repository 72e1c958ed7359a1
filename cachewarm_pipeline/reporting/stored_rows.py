"""Rows of stored tables as the report reads them: only the columns that it uses. The full schemas are in
`storage.schemas` and `storage.measurement_schemas`, which also say what each column means."""

from datetime import date, datetime
from typing import Any, TypedDict


class MatchRuleRow(TypedDict):
    """MATCH_RULES."""

    agent_type: str
    rule: str
    certified: bool
    queries: int
    hits: int
    wrong_hits: int
    upper: float
    why: str


class VerdictRow(TypedDict):
    """VERDICT: one gate."""

    gate: str
    passed: bool
    sentence: str
    withheld: list[str]


class ImpactRow(TypedDict):
    """WARMING_IMPACT."""

    scope: str
    name: str
    days: int
    hits: int
    lookups: int
    hit_rate: float | None
    share: float | None
    holdout_lookups: int
    holdout_hit_rate: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    generation: str | None
    forecast_hit_rate: float | None
    forecast_lift: float | None
    inside: bool | None
    why: str


class PaybackRow(TypedDict):
    """ENTRY_PAYBACK."""

    entry_id: str
    agent_type: str
    prompt: str
    source: str
    live: bool
    hits: int
    hits_7: int
    days_looked_up: int
    recovered_usd: float | None
    payback: float | None
    last_hit: datetime | None
    left_on: date | None
    verdicts: list[str]


NetReturnRow = dict[str, Any]
"""NET_RETURN, with all its columns: the report passes these rows on as they are."""

ReplaySummary = dict[str, Any]
"""`proof.replay_summary.summarise_replay`, which documents its keys."""
