"""The sections of the JSON of `cachewarm report`, in the order in which they are written.

Keys never go away and never change their type; null (None) means not known. Rates and shares are from 0 to 1.
"""

from typing import TypedDict

from cachewarm_pipeline.reporting.stored_rows import MatchRuleRow, NetReturnRow, VerdictRow


class AgentTypeEntries(TypedDict):
    """Entries of an agent_type, by source, and the hits a day that they are expected to add."""

    agent_type: str
    entries: int
    golden: int
    query_log: int
    synthetic: int
    gain: float


class PlannedPrompt(TypedDict):
    """An entry of the plan; personal data in the prompt is masked."""

    prompt: str
    agent_type: str
    source: str
    demand: float
    gain: float | None


class CurvePoint(TypedDict):
    """A row of PLAN_CURVE: expected hits a day of this many entries, in three orders."""

    entries: int
    plan: float | None
    frequency: float | None
    random: float | None
    lookups: float
    planned: bool


class WarmedSection(TypedDict):
    """What was warmed."""

    entries: int
    golden: int
    query_log: int
    synthetic: int
    expected_hits_a_day: float | None
    expected_lookups_a_day: float | None
    agent_types: list[AgentTypeEntries]
    first: list[PlannedPrompt]
    curve: list[CurvePoint]


class GateResult(VerdictRow):
    """A gate's verdict."""

    limited: bool  # passed, but some agent types serve exact hits only


class ReportedRule(MatchRuleRow):
    """The match rule of an agent_type."""

    judge_noise: float | None  # the judge's noise floor


class SafetySection(TypedDict):
    """What the gates found, the match rule of each agent_type, and wrong hits in the replay."""

    target: float
    confidence: float
    gates_in_all: int
    gates: list[GateResult]
    agent_types: int
    certified: int
    match_rules: list[ReportedRule]
    hits: int | None
    judged_hits: int | None
    wrong_hits: int | None
    wrong_hit_rate: float | None
    wrong_hit_rate_upper: float | None
    semantic_wrong_hit_rate: float | None
    judge_noise: float | None  # the noise floor over all agent types
    judge_noise_sentence: str  # what it means for wrong semantic hits; empty if it is not known


class ForecastSection(TypedDict):
    """What a warmed and a cold cache would have answered on held-out days."""

    days: int
    lookups: int
    hit_rate: float
    cold_hit_rate: float
    lift: float
    lift_interval: list[float] | None
    exact_hit_rate: float
    semantic_hit_rate: float


class MeasuredRates(TypedDict):
    """Lookups, hit rates and lift of WARMING_IMPACT."""

    lookups: int
    hits: int
    hit_rate: float | None
    holdout_lookups: int
    holdout_hit_rate: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    why: str


class NamedRates(MeasuredRates):
    """Rates of one agent_type, or of those with too few users together."""

    name: str


class DayRates(NamedRates):
    """Rates of one day beside its forecast."""

    generation: str | None
    forecast_hit_rate: float | None
    forecast_lift: float | None
    inside: bool | None


class SourceHits(TypedDict):
    """Hits by entries of one source."""

    source: str
    hits: int
    share: float | None


class MeasuredSection(MeasuredRates):
    """What readers counted: the lift over the holdout, and the plain hit rates before and after warming."""

    as_of: str
    days: int
    before: float | None
    after: float | None
    off_forecast: float | None
    before_why: str
    agent_types: list[NamedRates]
    rest: NamedRates | None
    by_day: list[DayRates]
    sources: list[SourceHits]


class PaidRow(TypedDict):
    """What was paid for one purpose to one model."""

    purpose: str
    model: str
    tokens: int
    usd: float


class ReturnSection(TypedDict):
    """The expected or the measured return of a day."""

    total: NetReturnRow | None
    agent_types: list[NetReturnRow]


class MoneySection(TypedDict):
    """What was paid, and what it returns."""

    as_of: str | None
    prices_as_of: list[str]
    wrong_hit_usd: float | None
    paid: list[PaidRow]
    paid_usd: float
    expected: ReturnSection
    measured: ReturnSection


class BestEntry(TypedDict):
    """An entry with many hits; personal data in the prompt is masked."""

    entry_id: str
    agent_type: str
    source: str
    hits: int
    hits_7: int
    recovered_usd: float | None
    payback: float | None
    last_hit: object
    verdicts: list[str]
    prompt: str


class EntriesSection(TypedDict):
    """What single entries earned."""

    as_of: str
    live: int
    earned: int
    nothing: int
    left: int
    idle_days: int
    hits: int
    recovered_usd: float
    hits_of_best: dict[str, float | None]
    best: list[BestEntry]


class NextEntriesSection(TypedDict):
    """What the entries after the plan's last one would add."""

    entries: int
    hits_a_day: float
    share: float | None


class RunReport(TypedDict):
    """The report of a day."""

    as_of: str
    name: str
    sample: bool  # whether the data are the synthetic sample
    generation: str | None  # the live one; null: none is live, or Redis did not answer
    live: bool  # whether this day's plan is live
    sentences: list[str]  # the report in a few sentences
    warmed: WarmedSection
    safety: SafetySection
    forecast: ForecastSection | None  # null: the log has too few days for a replay
    measured: MeasuredSection | None  # null: no whole day with a warmed cache was counted yet
    counted_today: int | None  # lookups of the current day; null: Redis did not answer
    next_steps: list[str]
    money: MoneySection
    entries: EntriesSection | None  # null: no lookups were counted yet
    next_100: NextEntriesSection | None  # null: without a curve
