"""Builds the report of a day (`cachewarm report`): what was warmed and why, proof of safety, forecast, measurement,
money, entries, and what more entries would add.

It is made from stored tables only, so that every figure can be traced.
"""

import pyarrow as pa
from cachewarm_client.personal_data import mask

from cachewarm_pipeline.planning.entry_selection import SOURCES
from cachewarm_pipeline.reporting.run_report_inputs import Stored, Terms
from cachewarm_pipeline.reporting.run_report_sections import (
    AgentTypeEntries,
    BestEntry,
    CurvePoint,
    DayRates,
    EntriesSection,
    ForecastSection,
    GateResult,
    MeasuredRates,
    MeasuredSection,
    MoneySection,
    NamedRates,
    NextEntriesSection,
    PaidRow,
    PlannedPrompt,
    ReportedRule,
    ReturnSection,
    RunReport,
    SafetySection,
    SourceHits,
    WarmedSection,
)
from cachewarm_pipeline.reporting.run_report_text import next_steps, sentences
from cachewarm_pipeline.reporting.stored_rows import ImpactRow, MatchRuleRow, PaybackRow
from cachewarm_pipeline.storage.schemas import GATES

SHOWN = 10
"""Rows of a table on the page."""


def run_report(
    stored: Stored, terms: Terms, generation: str | None, live: bool, counted_today: int | None = None
) -> RunReport:
    """The report. ``generation``: id of the live one. ``live``: whether it is this day's plan. ``counted_today``:
    lookups counted on the current day, None if Redis did not answer."""
    report = RunReport(
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
        next_100=_next_entries(stored.curve, stored.plan.num_rows),
    )
    report["sentences"] = sentences(report)
    report["next_steps"] = next_steps(report)
    return report


def _warmed(plan: pa.Table, curve: pa.Table | None) -> WarmedSection:
    """Entries by source and by agent_type, what they are expected to answer, and the first prompts of the plan."""
    agent_types: dict[str, AgentTypeEntries] = {}
    for name, source, gain in zip(*(plan[c].to_pylist() for c in ("agent_type", "source", "gain")), strict=True):
        row = agent_types.setdefault(
            name, {"agent_type": name, "entries": 0, "golden": 0, "query_log": 0, "synthetic": 0, "gain": 0.0}
        )
        row["entries"] += 1
        row[source] += 1  # type: ignore[literal-required]
        row["gain"] += gain or 0.0
    points: list[CurvePoint] = curve.to_pylist() if curve is not None else []
    planned = next((point for point in points if point["entries"] == plan.num_rows), None)
    sources = plan["source"].to_pylist()
    golden, query_log, synthetic = (sources.count(source) for source in SOURCES)
    first: list[PlannedPrompt] = (
        plan.slice(0, SHOWN).select(["prompt", "agent_type", "source", "demand", "gain"]).to_pylist()
    )
    return {
        "entries": plan.num_rows,
        "golden": golden,
        "query_log": query_log,
        "synthetic": synthetic,
        "expected_hits_a_day": planned and planned["plan"],
        "expected_lookups_a_day": planned and planned["lookups"],
        "agent_types": sorted(agent_types.values(), key=lambda row: (-row["gain"], row["agent_type"])),
        "first": [{**row, "prompt": mask(row["prompt"])} for row in first],
        "curve": points,
    }


def _next_entries(curve: pa.Table | None, entries: int) -> NextEntriesSection | None:
    points = [point for point in (curve.to_pylist() if curve is not None else []) if point["plan"] is not None]
    planned = next((point for point in points if point["entries"] == entries), None)
    if planned is None:
        return None
    more = points[-1]["plan"] - planned["plan"]
    return {
        "entries": points[-1]["entries"] - entries,
        "hits_a_day": more,
        "share": more / planned["lookups"] if planned["lookups"] else None,
    }


def _safety(stored: Stored, terms: Terms) -> SafetySection:
    """An agent_type that a gate withholds is reported as exact_only, whatever its rule is."""
    withheld = {name: one["gate"] for one in stored.verdicts for name in one["withheld"]}
    named = [(row, row["agent_type"]) for row in stored.match_rules if row["agent_type"]]
    rules = [_match_rule(row, withheld.get(name), stored.noise.by_agent_type.get(name)) for row, name in named]
    certified = sum(rule["certified"] for rule in rules)
    gates: list[GateResult] = [
        {
            "gate": one["gate"],
            "passed": one["passed"],
            "sentence": one["sentence"],
            "withheld": one["withheld"],
            "limited": bool(one["withheld"]) or (one["gate"] == "false_positive_rate" and certified < len(rules)),
        }
        for one in stored.verdicts
    ]
    replay = stored.replay or {}
    return {
        "target": terms.target,
        "confidence": terms.confidence,
        "gates_in_all": len(GATES),
        "gates": gates,
        "agent_types": len(rules),
        "certified": certified,
        "match_rules": sorted(rules, key=lambda rule: (not rule["certified"], rule["agent_type"])),
        "hits": replay.get("hits"),
        "judged_hits": replay.get("judged_hits"),
        "wrong_hits": replay.get("wrong_hits"),
        "wrong_hit_rate": replay.get("wrong_hit_rate"),
        "wrong_hit_rate_upper": replay.get("wrong_hit_rate_upper"),
        "semantic_wrong_hit_rate": replay.get("semantic_wrong_hit_rate"),
        "judge_noise": stored.noise.pooled,
        "judge_noise_sentence": stored.noise.sentence(replay.get("semantic_wrong_hit_rate")),
    }


def _match_rule(row: MatchRuleRow, withheld_by: str | None, noise: float | None) -> ReportedRule:
    is_withheld = row["certified"] and withheld_by is not None
    return {
        "agent_type": row["agent_type"],
        "rule": "exact_only" if is_withheld else row["rule"],
        "certified": row["certified"] and not is_withheld,
        "queries": row["queries"],
        "hits": row["hits"],
        "wrong_hits": row["wrong_hits"],
        "upper": row["upper"],
        "why": f"withheld by {withheld_by}" if is_withheld else row["why"],
        "judge_noise": noise,
    }


def _forecast(stored: Stored) -> ForecastSection | None:
    replay = stored.replay
    if not replay or not replay.get("lookups"):
        return None
    return {
        "days": stored.replay_days,
        "lookups": replay["lookups"],
        "hit_rate": replay["hit_rate"],
        "cold_hit_rate": replay["cold_hit_rate"],
        "lift": replay["lift"],
        "lift_interval": replay["lift_interval"],
        "exact_hit_rate": replay["exact_hit_rate"],
        "semantic_hit_rate": replay["semantic_hit_rate"],
    }


def _measured(stored: Stored) -> MeasuredSection | None:
    by_scope: dict[str, list[ImpactRow]] = {}
    for row in stored.impact:
        by_scope.setdefault(row["scope"], []).append(row)
    total, before, after = (next(iter(by_scope.get(scope, [])), None) for scope in ("total", "before", "after"))
    if total is None or not total["lookups"] + total["holdout_lookups"]:
        return None
    days = by_scope.get("day", [])
    off = [
        row["hit_rate"] - row["forecast_hit_rate"]
        for row in days
        if row["hit_rate"] is not None and row["forecast_hit_rate"] is not None
    ]
    by_day: list[DayRates] = [
        {
            **_named_rates(row),
            "generation": row["generation"],
            "forecast_hit_rate": row["forecast_hit_rate"],
            "forecast_lift": row["forecast_lift"],
            "inside": row["inside"],
        }
        for row in days
    ]
    sources: list[SourceHits] = [
        {"source": row["name"], "hits": row["hits"], "share": row["share"]} for row in by_scope.get("source", [])
    ]
    return {
        "as_of": stored.of["warming_impact"].isoformat(),
        "days": total["days"],
        **_rates(total),
        "before": before and before["hit_rate"],
        "after": after and after["hit_rate"],
        "off_forecast": sum(off) / len(off) if off else None,
        "before_why": before["why"] if before else "",
        "agent_types": [_named_rates(row) for row in by_scope.get("agent_type", [])],
        "rest": next((_named_rates(row) for row in by_scope.get("rest", [])), None),
        "by_day": by_day,
        "sources": sources,
    }


def _rates(row: ImpactRow) -> MeasuredRates:
    return {
        "lookups": row["lookups"],
        "hits": row["hits"],
        "hit_rate": row["hit_rate"],
        "holdout_lookups": row["holdout_lookups"],
        "holdout_hit_rate": row["holdout_hit_rate"],
        "lift": row["lift"],
        "lift_low": row["lift_low"],
        "lift_high": row["lift_high"],
        "why": row["why"],
    }


def _named_rates(row: ImpactRow) -> NamedRates:
    return {"name": row["name"], **_rates(row)}


def _money(stored: Stored, terms: Terms) -> MoneySection:
    """What was paid for the days up to this one, and the expected and measured return."""
    paid: dict[tuple[str, str], PaidRow] = {}
    rows = [row for row in stored.usage.to_pylist() if row["day"] <= stored.day]
    for row in rows:
        one = paid.setdefault(
            (row["purpose"], row["model"]), {"purpose": row["purpose"], "model": row["model"], "tokens": 0, "usd": 0.0}
        )
        one["tokens"] += row["prompt_tokens"] + row["completion_tokens"]
        one["usd"] += row["usd"]
    return {
        "as_of": stored.of["net_return"].isoformat() if stored.returns else None,
        "prices_as_of": sorted({row["prices_as_of"].isoformat() for row in rows}),
        "wrong_hit_usd": terms.wrong_hit_usd,
        "paid": [paid[key] for key in sorted(paid)],
        "paid_usd": sum(one["usd"] for one in paid.values()),
        "expected": _return(stored, "expected"),
        "measured": _return(stored, "measured"),
    }


def _return(stored: Stored, basis: str) -> ReturnSection:
    rows = [dict(row) for row in stored.returns if row["basis"] == basis]
    return {
        "total": next((row for row in rows if not row["agent_type"]), None),
        "agent_types": [row for row in rows if row["agent_type"]],
    }


def _entries(stored: Stored, terms: Terms) -> EntriesSection | None:
    live = [row for row in stored.payback if row["live"]]
    if not any(row["days_looked_up"] or row["hits"] for row in stored.payback):
        return None
    best = sorted(live, key=lambda row: (-(row["recovered_usd"] or 0.0), -row["hits"], row["entry_id"]))
    hits = sorted((row["hits"] for row in live), reverse=True)
    hits_of_best = {share: sum(hits[: max(1, len(hits) * share // 100)]) for share in (10, 25, 50)}
    return {
        "as_of": stored.of["entry_payback"].isoformat(),
        "live": len(live),
        "earned": sum(row["hits"] > 0 for row in live),
        "nothing": sum(row["hits"] == 0 for row in live),
        "left": sum(row["left_on"] is not None for row in stored.payback),
        "idle_days": terms.idle_days,
        "hits": sum(hits),
        "recovered_usd": sum(row["recovered_usd"] or 0.0 for row in live),
        "hits_of_best": {f"{share}%": part / sum(hits) if sum(hits) else None for share, part in hits_of_best.items()},
        "best": [_best_entry(row) for row in best[:SHOWN] if row["hits"]],
    }


def _best_entry(row: PaybackRow) -> BestEntry:
    return {
        "entry_id": row["entry_id"],
        "agent_type": row["agent_type"],
        "source": row["source"],
        "hits": row["hits"],
        "hits_7": row["hits_7"],
        "recovered_usd": row["recovered_usd"],
        "payback": row["payback"],
        "last_hit": row["last_hit"],
        "verdicts": row["verdicts"],
        "prompt": mask(row["prompt"]),
    }
