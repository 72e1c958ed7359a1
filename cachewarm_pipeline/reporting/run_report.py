"""What `cachewarm report` tells, as one JSON object: what was warmed and why, proof of safety, forecast, what came,
money, entries, and what more would bring. Made from stored tables only, so that every figure can be looked up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypedDict

import pyarrow as pa
from cachewarm_client.personal_data import mask

from cachewarm_pipeline.planning.entry_selection import SOURCES
from cachewarm_pipeline.reporting.run_report_text import next_steps, sentences
from cachewarm_pipeline.storage.schemas import GATES

SHOWN = 10
"""Rows of a table on the page."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Stored:
    """What is stored of a day; None or empty where it is not there.

    ``plan``, ``curve``: WARMING_PLAN, PLAN_CURVE; ``verdicts``: rows of VERDICT; ``match_rules``: rows of MATCH_RULES;
    ``replay``: replay_summary.summary over ``replay_days`` days; ``impact``, ``returns``, ``payback``: rows of
    WARMING_IMPACT, NET_RETURN, ENTRY_PAYBACK of the days in ``of``, the newest up to this one; ``usage``: USAGE, all.
    """

    day: date
    plan: pa.Table
    curve: pa.Table | None
    match_rules: Sequence[Row]
    verdicts: Sequence[Row]
    replay: Row | None
    replay_days: int
    impact: Sequence[Row]
    returns: Sequence[Row]
    payback: Sequence[Row]
    of: Mapping[str, date]
    usage: pa.Table


@dataclass(frozen=True)
class Terms:
    """What figures are measured against, by the settings. ``sample``: whether the data are the synthetic sample."""

    name: str
    target: float
    confidence: float
    wrong_hit_usd: float | None
    idle_days: int
    sample: bool


class RunReport(TypedDict):
    """Keys never go away and never change their type; what is not known is null."""

    as_of: str
    name: str
    sample: bool  # whether the data are the synthetic sample
    generation: str | None  # what is live; null: nothing, or Redis did not answer
    live: bool  # whether the plan of this day is what is live
    sentences: list[str]  # all in a few sentences
    warmed: dict[str, Any]
    safety: dict[str, Any]
    forecast: dict[str, Any] | None  # null: nothing could be held out
    measured: dict[str, Any] | None  # null: no whole day with a warmed cache is counted yet
    counted_today: int | None  # lookups of the day that is not over; null: Redis did not answer
    next_steps: list[str]
    money: dict[str, Any]
    entries: dict[str, Any] | None  # null: nothing is counted yet
    next_100: dict[str, Any] | None  # null: without a curve


def run_report(
    stored: Stored, terms: Terms, generation: str | None, live: bool, counted_today: int | None = None
) -> RunReport:
    """The report. ``generation``: id of the one that is live; ``live``: whether that is this day's plan;
    ``counted_today``: lookups of the day that is not over."""
    found = RunReport(
        as_of=stored.day.isoformat(),
        name=terms.name,
        sample=terms.sample,
        generation=generation,
        live=live,
        sentences=[],
        warmed=_warmed(stored.plan, stored.curve),
        safety=_safety(stored, terms),
        forecast=_forecast(stored),
        measured=_measured(stored),
        counted_today=counted_today,
        next_steps=[],
        money=_money(stored, terms),
        entries=_entries(stored, terms),
        next_100=_next(stored.curve, stored.plan.num_rows),
    )
    found["sentences"] = sentences(found)
    found["next_steps"] = next_steps(found)
    return found


def _warmed(plan: pa.Table, curve: pa.Table | None) -> dict[str, Any]:
    """Which entries, by source and by agent_type, what they are expected to answer, and the first of the plan."""
    agents: dict[str, dict[str, Any]] = {}
    for name, source, gain in zip(*(plan[c].to_pylist() for c in ("agent_type", "source", "gain")), strict=True):
        row = agents.setdefault(name, {"agent_type": name, "entries": 0, **dict.fromkeys(SOURCES, 0), "gain": 0.0})
        row["entries"] += 1
        row[source] += 1
        row["gain"] += gain or 0.0
    points = curve.to_pylist() if curve is not None else []
    here = next((row for row in points if row["entries"] == plan.num_rows), None)
    sources = plan["source"].to_pylist()
    shown = plan.slice(0, SHOWN).select(["prompt", "agent_type", "source", "demand", "gain"]).to_pylist()
    return {
        "entries": plan.num_rows,
        **{source: sources.count(source) for source in SOURCES},
        "expected_hits_a_day": here and here["plan"],
        "expected_lookups_a_day": here and here["lookups"],
        "agent_types": sorted(agents.values(), key=lambda row: (-row["gain"], row["agent_type"])),
        "first": [{**row, "prompt": mask(row["prompt"])} for row in shown],
        "curve": points,
    }


def _next(curve: pa.Table | None, entries: int) -> dict[str, Any] | None:
    """What the entries after the plan's last one would add."""
    rows = [row for row in (curve.to_pylist() if curve is not None else []) if row["plan"] is not None]
    here = next((row for row in rows if row["entries"] == entries), None)
    if here is None:
        return None
    more = rows[-1]["plan"] - here["plan"]
    return {
        "entries": rows[-1]["entries"] - entries,
        "hits_a_day": more,
        "share": more / here["lookups"] if here["lookups"] else None,
    }


def _safety(stored: Stored, terms: Terms) -> dict[str, Any]:
    """What the gates found, and what each agent_type's rule rests on; withheld ones answer to the letter."""
    named = ("agent_type", "rule", "certified", "queries", "hits", "wrong_hits", "upper", "why")
    withheld = {name: one["gate"] for one in stored.verdicts for name in one["withheld"]}
    rules = [{name: rule[name] for name in named} for rule in stored.match_rules if rule["agent_type"]]
    for rule in rules:
        if rule["certified"] and (gate := withheld.get(rule["agent_type"])):
            rule.update(rule="exact_only", certified=False, why=f"withheld by {gate}")
    certified = sum(rule["certified"] for rule in rules)
    told = ("hits", "judged_hits", "wrong_hits", "wrong_hit_rate", "wrong_hit_rate_upper")
    return {
        "target": terms.target,
        "confidence": terms.confidence,
        "gates_in_all": len(GATES),
        "gates": [
            {
                **{name: one[name] for name in ("gate", "passed", "sentence", "withheld")},
                "limited": bool(one["withheld"]) or (one["gate"] == "false_positive_rate" and certified < len(rules)),
            }
            for one in stored.verdicts
        ],
        "agent_types": len(rules),
        "certified": certified,
        "match_rules": sorted(rules, key=lambda rule: (not rule["certified"], rule["agent_type"])),
        **{name: (stored.replay or {}).get(name) for name in told},
    }


def _forecast(stored: Stored) -> dict[str, Any] | None:
    """The replay: what a warmed and a cold cache would have answered on days that the plan had not seen."""
    if not stored.replay or not stored.replay.get("lookups"):
        return None
    told = ("lookups", "hit_rate", "cold_hit_rate", "lift", "lift_interval", "exact_hit_rate", "semantic_hit_rate")
    return {"days": stored.replay_days, **{name: stored.replay[name] for name in told}}


_RATES = ("lookups", "hits", "hit_rate", "holdout_lookups", "holdout_hit_rate", "lift", "lift_low", "lift_high", "why")


def _measured(stored: Stored) -> dict[str, Any] | None:
    """What came: the lift over the holdout, and the plain rates before and after."""
    impact = stored.impact
    total = next((row for row in impact if row["scope"] == "total"), None)
    if total is None or not total["lookups"] + total["holdout_lookups"]:
        return None

    def of(scope: str, *more: str) -> list[dict[str, Any]]:
        return [
            {"name": row["name"], **{name: row[name] for name in (*_RATES, *more)}}
            for row in impact
            if row["scope"] == scope
        ]

    days = [row for row in impact if row["scope"] == "day" and None not in (row["hit_rate"], row["forecast_hit_rate"])]
    off = [row["hit_rate"] - row["forecast_hit_rate"] for row in days]
    plain = {row["scope"]: row for row in impact if row["scope"] in ("before", "after")}
    return {
        "as_of": stored.of["warming_impact"].isoformat(),
        "days": total["days"],
        **{name: total[name] for name in _RATES},
        **{scope: plain[scope]["hit_rate"] if scope in plain else None for scope in ("before", "after")},
        "off_forecast": sum(off) / len(off) if off else None,
        "before_why": plain["before"]["why"] if "before" in plain else "",
        "agent_types": of("agent_type"),
        "rest": next(iter(of("rest")), None),
        "by_day": of("day", "generation", "forecast_hit_rate", "forecast_lift", "inside"),
        "sources": [
            {"source": row["name"], "hits": row["hits"], "share": row["share"]}
            for row in impact
            if row["scope"] == "source"
        ],
    }


def _money(stored: Stored, terms: Terms) -> dict[str, Any]:
    """What was paid for the days up to this one, by what for and to which model; and what comes of it: expected and
    measured."""
    paid: dict[tuple[str, str], dict[str, Any]] = {}
    rows = [row for row in stored.usage.to_pylist() if row["day"] <= stored.day]
    for row in rows:
        one = paid.setdefault(
            (row["purpose"], row["model"]), {"purpose": row["purpose"], "model": row["model"], "tokens": 0, "usd": 0.0}
        )
        one["tokens"] += row["prompt_tokens"] + row["completion_tokens"]
        one["usd"] += row["usd"]
    bases = {
        basis: {
            "total": next(
                (dict(row) for row in stored.returns if (row["basis"], row["agent_type"]) == (basis, "")), None
            ),
            "agent_types": [dict(row) for row in stored.returns if row["basis"] == basis and row["agent_type"]],
        }
        for basis in ("expected", "measured")
    }
    return {
        "as_of": stored.of["net_return"].isoformat() if stored.returns else None,
        "prices_as_of": sorted({row["prices_as_of"].isoformat() for row in rows}),
        "wrong_hit_usd": terms.wrong_hit_usd,
        "paid": [paid[key] for key in sorted(paid)],
        "paid_usd": sum(one["usd"] for one in paid.values()),
        **bases,
    }


def _entries(stored: Stored, terms: Terms) -> dict[str, Any] | None:
    """What single entries earned: the best, and those that earned nothing."""
    live = [row for row in stored.payback if row["live"]]
    if not any(row["days_looked_up"] or row["hits"] for row in stored.payback):
        return None
    best = sorted(live, key=lambda row: (-(row["recovered_usd"] or 0.0), -row["hits"], row["entry_id"]))
    told = ("entry_id", "agent_type", "source", "hits", "hits_7", "recovered_usd", "payback", "last_hit", "verdicts")
    hits = sorted((row["hits"] for row in live), reverse=True)
    ranked = [sum(hits[: max(1, len(hits) * share // 100)]) for share in (10, 25, 50)]
    return {
        "as_of": stored.of["entry_payback"].isoformat(),
        "live": len(live),
        "earned": sum(row["hits"] > 0 for row in live),
        "nothing": sum(row["hits"] == 0 for row in live),
        "left": sum(row["left_on"] is not None for row in stored.payback),
        "idle_days": terms.idle_days,
        "hits": sum(hits),
        "recovered_usd": sum(row["recovered_usd"] or 0.0 for row in live),
        "hits_of_best": {
            f"{share}%": part / sum(hits) if sum(hits) else None
            for share, part in zip((10, 25, 50), ranked, strict=True)
        },
        "best": [
            {**{name: row[name] for name in told}, "prompt": mask(row["prompt"])} for row in best[:SHOWN] if row["hits"]
        ],
    }
