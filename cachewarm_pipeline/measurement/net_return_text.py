"""The net return in words: one sentence, and figures as a person reads them. Rows are those of NET_RETURN."""

from collections.abc import Mapping, Sequence
from typing import Any

from cachewarm_pipeline.number_format import duration, span, usd

_HINTS = {
    "no call with a known cost": "the log needs cost_usd of calls",
    "nothing was held out": "it takes 4 days of log",
    "no hit was judged": "no held-out answer could be compared",
}


def verdict(row: Mapping[str, Any]) -> str:
    """What warming saves a day, when that is paid back, and how bad a wrong hit may be. ``row``: of all together.

    Where it is not set what a wrong hit costs, no guess decides: savings are before its harm, and said to be.
    """
    savings = row["savings_usd"]
    if savings is None:
        hints = [hint for reason, hint in _HINTS.items() if reason in row["why"]]
        return f"savings are not known: {row['why']}" + (f" ({'; '.join(hints)})" if hints else "")
    ends = span(row["savings_usd_low"], row["savings_usd_high"])
    told = [f"{'saves' if savings >= 0 else 'loses'} {usd(abs(savings))} a day"]
    if row["wrong_hit_usd"] is None:
        told[0] += " before the harm of wrong hits"
    if ends:
        low, high = row["savings_usd_low"], row["savings_usd_high"]
        other = ": it may lose" if low < 0 <= savings else ": it may save" if savings < 0 < high else ""
        told[0] += f" ({ends}{other})"
    if not row["warming_usd"]:
        told[0] += ", nothing was paid to warm"
    elif savings > 0:
        told[0] += f", paid back in {duration(row['payback_days'])}"
        if ends and row["savings_usd_low"] <= 0:
            told[0] += " or never"
    else:
        told[0] += f"; the {usd(row['warming_usd'])} of warming is never paid back"
    told += _break_even(row)
    if row["why"]:
        told.append(row["why"])
    return "; ".join(told)


SET_IT = "set CACHEWARM_WRONG_HIT_USD to what one costs you"


def _break_even(row: Mapping[str, Any]) -> list[str]:
    """Up to which harm of a wrong hit warming pays, by the estimate and by the cautious ends."""
    harm, even, low = row["wrong_hit_usd"], row["break_even_harm_usd"], row["break_even_harm_low_usd"]
    nothing = "; cautiously it does not pay at all" if low == 0 else ""
    if even is None:
        if row["saved_usd"] <= row["running_usd"]:
            return ["pays at no harm of a wrong hit, however small"]
        told = "no judged hit was wrong" if row["wrong_hits"] == 0 else "pays at any harm of a wrong hit"
        told += f" (cautiously it pays while one costs less than {usd(low)})" if low else ""
        return [told + nothing] if harm is not None else [told + nothing, SET_IT]
    if harm is None:
        sure = f" (cautiously {usd(low)})" if low else nothing
        return [f"pays as long as a wrong hit costs less than {usd(even)}{sure}", SET_IT]
    sure = f", cautiously {usd(low)}" if low else ""
    set_to = f"(CACHEWARM_WRONG_HIT_USD is {usd(harm)})"
    return [f"stops paying when a wrong hit costs more than {usd(even)}{sure} {set_to}{nothing}"]


def side_by_side(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of all together first, then by agent_type; what was expected stands next to what was measured."""
    return sorted(rows, key=lambda row: (row["agent_type"], row["basis"]))


def figures(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row of a table for a page, dollars with cents."""
    unpriced = " before harm" if row["wrong_hit_usd"] is None else ""
    return {
        "basis": row["basis"],
        "agent_type": row["agent_type"] or "all",
        "savings a day": usd(row["savings_usd"]) + (unpriced if row["savings_usd"] is not None else ""),
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
