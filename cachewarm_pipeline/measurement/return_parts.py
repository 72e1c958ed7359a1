"""Where the figures of a return come from: the replay, the lift over a holdout, the log's costs. Money is in USD."""

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import pyarrow as pa

from cachewarm_pipeline.measurement.lift import Estimate, Impact
from cachewarm_pipeline.measurement.returns import ExtraHitsValue, AgentTypeFigures, widened, scaled
from cachewarm_pipeline.proof.replay_summary import lift_interval

_SEED = 0
"""Of the bootstrap: the same days give the same interval."""


def measured_extra_hits(impact: Impact) -> dict[str, Estimate | None]:
    """Extra hits a day of each agent_type: its lift x the lookups of the warmed arm, over the days that were counted.
    Of one with too few users the pooled lift stands in; None where there is neither. Give whole days."""
    return {name: impact.weighted({name: _a_day(impact, name)}) for name in impact.agent_types}


def measured_extra_hits_value(impact: Impact) -> ExtraHitsValue:
    """What ``returns`` needs to carry the lift's interval to the total: users ask several agent types, so that the
    parts' intervals do not add up. An agent_type that was not counted has no extra hits."""
    return lambda usd: impact.weighted(
        {name: value * _a_day(impact, name) for name, value in usd.items() if name in impact.agent_types}
    )


def _a_day(impact: Impact, name: str) -> float:
    return impact.agent_types[name].warmed_lookups / max(1, impact.days)


def expected_figures(
    agent_type: str,
    replay: Mapping[str, Any],
    days: int,
    call_usd: float | None,
    *,
    running_usd: float = 0.0,
    warming_usd: float = 0.0,
) -> Part:
    """What is to be expected of an agent_type by its replay (replay_summary.summary) over ``days`` held-out days."""
    if days < 1:
        raise ValueError(f"returns: the replay of agent_type {agent_type!r} is of {days} days, not of 1 or more")
    lift, ends = replay["lift"], replay["lift_interval"] or (None, None)
    return AgentTypeFigures(
        agent_type,
        None if lift is None else scaled(widened(lift, *ends), replay["lookups"] / days),
        replay["hits"] / days,
        wrong_share(replay),
        call_usd,
        running_usd,
        warming_usd,
        "nothing was held out" if lift is None else "",
    )


def wrong_share(replay: Mapping[str, Any]) -> Estimate | None:
    """Wrong of the judged hits of a replay (replay_summary.summary), with its bounds; None where none was judged."""
    wrong = replay["wrong_hit_rate"]
    return None if wrong is None else widened(wrong, replay["wrong_hit_rate_lower"], replay["wrong_hit_rate_upper"])


def expected_extra_hits_value(replay: pa.Table, days: int) -> ExtraHitsValue:
    """As measured_extra_hits_value, for a replay over ``days`` held-out days: a bootstrap over days of the sum, as of its lift.

    ``replay``: agent_type, date, lookups, warmed_hits and cold_hits of REPLAY.
    """

    def combine(usd: Mapping[str, float]) -> Estimate | None:
        unit = max(usd.values(), default=0.0)
        gains: dict[date, float] = {}
        lookups: dict[date, int] = {}
        for row in replay.to_pylist():
            if row["agent_type"] in usd:
                gain = (row["warmed_hits"] - row["cold_hits"]) * (usd[row["agent_type"]] / unit if unit else 0.0)
                gains[row["date"]] = gains.get(row["date"], 0.0) + gain
                lookups[row["date"]] = lookups.get(row["date"], 0) + row["lookups"]
        if not gains:
            return None
        ends = lift_interval(gains.values(), lookups.values(), _SEED) or (None, None)
        whole = sum(lookups.values())
        lift = sum(gains.values()) / whole if whole else 0.0
        return scaled(widened(lift, *ends), whole / days * unit)

    return combine


def call_costs(log: pa.Table) -> dict[str, float | None]:
    """Mean USD of an uncached call by agent_type; None where the log has no cost for it.

    ``log``: agent_type, cost_usd and costed of DAILY_QUERY_COUNTS, of any number of days. A sum that is negative or not
    finite counts nowhere.
    """
    sums: dict[str, list[float]] = {}
    for name, usd, calls in zip(*(log[c].to_pylist() for c in ("agent_type", "cost_usd", "costed")), strict=True):
        of = sums.setdefault(name, [0.0, 0.0])
        if calls > 0 and math.isfinite(usd) and usd >= 0:
            of[0] += usd
            of[1] += calls
    return {name: usd / calls if calls else None for name, (usd, calls) in sorted(sums.items())}


def share_out(usd: float, weights: Mapping[str, float]) -> dict[str, float]:
    """A cost that agent types have in common, in proportion to their weights (entries, tokens), evenly if all are 0."""
    whole = sum(weights.values())
    return {name: usd * (weight / whole if whole else 1 / len(weights)) for name, weight in weights.items()}
