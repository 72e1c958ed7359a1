"""The report of `cachewarm report` in words: figures as a person reads them, the few sentences that say all, and the
figures that come first. Each takes the JSON object (reporting.run_report.Brief)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cachewarm_pipeline.measurement.net_return_text import verdict
from cachewarm_pipeline.number_format import span as money_span
from cachewarm_pipeline.number_format import usd

UNKNOWN = "-"

NO_COUNTS = (
    "Nothing is counted yet: applications that open the cache with WarmedSemanticCache(holdout=0.05) count hits, and "
    "the daily run reads the counts after each day's end."
)


def no_counts(brief: Mapping[str, Any]) -> str:
    """Why nothing is measured yet."""
    today = brief["counted_today"]
    if not today:
        return NO_COUNTS
    return (
        f"Not measured yet: {today:,} lookups are counted today. Whole days of a warmed cache are measured; the first "
        "one comes with the daily run after its end (UTC)."
    )


def number(value: float | None) -> str:
    """A count as it is; what was computed with a decimal where it is small."""
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"


def _days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"


def percent(share: float | None, digits: int = 1) -> str:
    """Trailing zeros are left away: 5%, and not 5.0%."""
    if share is None:
        return UNKNOWN
    return f"{100 * share:.{digits}f}".rstrip("0").rstrip(".") + "%" if digits else f"{100 * share:.0f}%"


def points(share: float | None) -> str:
    """A difference of two rates, with its sign."""
    return UNKNOWN if share is None else f"{100 * share:+.1f} points"


def interval(low: float | None, high: float | None) -> str:
    """Of a difference of rates, in brackets; empty where an end is not known."""
    return "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"


def sentences(brief: Mapping[str, Any]) -> list[str]:
    """What was warmed, how safe it is, what it should bring, what it brought, what it saves, what more would bring."""
    told = [_warmed(brief), _safety(brief["safety"]), _forecast(brief["forecast"]), _measured(brief)]
    told += [_money(brief["money"]), _entries(brief["entries"]), next_sentence(brief["next_100"])]
    return [one for one in told if one]


def _warmed(brief: Mapping[str, Any]) -> str:
    found = brief["warmed"]
    sources = [
        (found["golden"], "golden"),
        (found["query_log"], "from the query log"),
        (found["synthetic"], "synthetic"),
    ]
    parts = ", ".join(f"{count:,} {name}" for count, name in sources if count)
    agents = len(found["agent_types"])
    live = "" if brief["live"] else " (planned; it is not what is live)"
    if _live_unknown(brief):
        live = " (planned; whether it is live is not known)"
    return f"{found['entries']:,} answers of {agents} agent types{live}: {parts or 'none'}."


def _live_unknown(brief: Mapping[str, Any]) -> bool:
    """Redis did not answer."""
    return brief["generation"] is None and brief["counted_today"] is None


def _safety(found: Mapping[str, Any]) -> str:
    failed = [gate["gate"].replace("_", " ") for gate in found["gates"] if not gate["passed"]]
    judged, of = len(found["gates"]), found["gates_in_all"]
    if failed:
        gates = f"NOT proven: {', '.join(failed)} failed"
    elif judged < of:
        gates = f"NOT proven yet: {judged or 'none'} of {of} gates {'has' if judged < 2 else 'have'} judged it"
    else:
        gates = f"All {of} gates passed"
    if found["judged_hits"]:
        gates += (
            f"; {percent(found['wrong_hit_rate'], 2)} of {found['judged_hits']:,} judged hits on held-out traffic were "
            f"wrong (at most {percent(found['wrong_hit_rate_upper'], 2)})"
        )
    meaning = f"{found['certified']} of {found['agent_types']} agent types may answer by meaning"
    return f"{gates}; {meaning}{', the others to the letter' if found['certified'] < found['agent_types'] else ''}."


def _forecast(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "No forecast: the log has too few days to hold some out."
    span = interval(*found["lift_interval"]) if found["lift_interval"] else ""
    return (
        f"Forecast: {percent(found['hit_rate'])} of lookups answered, {percent(found['cold_hit_rate'])} by a cold "
        f"cache: {points(found['lift'])}{span}."
    )


def _measured(brief: Mapping[str, Any]) -> str:
    found = brief["measured"]
    if found is None:
        return no_counts(brief)
    came = (
        f"Measured over {_days(found['days'])}: {percent(found['hit_rate'])} of {found['lookups']:,} lookups answered"
    )
    if found["lift"] is None:
        return f"{came}. No lift: {found['why']}."
    return (
        f"{came}, {percent(found['holdout_hit_rate'])} by a cold cache that everybody fills: {points(found['lift'])}"
        f"{interval(found['lift_low'], found['lift_high'])}."
    )


def basis_of(money: Mapping[str, Any]) -> str:
    """Which return comes first: the measured one where there is one."""
    measured = money["measured"]["total"]
    return "measured" if measured and measured["savings_usd"] is not None else "expected"


def _money(money: Mapping[str, Any]) -> str:
    basis = basis_of(money)
    total = money[basis]["total"]
    if total is None:
        return ""
    told = verdict(total)
    return f"{basis.capitalize()}: {told}."


def _entries(found: Mapping[str, Any] | None) -> str:
    if found is None or not found["hits"]:
        return ""
    return (
        f"{found['earned']:,} of {found['live']:,} live entries have earned a hit; the best tenth brings "
        f"{percent(found['hits_of_best']['10%'], 0)} of the hits."
    )


def next_sentence(found: Mapping[str, Any] | None) -> str:
    """What the next entries would add."""
    if found is None:
        return ""
    if not found["entries"]:
        return "No further candidate would bring a hit."
    share = f" ({percent(found['share'])} of the lookups)" if found["share"] is not None else ""
    return f"The next {found['entries']} entries would bring {number(found['hits_a_day'])} hits a day more{share}."


def next_steps(brief: Mapping[str, Any]) -> list[str]:
    """What whoever runs this can do to know more or to earn more."""
    measured, safety, money = brief["measured"], brief["safety"], brief["money"]
    steps = []
    if not brief["live"] and not _live_unknown(brief):
        steps.append("Look why this plan is not what is live: `cachewarm generations`, and the gates above.")
    if measured is None or measured["lift"] is None:
        steps.append("Open the cache with WarmedSemanticCache(holdout=0.05, holdout_key=...) and let whole days pass.")
    elif measured["lift_low"] is not None and measured["lift_low"] <= 0 <= measured["lift_high"]:
        steps.append(
            "Wait before you conclude: the interval of the lift holds zero. Four times the users or days halve it, and "
            "a larger holdout narrows it too."
        )
    total = money[basis_of(money)]["total"]
    if total is not None and total["saved_usd"] is None and "cost" in total["why"]:
        steps.append("Log what calls cost (cost_usd): without it no dollar can be told.")
    if total is not None and total["wrong_hit_usd"] is None:
        steps.append(
            "Set CACHEWARM_WRONG_HIT_USD to what a wrong answer costs you: until then its harm is in no saving."
        )
    if safety["certified"] < safety["agent_types"]:
        steps.append(
            "Agent types without a certificate answer to the letter only. More days of log with answers, or a looser "
            "CACHEWARM_MAX_WRONG_HIT_RATE, may bring them one."
        )
    return steps


class Card(NamedTuple):
    """A figure that comes first on the page."""

    what: str
    figure: str
    note: str


def cards(brief: Mapping[str, Any]) -> list[Card]:
    """Hit rate, lift, wrong hits, savings: measured where it is, else as forecast."""
    safety, forecast, measured, money = (brief[name] for name in ("safety", "forecast", "measured", "money"))
    found = []
    if measured is not None:
        found.append(Card("hit rate, measured", percent(measured["hit_rate"]), f"of {measured['lookups']:,} lookups"))
    elif forecast is not None:
        found.append(
            Card(
                "hit rate, forecast", percent(forecast["hit_rate"]), f"cold cache: {percent(forecast['cold_hit_rate'])}"
            )
        )
    if measured is not None and measured["lift"] is not None:
        span = interval(measured["lift_low"], measured["lift_high"]).strip(" ()")
        found.append(Card("lift, measured", points(measured["lift"]), span and f"95%: {span}"))
    elif forecast is not None:
        span = interval(*(forecast["lift_interval"] or (None, None))).strip(" ()")
        found.append(Card("lift, forecast", points(forecast["lift"]), span and f"95%: {span}"))
    if safety["judged_hits"]:
        found.append(
            Card(
                "wrong hits, held out",
                percent(safety["wrong_hit_rate"], 2),
                f"at most {percent(safety['wrong_hit_rate_upper'], 2)}; target {percent(safety['target'])}",
            )
        )
    basis = basis_of(money)
    total = money[basis]["total"]
    if total is not None and total["savings_usd"] is not None:
        range_of = money_span(total["savings_usd_low"], total["savings_usd_high"])
        may_lose = ": it may lose" if (total["savings_usd_low"] or 0.0) < 0 < total["savings_usd"] else ""
        before = " before harm" if total["wrong_hit_usd"] is None else ""
        found.append(Card(f"saved a day{before}, {basis}", usd(total["savings_usd"]), range_of and range_of + may_lose))
    return found
