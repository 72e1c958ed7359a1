"""The report that `cachewarm warm` prints."""

from collections.abc import Mapping
from typing import Any

from cachewarm_pipeline.cli.console import out
from cachewarm_pipeline.cli.dry_run_text import dollars, planned_lines
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.reporting.warm_report import Report

_CURVE_ROWS = 6


def _describe(rule: Mapping[str, Any]) -> str:
    if not rule["certified"]:
        return f"exact hits only: {rule['why']}"
    learned = rule["rule"] == "learned"
    served = f"confidence {rule['threshold']:.1%}" if learned else f"distance {rule['distance_threshold']:.3f}"
    hits = f"{rule['wrong_hits']} of {plural(rule['hits'], 'held-out hit')}"
    return f"semantic hits on, at most {rule['upper']:.1%} wrong ({hits}; from {served})"


def _forecast(report: Report) -> list[str]:
    """The replay in two lines, and what limits it."""
    replay = report["replay"]
    if replay is None and "replay" not in report["timings"]:
        return ["  forecast   not reached"]
    if replay is None:
        return ["  forecast   none: the log has too few days to hold some out"]
    interval = replay["lift_interval"]
    span = f" ({interval[0]:+.1%} to {interval[1]:+.1%})" if interval else ""
    wrong = replay["wrong_hit_rate"]
    proof = (
        f"{wrong:.2%} of {replay['judged_hits']:,} judged hits wrong (at most {replay['wrong_hit_rate_upper']:.2%})"
        if wrong is not None
        else "no hit could be judged"
    )
    lines = [
        f"  forecast   {replay['hit_rate']:.1%} hits, {replay['cold_hit_rate']:.1%} without warming: "
        f"{replay['lift']:+.1%}{span}, on {replay['lookups']:,} held-out lookups",
        f"             by warmed entries: {replay['exact_hit_rate']:.1%} exact, {replay['semantic_hit_rate']:.1%} "
        f"semantic; {proof}",
    ]
    if replay["semantic_judged_hits"]:
        wrong, judged = replay["semantic_wrong_hits"], replay["semantic_judged_hits"]
        lines.append(
            f"             semantic hits: {wrong:,} of {judged:,} judged wrong (at most "
            f"{replay['semantic_wrong_hit_rate_upper']:.1%}), under the rules of the days before"
        )
    if replay["semantic_hit_rate"] and report["match_rules"] and not any(r["certified"] for r in report["match_rules"]):
        lines.append("             today's rules serve exact hits only: expect the forecast without its semantic hits")
    return lines


def _variants(report: Report) -> list[str]:
    """What wrote the variants, and the cost."""
    made, cost = report["synthetic"], report["cost"]
    if made["llm"] is None:
        return []
    if made["llm"] == "recorded":
        how = f"recorded completions of {made['model']}"
    else:
        how = f"by {made['model']}"
        if not report["dry_run"]:
            how += f": {_paid(cost['generation_tokens'] or 0, cost['generation_usd'] or 0.0)}"
    lines = [f"  variants   {made['variants']:,} candidates, {how}; {report['entries']['synthetic']:,} selected"]
    if made.get("fault"):
        lines.append(f"             {made['fault']}")
    return lines


def _plan(report: Report) -> list[str]:
    """What the entries, and more of them, are expected to bring: the curve in a few rows."""
    plan = report["plan"]
    if plan is None or not plan["curve"]:
        return []
    curve = plan["curve"]
    last = len(curve) - 1
    shown = [curve[round(row * last / (_CURVE_ROWS - 1))] for row in range(_CURVE_ROWS)] if last else curve
    shown += [row for row in curve if row["entries"] == report["entries"]["total"]]
    hits, lookups, total = plan["expected_hits_a_day"], plan["expected_lookups_a_day"], report["entries"]["total"]
    if not lookups:
        return ["  expected   unknown: there is no log yet"]
    digits = 0 if lookups >= 100 else 1
    lines = [
        f"  expected   {hits:,.{digits}f} of {lookups:,.{digits}f} lookups a day are answered by these entries "
        "(a cold cache learns some of them by itself)",
        f"             {plan['next_100']}",
        f"             {'entries':>8}{'plan':>9}{'frequency':>12}{'random':>9}   hits a day, with the rules predicted "
        f"for {total:,} entries",
    ]
    for row in sorted({row["entries"]: row for row in shown}.values(), key=lambda row: row["entries"]):
        cells = [
            f"{row[name]:,.{digits}f}" if row[name] is not None else "-" for name in ("plan", "frequency", "random")
        ]
        here = "   <- the plan" if row["entries"] == total else ""
        lines.append(f"             {row['entries']:>8,}{cells[0]:>9}{cells[1]:>12}{cells[2]:>9}{here}")
    return lines


def _places(report: Report) -> str:
    """The places of the budget, if large responses take more than one."""
    places = report["plan"] and report["plan"]["places"]
    return f", in {places:,} places" if places and places != report["entries"]["total"] else ""


def _paid(tokens: int, usd: float) -> str:
    """Tokens and dollars. Zero dollars for a server's tokens mean that no price is set."""
    return f"{tokens:,} tokens, {dollars(usd) if usd or not tokens else 'no price is set'}"


def _cost(report: Report) -> list[str]:
    """What the run paid; for a dry run, what a run would pay."""
    if report["planned_cost"] is not None:
        return planned_lines(report["planned_cost"])
    cost = report["cost"]
    parts = [
        f"{what} {_paid(cost[f'{name}_tokens'], cost[f'{name}_usd'])}"
        for what, name in (("embedding", "embedding"), ("writing", "generation"), ("judging", "judge"))
        if cost[f"{name}_tokens"]
    ]
    if not parts:
        return ["  cost       $0: no paid model was used"]
    return [f"  cost       {'; '.join(parts)}; prices of {cost['prices_as_of']}"]


def print_report(report: Report, unchanged: bool) -> None:
    """Print the report."""
    entries, cost = report["entries"], report["cost"]
    if report["dry_run"]:
        out.print(f"\nDry run for {report['as_of']}: nothing was published or paid")
    elif unchanged:
        out.print(f"\nUnchanged: generation {report['generation']} for {report['as_of']} is live already")
    elif report["published"]:
        out.print(f"\nPublished generation {report['generation']} for {report['as_of']}")
    elif report["loading"]:
        loading = report["loading"]
        out.print(
            f"\nLoading for {report['as_of']}: {loading['loaded']:,} of {loading['of']:,} entries; `cachewarm dev` "
            "continues in the off-peak window and publishes when all are loaded (`cachewarm warm --now`: at once)"
        )
    else:
        out.print(f"\nNot published for {report['as_of']}")
    out.print(
        f"  entries    {entries['total']:,} of a budget of {report['budget']:,}: {entries['golden']:,} golden, "
        f"{entries['query_log']:,} from the query log, {entries['synthetic']:,} synthetic{_places(report)}"
    )
    for line in (*_variants(report), *_plan(report), *_forecast(report)):
        out.print(line)
    for rule in report["match_rules"]:
        if rule["agent_type"] != "*":
            out.print(f"  match rule {rule['agent_type']}: {_describe(rule)}")
    for line in _cost(report):
        out.print(line)
    for sentence in report["savings_told"]:
        out.print(f"  savings    {sentence}")
    out.print(f"  time       {cost['seconds']:.1f} s")
    if report["counts"]:
        out.print("  excluded   " + ", ".join(f"{n:,} {reason}" for reason, n in report["counts"].items()))
    if report["published"]:
        out.print("  more       `cachewarm report --html FILE`: this and what warming brought, as one page")
