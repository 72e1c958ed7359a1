"""Reads what the net return of a day is computed from. It never writes."""

from collections import Counter
from collections.abc import Sequence
from datetime import date

import pyarrow as pa

from cachewarm_pipeline.days import window
from cachewarm_pipeline.measurement.net_return.return_inputs import ReturnInputs, call_costs, paid, plan_bytes
from cachewarm_pipeline.ports import Ports
from cachewarm_pipeline.proof.service import stored_replay
from cachewarm_pipeline.query_log.mined_days import DAILY, PARTIAL


def read_return_inputs(ports: Ports, day: date, usage: pa.Table, published: date | None) -> ReturnInputs:
    """The inputs of a day. ``usage``: all rows of USAGE. ``published``: the day of the first plan that was live."""
    datasets, settings = ports.datasets, ports.settings
    rows, replayed = stored_replay(ports, day)
    plan = datasets.read("warming_plan", day, ["agent_type", "prompt", "response"])
    return ReturnInputs(
        rows=rows,
        replay=replayed,
        replay_days=len(rows["date"].unique()),
        call_usd=call_costs(_costs(ports, day)),
        entries=Counter(plan["agent_type"].to_pylist()),
        paid=paid(usage, day, settings.impact_days, published),
        wrong_hit_usd=settings.wrong_hit_usd,
        bytes=plan_bytes(plan, _dimensions(ports, day)),
        usd_per_gib_month=settings.memory_usd_per_gib_month,
    )


def _costs(ports: Ports, day: date) -> pa.Table:
    """Costs of calls in the lookback window, without days whose log was read before the day was over; the day itself
    always counts."""
    datasets, columns = ports.datasets, ["agent_type", "cost_usd", "costed"]
    stored = set(datasets.days(DAILY)).intersection(window(day, ports.settings.lookback_days))
    days = [one for one in sorted(stored) if one == day or datasets.fingerprint(DAILY, one) != PARTIAL]
    tables: Sequence[pa.Table] = [datasets.read(DAILY, one, columns) for one in days]
    empty = pa.table({name: [] for name in columns})
    return pa.concat_tables(tables) if tables else empty


def _dimensions(ports: Ports, day: date) -> int:
    """Dimensions of the day's vectors; 0 if nothing was embedded."""
    if not ports.datasets.exists("embeddings", day):
        return 0
    column = ports.datasets.read("embeddings", day, ["dimensions"])["dimensions"]
    return int(column[0].as_py()) if len(column) else 0
