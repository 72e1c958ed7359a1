"""The figures of an agent_type's return, from the replay (expected) and from the lift over the holdout (measured).

`returns` computes savings from them.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pyarrow as pa

from cachewarm_pipeline.measurement.lift import Estimate, Impact
from cachewarm_pipeline.measurement.net_return.estimates import scaled, widened
from cachewarm_pipeline.measurement.net_return.returns import AgentTypeFigures, ExtraHitsValue
from cachewarm_pipeline.proof.replay_summary import lift_interval

_SEED = 0
"""Of the bootstrap's random generator: the same days give the same interval."""

NOTHING_HELD_OUT = "no lookups were held out"
"""Why an agent_type has no replay."""


def measured_extra_hits(impact: Impact) -> dict[str, Estimate | None]:
    """Extra hits a day by agent_type: lift x lookups of the warmed arm / counted days, which must be whole days.

    An agent_type with too few users gets the pooled lift; None if that is not known either.
    """
    return {name: impact.weighted({name: _a_day(impact, name)}) for name in impact.agent_types}


def measured_extra_hits_value(impact: Impact) -> ExtraHitsValue:
    """For ``returns``: the interval of the total from the measured lifts. It is not the sum of the agent types'
    intervals, because a user may ask several agent types. An agent_type without counts has no extra hits."""
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
) -> AgentTypeFigures:
    """Figures expected by the replay of an agent_type (replay_summary.summarise_replay) over ``days`` held-out days.

    Raises ValueError if ``days`` is below 1.
    """
    if days < 1:
        raise ValueError(f"returns: the replay of agent_type {agent_type!r} has {days} held-out days, it needs 1")
    lift, ends = replay["lift"], replay["lift_interval"] or (None, None)
    return AgentTypeFigures(
        agent_type,
        None if lift is None else scaled(widened(lift, *ends), replay["lookups"] / days),
        replay["hits"] / days,
        wrong_share(replay),
        call_usd,
        running_usd,
        warming_usd,
        NOTHING_HELD_OUT if lift is None else "",
    )


def wrong_share(replay: Mapping[str, Any]) -> Estimate | None:
    """Share of the judged hits of a replay (replay_summary.summarise_replay) that is wrong, with its bounds; None if no
    hit was judged."""
    wrong = replay["wrong_hit_rate"]
    return None if wrong is None else widened(wrong, replay["wrong_hit_rate_lower"], replay["wrong_hit_rate_upper"])


def expected_extra_hits_value(replay: pa.Table, days: int) -> ExtraHitsValue:
    """For ``returns``: the interval of the total from a replay over ``days`` held-out days, by the same bootstrap over
    days as the interval of its lift.

    ``replay``: agent_type, date, lookups, warmed_hits and cold_hits of REPLAY.
    """

    def value_of_extra_hits(usd: Mapping[str, float]) -> Estimate | None:
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

    return value_of_extra_hits
