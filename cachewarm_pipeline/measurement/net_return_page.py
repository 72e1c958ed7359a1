"""What the page of `net_return` shows: the expected and the measured return side by side."""

from datetime import date
from typing import Any

import pyarrow as pa

from cachewarm_pipeline.lineage.asset_page import records, table_metadata
from cachewarm_pipeline.measurement.net_return.net_return import EXPECTED, MEASURED
from cachewarm_pipeline.measurement.net_return.net_return_text import figures, net_return_sentence, side_by_side
from cachewarm_pipeline.measurement.net_return.return_inputs import ReturnInputs

HOW_TO_READ = (
    "Expected: by the replay on held-out days. Measured: lift over the holdout x lookups. "
    "Wrong hits: extra hits x the share that was wrong in the replay. Reports of users are not used for it, because "
    "users report only the wrong hits that they notice. The estimate assumes that hits which a cold cache would also "
    "have served are wrong at the same share. The cautious end does not rely on that: it applies the upper bound of "
    "the share to all hits by warmed entries. "
    "Cautious range: not a 95% interval. Its low end holds unless the lift is below its 95% interval (probability "
    "2.5%) or the wrong hits are above their bound (1 - CACHEWARM_CONFIDENCE); the price of a call is taken as known. "
    "Break-even harm: what a wrong hit may cost before a day saves nothing. "
    "Warming: everything paid for the days up to the first plan that was live, including failed runs. "
    "Running: the mean cost of a day since then, and memory, estimated from the plan's texts and vectors. Shared costs "
    "are divided among agent types in proportion to their entries."
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
"""Name on the page to column of NET_RETURN."""


def _numbers(prefix: str, row: dict[str, Any]) -> dict[str, Any]:
    """The numbers that are known, which Dagster plots as a history over days."""
    return {prefix + name: row[column] for name, column in _NUMBERS.items() if row[column] is not None}


def net_return_metadata(table: pa.Table, inputs: ReturnInputs, prices_as_of: date) -> dict[str, Any]:
    """Metadata of the asset; ``table``: NET_RETURN of the day."""
    rows = table.to_pylist()
    totals = {row["basis"]: row for row in rows if not row["agent_type"]}
    shown = MEASURED if totals[MEASURED]["savings_usd"] is not None else EXPECTED
    return {
        "verdict": f"{shown}: {net_return_sentence(totals[shown])}",
        f"{EXPECTED}_told": net_return_sentence(totals[EXPECTED]),
        f"{MEASURED}_told": net_return_sentence(totals[MEASURED]),
        "days_measured": totals[MEASURED]["days"],
        **_numbers("", totals[shown]),
        **_numbers(f"{EXPECTED}_", totals[EXPECTED]),
        **_numbers(f"{MEASURED}_", totals[MEASURED]),
        "warming_usd": inputs.paid.warming_usd,
        "running_usd_a_day": totals[EXPECTED]["running_usd"],
        **({} if inputs.wrong_hit_usd is None else {"wrong_hit_usd": inputs.wrong_hit_usd}),
        "returns": records([figures(row) for row in side_by_side(rows)]),
        "how_to_read": HOW_TO_READ,
        "prices_as_of": str(prices_as_of),
        **table_metadata(table, examples=("basis", "agent_type", "savings_usd", "payback_days", "why")),
    }
