"""What the expected and the measured return of a day are both computed from: the replay, the cost of a call, what was
paid, and the memory of the plan. Money is in USD.

`net_return_service` reads them; `net_return` computes the returns.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

GENERATIONS = 2
"""Copies of an entry in Redis: in the live generation, and in the previous one, which is kept for a rollback."""

DAYS_A_MONTH = 365.25 / 12
GIB = 2**30


@dataclass(frozen=True)
class Paid:
    """What was paid to servers, split into warming and running costs."""

    warming_usd: float
    """Paid once, until a plan was live."""
    running_usd: float
    """A day since then, as the mean of ``days`` calendar days; 0.0 over 0 days."""
    days: int


def paid(usage: pa.Table, day: date, days: int, published: date | None) -> Paid:
    """What the usage ledger says was paid, for all purposes, up to ``day``: rows for later days do not count.

    ``usage``: all rows of USAGE. ``published``: the day of the first plan that was live; None if none is known.

    Warming is all that was paid for the days up to ``published``, including failed runs, runs that reached a spend cap,
    retries and repeated runs; without a live plan everything is warming. What was paid for later days (refreshing, new
    prompts, judging, answer checks) is running cost, as the mean a day over the last ``days`` calendar days.
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

    Redis takes more: this lower bound has no index, field names or keys.
    """
    texts = pc.add(pc.binary_length(plan["prompt"]), pc.binary_length(plan["response"]))
    found: dict[str, int] = {}
    for name, size in zip(plan["agent_type"].to_pylist(), texts.to_pylist(), strict=True):
        found[name] = found.get(name, 0) + size + 4 * dimensions
    return found


@dataclass(frozen=True)
class ReturnInputs:
    """What both returns of a day are computed from."""

    rows: pa.Table
    """REPLAY of the day's plan."""
    replay: Mapping[str, Any]
    """Summary of ``rows`` (proof.replay_summary.summarise_replay)."""
    replay_days: int
    """Held-out days of the replay."""
    call_usd: Mapping[str, float | None]
    """Cost of a call by agent_type; None if the log has no cost for it."""
    entries: Mapping[str, int]
    """Entries of the plan by agent_type."""
    paid: Paid
    wrong_hit_usd: float | None
    """Harm of a wrong hit; None if it is not set."""
    bytes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of the plan by agent_type (see ``plan_bytes``)."""
    usd_per_gib_month: float = 0.0
    """Price of memory."""

    def memory_usd(self, agent_type: str) -> float:
        """Memory of an agent_type's entries, USD a day."""
        return GENERATIONS * self.bytes.get(agent_type, 0) / GIB * self.usd_per_gib_month / DAYS_A_MONTH

    def costs(self, agent_types: Sequence[str]) -> dict[str, dict[str, float]]:
        """warming_usd and running_usd of each agent_type, in proportion to its entries in the plan."""
        weights = {name: float(self.entries.get(name, 0)) for name in agent_types}
        if not weights:
            return {}
        warming, running = share_out(self.paid.warming_usd, weights), share_out(self.paid.running_usd, weights)
        return {
            name: {"warming_usd": warming[name], "running_usd": running[name] + self.memory_usd(name)}
            for name in agent_types
        }


def call_costs(log: pa.Table) -> dict[str, float | None]:
    """Mean USD of an uncached call by agent_type; None if the log has no cost for it.

    ``log``: agent_type, cost_usd and costed of DAILY_QUERY_COUNTS, of any number of days. Rows with a negative or
    non-finite sum are ignored.
    """
    sums: dict[str, list[float]] = {}
    for name, usd, calls in zip(*(log[c].to_pylist() for c in ("agent_type", "cost_usd", "costed")), strict=True):
        of = sums.setdefault(name, [0.0, 0.0])
        if calls > 0 and math.isfinite(usd) and usd >= 0:
            of[0] += usd
            of[1] += calls
    return {name: usd / calls if calls else None for name, (usd, calls) in sorted(sums.items())}


def share_out(usd: float, weights: Mapping[str, float]) -> dict[str, float]:
    """Shares of a common cost in proportion to the weights (entries, say); equal shares if all weights are 0."""
    whole = sum(weights.values())
    return {name: usd * (weight / whole if whole else 1 / len(weights)) for name, weight in weights.items()}
