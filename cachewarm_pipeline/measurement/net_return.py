"""What warming nets on a day, from what was forecast, counted and paid: the parts that `returns` adds up, and their
sums as NET_RETURN."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.counters import WARMED_ARM

from cachewarm_pipeline.measurement.lift import Estimate
from cachewarm_pipeline.measurement.lift.measured_impact import MeasuredImpact
from cachewarm_pipeline.measurement.return_parts import (
    expected_figures,
    expected_extra_hits_value,
    measured_extra_hits,
    measured_extra_hits_value,
    share_out,
    wrong_share,
)
from cachewarm_pipeline.measurement.returns import AgentTypeFigures, PaybackDays, Return, Returns, returns
from cachewarm_pipeline.storage.measurement_schemas import NET_RETURN

EXPECTED, MEASURED = "expected", "measured"

GENERATIONS = 2
"""Copies of an entry in Redis: the live generation's and the previous one's, kept for a rollback."""

DAYS_A_MONTH = 365.25 / 12
GIB = 2**30


@dataclass(frozen=True)
class Paid:
    """``warming_usd``: what it took until a plan was live, once. ``running_usd``: what was paid a day since, on average
    of ``days`` calendar days; 0.0 over 0 days where there are none yet."""

    warming_usd: float
    running_usd: float
    days: int


def paid(usage: pa.Table, day: date, days: int, published: date | None) -> Paid:
    """The ledger's money, of all purposes, as known for ``day``: rows that were paid for later days do not count.

    ``usage``: USAGE, all of it. ``published``: the day whose plan was the first to be live, None where none is known to
    have been. Warming is all that was paid for the days up to that one: runs that failed or were capped before anything
    was published, tries and repetitions are in it; until something is live everything is. What was paid for later days
    is running cost, a day's mean over the last ``days`` calendar days: refreshing, new questions, judging, checks of
    answers.
    """
    rows = [
        (row["day"], row["usd"])
        for row in usage.select(["day", "usd"]).to_pylist()
        if row["usd"] > 0 and row["day"] <= day
    ]
    last = day if published is None else min(published, day)
    length = min(days, (day - last).days)
    warming = sum((amount for of, amount in rows if of <= last), 0.0)
    recent = sum(amount for of, amount in rows if of > max(last, day - timedelta(days=length)))
    return Paid(warming, recent / length if length else 0.0, length)


def plan_bytes(plan: pa.Table, dimensions: int) -> dict[str, int]:
    """Bytes of prompts, responses and vectors by agent_type; ``plan``: agent_type, prompt and response.

    An estimate from below of what Redis takes: it has no index, no field names and no keys in it.
    """
    texts = pc.add(pc.binary_length(plan["prompt"]), pc.binary_length(plan["response"]))
    found: dict[str, int] = {}
    for name, size in zip(plan["agent_type"].to_pylist(), texts.to_pylist(), strict=True):
        found[name] = found.get(name, 0) + size + 4 * dimensions
    return found


@dataclass(frozen=True)
class ReturnInputs:
    """What both returns rest on. ``replay``: summary of ``rows`` over ``replay_days`` days. ``call_usd`` by
    agent_type, None where the log has no cost. ``entries`` and ``bytes``: of the plan, by agent_type.
    ``wrong_hit_usd``: what a wrong hit costs, None where nobody has said."""

    rows: pa.Table
    replay: Mapping[str, Any]
    replay_days: int
    call_usd: Mapping[str, float | None]
    entries: Mapping[str, int]
    paid: Paid
    wrong_hit_usd: float | None
    bytes: Mapping[str, int] = field(default_factory=dict)
    usd_per_gib_month: float = 0.0

    def memory_usd(self, agent_type: str) -> float:
        """A day."""
        return GENERATIONS * self.bytes.get(agent_type, 0) / GIB * self.usd_per_gib_month / DAYS_A_MONTH

    def costs(self, agent_types: Sequence[str]) -> dict[str, dict[str, float]]:
        """warming_usd and running_usd of each agent_type, in proportion to the plan's entries."""
        weights = {name: float(self.entries.get(name, 0)) for name in agent_types}
        if not weights:
            return {}
        warming, running = share_out(self.paid.warming_usd, weights), share_out(self.paid.running_usd, weights)
        return {
            name: {"warming_usd": warming[name], "running_usd": running[name] + self.memory_usd(name)}
            for name in agent_types
        }


@dataclass(frozen=True)
class ReturnBasis:
    """One of both returns, with what its parts were made from. ``covers``: with what reservation the total stands."""

    name: str
    days: int
    parts: list[AgentTypeFigures]
    found: Returns
    covers: str = ""


def expected_return(known: ReturnInputs) -> ReturnBasis:
    """What the replay lets expect."""
    names = sorted({*known.entries, *known.replay["agent_types"]})
    costs = known.costs(names)
    parts = []
    for name in names:
        own, call = known.replay["agent_types"].get(name), known.call_usd.get(name)
        if own and known.replay_days:
            parts.append(expected_figures(name, own, known.replay_days, call, **costs[name]))
        else:
            parts.append(AgentTypeFigures(name, None, 0.0, None, call, **costs[name], why="nothing was held out"))
    combine = expected_extra_hits_value(known.rows, known.replay_days) if known.replay_days else None
    found = returns(parts, known.wrong_hit_usd, combine, wrong_share(known.replay))
    return ReturnBasis(EXPECTED, known.replay_days, parts, found)


def measured_return(known: ReturnInputs, counted: MeasuredImpact) -> ReturnBasis:
    """What the lift over the holdout says. The share of wrong hits is the replay's, where answers were judged: wrong
    hits that users report are but those that they notice and tell."""
    impact, hits = counted.impact, measured_extra_hits(counted.impact)
    names = sorted({*known.entries, *impact.agent_types})
    costs, judged = known.costs(names), known.replay["agent_types"]
    some = any(hits.values())
    parts = []
    for name in names:
        lift, asked = impact.agent_types.get(name), counted.of(agent_type=name).lookups
        extra, why = hits.get(name), ""
        if extra:
            why = _covers(counted, name)
        elif lift:
            why = lift.why
        elif some and not asked:
            extra = Estimate(0.0, 0.0, 0.0)  # others earn, and of this one there was nothing to answer
        else:
            why = NO_HOLDOUT_OF_IT if asked and impact.agent_types else counted.why
        wrong, served = wrong_share(judged[name]) if name in judged else None, counted.served_hits(name)
        parts.append(AgentTypeFigures(name, extra, served, wrong, known.call_usd.get(name), **costs[name], why=why))
    combine = measured_extra_hits_value(impact) if impact.agent_types else None
    found = returns(parts, known.wrong_hit_usd, combine, wrong_share(known.replay))
    return ReturnBasis(MEASURED, impact.days, parts, found, _covers(counted))


NO_HOLDOUT_OF_IT = "no reader of it has a holdout"

NEARLY_ALL = 0.995
"""Of the lookups, from which on nothing is said of the others."""


def _covers(counted: MeasuredImpact, agent_type: str | None = None) -> str:
    """What is left out where only some readers have a holdout, of an agent_type or of all with one; empty: nothing."""
    lifts = counted.impact.agent_types
    names = lifts if agent_type is None else [agent_type]
    held = sum(lifts[name].warmed_lookups for name in names)
    every = sum(counted.of(WARMED_ARM, name).lookups for name in names)
    if not every or held >= NEARLY_ALL * every:
        return ""
    return f"{held / every:.0%} of the lookups have a holdout: costs are in full, savings are of these lookups"


def net_return_table(known: ReturnInputs, bases: Sequence[ReturnBasis]) -> pa.Table:
    """NET_RETURN: for each basis its agent types, then all together."""
    return pa.Table.from_pylist([row for basis in bases for row in _rows(known, basis)], schema=NET_RETURN)


def _rows(known: ReturnInputs, basis: ReturnBasis) -> Iterator[dict[str, Any]]:
    for part, one in zip(basis.parts, basis.found.parts, strict=True):
        yield {
            **_row(known, basis, one),
            "served_hits": part.served_hits,
            "wrong_share": part.wrong and part.wrong.value,
            "memory_usd": known.memory_usd(part.agent_type),
        }
    served = sum(part.served_hits for part in basis.parts)
    memory = sum(known.memory_usd(part.agent_type) for part in basis.parts)
    yield {
        **_row(known, basis, basis.found.total),
        "served_hits": served,
        "wrong_share": None,
        "memory_usd": memory,
        "why": "; ".join(filter(None, (missing_reasons(basis.found), basis.covers))),
    }


def _row(known: ReturnInputs, basis: ReturnBasis, one: Return) -> dict[str, Any]:
    payback: PaybackDays = one.payback_days
    row: dict[str, Any] = {
        "basis": basis.name,
        "agent_type": one.agent_type or "",
        "days": basis.days,
        "call_usd": one.call_usd,
        "wrong_hit_usd": known.wrong_hit_usd,
        "running_usd": one.running_usd,
        "warming_usd": one.warming_usd,
        "payback_days": payback.days,
        "payback_days_low": payback.least,
        "payback_days_high": payback.most,
        "break_even_harm_usd": one.break_even_harm_usd,
        "break_even_harm_low_usd": one.break_even_harm_low_usd,
        "why": one.why,
    }
    for name in ("extra_hits", "wrong_hits", "saved_usd", "harm_usd", "savings_usd"):
        ends: Estimate | None = getattr(one, name)
        row |= zip((name, f"{name}_low", f"{name}_high"), ends or (None, None, None), strict=True)
    return row


def missing_reasons(found: Returns) -> str:
    """What the total lacks, with the reasons of its parts; empty: nothing."""
    reasons = sorted({one.why for one in found.parts if one.saved_usd is None})
    if not found.parts:
        return "nothing is planned"
    if not reasons:
        return ""
    return "; ".join(reasons) if found.total.savings_usd is None else f"{found.total.why} ({'; '.join(reasons)})"
