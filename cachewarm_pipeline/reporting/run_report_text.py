"""The report of `cachewarm report` in words: its sentences, the next steps, and the figures at the top of the page.

The texts are in `templates/`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cachewarm_pipeline.measurement.net_return.net_return_text import net_return_sentence
from cachewarm_pipeline.number_format import span, usd
from cachewarm_pipeline.reporting.report_templates import interval, percent, points, sentences_of
from cachewarm_pipeline.reporting.run_report_sections import MoneySection, RunReport
from cachewarm_pipeline.reporting.stored_rows import NetReturnRow


def sentences(report: RunReport) -> list[str]:
    """The report in a few sentences, one for each section that has something to say."""
    warmed, total = report["warmed"], _total(report["money"])
    sources = {"golden": warmed["golden"], "from the query log": warmed["query_log"], "synthetic": warmed["synthetic"]}
    return sentences_of(
        "sentences.txt",
        report=report,
        live_unknown=_live_unknown(report),
        sources=[f"{number:,} {source}" for source, number in sources.items() if number],
        failed_gates=[one["gate"].replace("_", " ") for one in report["safety"]["gates"] if not one["passed"]],
        basis=basis_of(report["money"]),
        net_return=net_return_sentence(total) if total is not None else "",
    )


def next_steps(report: RunReport) -> list[str]:
    """What the operator can do to learn more or to earn more."""
    total = _total(report["money"])
    return sentences_of(
        "next_steps.txt",
        report=report,
        live_unknown=_live_unknown(report),
        total=total,
        cost_missing=total is not None and total["saved_usd"] is None and "cost" in total["why"],
    )


def basis_of(money: MoneySection) -> str:
    """The return that comes first: the measured one if it is known, otherwise the expected one."""
    measured = money["measured"]["total"]
    return "measured" if measured and measured["savings_usd"] is not None else "expected"


def _total(money: MoneySection) -> NetReturnRow | None:
    return money[basis_of(money)]["total"]  # type: ignore[literal-required, no-any-return]


def _live_unknown(report: RunReport) -> bool:
    """Redis did not answer."""
    return report["generation"] is None and report["counted_today"] is None


class Card(NamedTuple):
    """A figure at the top of the page."""

    what: str
    figure: str
    note: str


def cards(report: RunReport) -> list[Card]:
    """Hit rate, lift, wrong hits and savings: measured ones if they are known, otherwise the forecast."""
    safety, forecast, measured = report["safety"], report["forecast"], report["measured"]
    found = []
    if measured is not None:
        found.append(Card("hit rate, measured", percent(measured["hit_rate"]), f"of {measured['lookups']:,} lookups"))
    elif forecast is not None:
        cold = percent(forecast["cold_hit_rate"])
        found.append(Card("hit rate, forecast", percent(forecast["hit_rate"]), f"cold cache: {cold}"))
    if measured is not None and measured["lift"] is not None:
        found.append(_lift_card("lift, measured", measured["lift"], measured["lift_low"], measured["lift_high"]))
    elif forecast is not None:
        found.append(_lift_card("lift, forecast", forecast["lift"], *(forecast["lift_interval"] or (None, None))))
    if safety["judged_hits"]:
        bound, target = percent(safety["wrong_hit_rate_upper"], 2), percent(safety["target"])
        rate = percent(safety["wrong_hit_rate"], 2)
        found.append(Card("wrong hits, held out", rate, f"at most {bound}; target {target}"))
    total = _total(report["money"])
    if total is not None and total["savings_usd"] is not None:
        found.append(_savings_card(total, basis_of(report["money"])))
    return found


def _lift_card(what: str, lift: float, low: float | None, high: float | None) -> Card:
    ends = interval(low, high).strip(" ()")
    return Card(what, points(lift), ends and f"95%: {ends}")


def _savings_card(total: Mapping[str, Any], basis: str) -> Card:
    ends = span(total["savings_usd_low"], total["savings_usd_high"])
    may_lose = ", may lose" if (total["savings_usd_low"] or 0.0) < 0 < total["savings_usd"] else ""
    before_harm = " before harm" if total["wrong_hit_usd"] is None else ""
    return Card(f"saved a day{before_harm}, {basis}", usd(total["savings_usd"]), ends and ends + may_lose)
