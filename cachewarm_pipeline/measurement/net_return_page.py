"""What the page of `net_return` shows: expected and measured returns, side by side."""

from datetime import date
from typing import Any

import pyarrow as pa

from cachewarm_pipeline.lineage.asset_page import records, table_metadata
from cachewarm_pipeline.measurement.net_return import EXPECTED, MEASURED
from cachewarm_pipeline.measurement.net_return_text import figures, side_by_side, verdict
from cachewarm_pipeline.measurement.return_inputs import ReturnInputs

HOW_TO_READ = (
    "Expected: by the replay on held-out days. Measured: the lift over the holdout x lookups. Wrong hits are the "
    "replay's judged share (reports of users are only those that they notice and tell) of the extra hits: it is taken "
    "that hits which a cold cache would have given as well are wrong at the same share there. The cautious end does "
    "not rest on that: it takes the most that the share may be, of all hits that warmed entries served. "
    "Cautious range: no 95% interval but a box. Its low end holds unless the lift is below its 95% interval (2.5%) "
    "or the wrong hits are above their bound (1 - CACHEWARM_CONFIDENCE); the price of a call is taken as known. "
    "Break-even harm: what a wrong hit may cost before a day saves nothing. "
    "Warming: all that was paid for the days up to the first one whose plan was live, failed runs too; running: the "
    "mean of a day since, and memory, estimated from the plan's texts and vectors. Shared costs go by entries."
)


_NUMBERS = {
    "savings_usd_a_day": "savings_usd",
    "savings_usd_a_day_low": "savings_usd_low",
    "savings_usd_a_day_high": "savings_usd_high",
    "payback_days": "payback_days",
    "payback_days_low": "payback_days_low",
    "payback_days_high": "payback_days_high",
    "break_even_harm_usd": "break_even_harm_usd",
    "break_even_harm_low_usd": "break_even_harm_low_usd",
}


def _numbers(prefix: str, row: dict[str, Any]) -> dict[str, Any]:
    """Those that are known: Dagster draws them as a history."""
    return {prefix + name: row[column] for name, column in _NUMBERS.items() if row[column] is not None}


def net_return_metadata(table: pa.Table, known: ReturnInputs, prices_as_of: date) -> dict[str, Any]:
    """``table``: NET_RETURN of the day."""
    rows = table.to_pylist()
    totals = {row["basis"]: row for row in rows if not row["agent_type"]}
    shown = MEASURED if totals[MEASURED]["savings_usd"] is not None else EXPECTED
    return {
        "verdict": f"{shown}: {verdict(totals[shown])}",
        f"{EXPECTED}_told": verdict(totals[EXPECTED]),
        f"{MEASURED}_told": verdict(totals[MEASURED]),
        "days_measured": totals[MEASURED]["days"],
        **_numbers("", totals[shown]),
        **_numbers(f"{EXPECTED}_", totals[EXPECTED]),
        **_numbers(f"{MEASURED}_", totals[MEASURED]),
        "warming_usd": known.paid.warming_usd,
        "running_usd_a_day": totals[EXPECTED]["running_usd"],
        **({} if known.wrong_hit_usd is None else {"wrong_hit_usd": known.wrong_hit_usd}),
        "returns": records([figures(row) for row in side_by_side(rows)]),
        "how_to_read": HOW_TO_READ,
        "prices_as_of": str(prices_as_of),
        **table_metadata(table, examples=("basis", "agent_type", "savings_usd", "payback_days", "why")),
    }
