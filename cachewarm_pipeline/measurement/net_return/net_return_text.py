"""The net return of a day in words: one sentence, and the figures of a table row. Rows are those of NET_RETURN."""

from collections.abc import Mapping, Sequence
from typing import Any

from cachewarm_pipeline.measurement.net_return.return_parts import NOTHING_HELD_OUT
from cachewarm_pipeline.measurement.net_return.returns import NO_CALL_COST, NO_JUDGED_HIT
from cachewarm_pipeline.number_format import duration, span, usd

_HINTS = {
    NO_CALL_COST: "the log needs cost_usd of calls",
    NOTHING_HELD_OUT: "the log needs at least 4 days",
    NO_JUDGED_HIT: "no held-out answer could be compared",
}

SET_IT = "set CACHEWARM_WRONG_HIT_USD to what a wrong hit costs you"


def net_return_sentence(row: Mapping[str, Any]) -> str:
    """What warming saves a day, when it is paid back, and what a wrong hit may cost before it stops paying.

    ``row``: the total of a basis. If the harm of a wrong hit is not set, it is not guessed: the sentence then gives
    savings before harm, and says so.
    """
    savings, low, high = row["savings_usd"], row["savings_usd_low"], row["savings_usd_high"]
    if savings is None:
        hints = [hint for reason, hint in _HINTS.items() if reason in row["why"]]
        return f"savings are not known: {row['why']}" + (f" ({'; '.join(hints)})" if hints else "")
    sentence = f"{'saves' if savings >= 0 else 'loses'} {usd(abs(savings))} a day"
    if row["wrong_hit_usd"] is None:
        sentence += " before the harm of wrong hits"
    if ends := span(low, high):
        other_sign = ", may lose" if low < 0 <= savings else ", may save" if savings < 0 < high else ""
        sentence += f" ({ends}{other_sign})"
    if not row["warming_usd"]:
        sentence += "; warming cost nothing"
    elif savings > 0:
        sentence += f", paid back in {duration(row['payback_days'])}" + (" or never" if ends and low <= 0 else "")
    else:
        sentence += f"; the {usd(row['warming_usd'])} paid for warming is never earned back"
    return "; ".join([sentence, *_break_even(row), *([row["why"]] if row["why"] else [])])


def _break_even(row: Mapping[str, Any]) -> list[str]:
    """Up to which cost of a wrong hit warming pays, by the estimate and by the cautious ends."""
    harm, even, low = row["wrong_hit_usd"], row["break_even_harm_usd"], row["break_even_harm_low_usd"]
    never = "; at the cautious end it does not pay at all" if low == 0 else ""
    remediation = [SET_IT] if harm is None else []
    if even is None:
        if row["saved_usd"] <= row["running_usd"]:
            return ["does not pay even if wrong hits did no harm"]
        reason = "no judged hit was wrong" if row["wrong_hits"] == 0 else "pays whatever a wrong hit costs"
        cautious = f" (cautiously: pays as long as a wrong hit costs less than {usd(low)})" if low else ""
        return [reason + cautious + never, *remediation]
    if harm is None:
        cautious = f" (cautiously: {usd(low)})" if low else never
        return [f"pays as long as a wrong hit costs less than {usd(even)}{cautious}", *remediation]
    cautious = f" (cautiously: {usd(low)})" if low else ""
    setting = f"CACHEWARM_WRONG_HIT_USD is {usd(harm)}"
    return [f"stops paying if a wrong hit costs more than {usd(even)}{cautious}; {setting}{never}"]


def side_by_side(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows in the order of the table: totals first, then agent types; of each, expected before measured."""
    return sorted(rows, key=lambda row: (row["agent_type"], row["basis"]))


def figures(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the page's table, with formatted dollars."""
    before_harm = " before harm" if row["wrong_hit_usd"] is None else ""
    return {
        "basis": row["basis"],
        "agent_type": row["agent_type"] or "all",
        "savings a day": usd(row["savings_usd"]) + (before_harm if row["savings_usd"] is not None else ""),
        "cautious range": span(row["savings_usd_low"], row["savings_usd_high"]) or "-",
        "extra hits a day": _number(row["extra_hits"]),
        "wrong hits a day": _number(row["wrong_hits"]),
        "a call": usd(row["call_usd"]),
        "saved": usd(row["saved_usd"]),
        "harm": usd(row["harm_usd"]),
        "running": usd(row["running_usd"]),
        "warming, once": usd(row["warming_usd"]),
        "paid back in": duration(row["payback_days"]) if row["savings_usd"] is not None else "-",
        "break-even harm": usd(row["break_even_harm_usd"]),
        "cautiously": usd(row["break_even_harm_low_usd"]),
        "what is missing": row["why"],
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
