"""The return of warming on a day: expected by the replay, and measured over the holdout. Both as rows of NET_RETURN.

`returns` does the arithmetic; here is what goes into it and how its results are stored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from cachewarm_client.counters import WARMED_ARM

from cachewarm_pipeline.measurement.lift import Estimate
from cachewarm_pipeline.measurement.lift.measured_impact import MeasuredImpact
from cachewarm_pipeline.measurement.net_return.return_inputs import ReturnInputs
from cachewarm_pipeline.measurement.net_return.return_parts import (
    NOTHING_HELD_OUT,
    expected_extra_hits_value,
    expected_figures,
    measured_extra_hits,
    measured_extra_hits_value,
    wrong_share,
)
from cachewarm_pipeline.measurement.net_return.returns import AgentTypeFigures, Return, Returns, returns
from cachewarm_pipeline.storage.measurement_schemas import NET_RETURN

EXPECTED, MEASURED = "expected", "measured"

NO_HOLDOUT_OF_IT = "no reader of this agent_type has a holdout"

NEARLY_ALL = 0.995
"""Share of lookups in a holdout experiment from which on the rest is not mentioned."""


@dataclass(frozen=True)
class ReturnBasis:
    """The expected or the measured return, with the figures it was computed from."""

    name: str
    """EXPECTED or MEASURED."""
    days: int
    """Days that its hits were counted over."""
    parts: list[AgentTypeFigures]
    returns: Returns
    """Of ``parts``, in the same order."""
    note: str = ""
    """A reservation about the total; empty if there is none."""


def expected_return(inputs: ReturnInputs) -> ReturnBasis:
    """The return that the replay leads to expect."""
    names = sorted({*inputs.entries, *inputs.replay["agent_types"]})
    costs = inputs.costs(names)
    parts = []
    for name in names:
        replayed, call = inputs.replay["agent_types"].get(name), inputs.call_usd.get(name)
        if replayed and inputs.replay_days:
            parts.append(expected_figures(name, replayed, inputs.replay_days, call, **costs[name]))
        else:
            parts.append(AgentTypeFigures(name, None, 0.0, None, call, **costs[name], why=NOTHING_HELD_OUT))
    value = expected_extra_hits_value(inputs.rows, inputs.replay_days) if inputs.replay_days else None
    found = returns(parts, inputs.wrong_hit_usd, value, wrong_share(inputs.replay))
    return ReturnBasis(EXPECTED, inputs.replay_days, parts, found)


def measured_return(inputs: ReturnInputs, measured: MeasuredImpact) -> ReturnBasis:
    """The return by the lift over the holdout.

    The share of wrong hits is the replay's, whose answers were judged: users report only the wrong hits that they
    notice.
    """
    impact, hits = measured.impact, measured_extra_hits(measured.impact)
    names = sorted({*inputs.entries, *impact.agent_types})
    costs, judged = inputs.costs(names), inputs.replay["agent_types"]
    some = any(hits.values())
    parts = []
    for name in names:
        lift, asked = impact.agent_types.get(name), measured.counts_of(agent_type=name).lookups
        extra, why = hits.get(name), ""
        if extra:
            why = _coverage_note(measured, name)
        elif lift:
            why = lift.why
        elif some and not asked:
            extra = Estimate(0.0, 0.0, 0.0)  # others were asked, this one was not
        else:
            why = NO_HOLDOUT_OF_IT if asked and impact.agent_types else measured.why
        wrong, served = wrong_share(judged[name]) if name in judged else None, measured.served_hits(name)
        parts.append(AgentTypeFigures(name, extra, served, wrong, inputs.call_usd.get(name), **costs[name], why=why))
    value = measured_extra_hits_value(impact) if impact.agent_types else None
    found = returns(parts, inputs.wrong_hit_usd, value, wrong_share(inputs.replay))
    return ReturnBasis(MEASURED, impact.days, parts, found, _coverage_note(measured))


def _coverage_note(measured: MeasuredImpact, agent_type: str | None = None) -> str:
    """A note if only some readers have a holdout: the share of lookups that savings cover, of an agent_type or of all
    agent types with a lift; empty if that is nearly all."""
    lifts = measured.impact.agent_types
    names = lifts if agent_type is None else [agent_type]
    covered = sum(lifts[name].warmed_lookups for name in names)
    every = sum(measured.counts_of(WARMED_ARM, name).lookups for name in names)
    if not every or covered >= NEARLY_ALL * every:
        return ""
    return f"{covered / every:.0%} of the lookups have a holdout: savings cover only these, costs are in full"


def net_return_table(inputs: ReturnInputs, bases: Sequence[ReturnBasis]) -> pa.Table:
    """NET_RETURN: for each basis a row for each agent_type, then one for the total."""
    return pa.Table.from_pylist([row for basis in bases for row in _rows(inputs, basis)], schema=NET_RETURN)


def _rows(inputs: ReturnInputs, basis: ReturnBasis) -> Iterator[dict[str, Any]]:
    for part, one in zip(basis.parts, basis.returns.parts, strict=True):
        yield {
            **_row(inputs, basis, one),
            "served_hits": part.served_hits,
            "wrong_share": part.wrong and part.wrong.value,
            "memory_usd": inputs.memory_usd(part.agent_type),
        }
    served = sum(part.served_hits for part in basis.parts)
    memory = sum(inputs.memory_usd(part.agent_type) for part in basis.parts)
    yield {
        **_row(inputs, basis, basis.returns.total),
        "served_hits": served,
        "wrong_share": None,
        "memory_usd": memory,
        "why": "; ".join(filter(None, (missing_reasons(basis.returns), basis.note))),
    }


def _row(inputs: ReturnInputs, basis: ReturnBasis, one: Return) -> dict[str, Any]:
    payback = one.payback_days
    row: dict[str, Any] = {
        "basis": basis.name,
        "agent_type": one.agent_type or "",
        "days": basis.days,
        "call_usd": one.call_usd,
        "wrong_hit_usd": inputs.wrong_hit_usd,
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
    """Why savings are not known, in total or of some agent types; empty if they are known of all."""
    reasons = sorted({one.why for one in found.parts if one.saved_usd is None})
    if not found.parts:
        return "nothing is planned"
    if not reasons:
        return ""
    return "; ".join(reasons) if found.total.savings_usd is None else f"{found.total.why} ({'; '.join(reasons)})"
