"""The gates that look at answers and at evidence: conflicts, unfit queries, and the wrong-hit rate. Pure verdicts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.match_rules import MatchRule, MatchRules
from cachewarm_client.personal_data import find_personal_data, mask
from cachewarm_client.words import tokens

from cachewarm_pipeline.answers.contradictions import facts_differ
from cachewarm_pipeline.answers.facts import facts
from cachewarm_pipeline.numerics import binomial_bounds as binomial
from cachewarm_pipeline.planning.entry_conflicts import inseparable_pairs
from cachewarm_pipeline.proof.plan_gates import GateVerdict, shorten
from cachewarm_pipeline.query_log.response_text import canonical_response

_WORST = 10

BEYOND_CHANCE = 0.01
"""A replay blocks when so few caches that keep the target would look as bad."""

SUSPECT = 0.1
"""And reduces an agent_type to exact hits already here. A rule that sits just under its target has an upper bound above
it in about every second replay, so the bound itself would block good plans at random."""


def no_conflicting_entries(
    plan: pa.Table, vectors: np.ndarray, conflicts: pa.Table, judge_is_exact: bool
) -> GateVerdict:
    """No two entries of one canonical prompt; none that no feature tells apart with different answers; and no answer
    group whose members differ in a number, version, negation or name.

    ``vectors`` (n, d): the plan's. ``conflicts``: PLAN_CONFLICTS, what was left out for this; shown, not judged. With
    the exact judge the members of a group say the same to the letter.
    """
    rows = plan.select(["entry_id", "agent_type", "prompt", "response", "answer_group"]).to_pylist()
    found: list[dict[str, Any]] = []
    places: dict[str, list[int]] = {}
    seen: dict[str, int] = {}
    heads: dict[tuple[str, str], int] = {}
    for i, row in enumerate(rows):
        places.setdefault(row["agent_type"], []).append(i)
        if row["entry_id"] in seen:
            found.append(_pair("one prompt, two entries", rows[seen[row["entry_id"]]], row))
        seen.setdefault(row["entry_id"], i)
        head = rows[heads.setdefault((row["agent_type"], row["answer_group"]), i)]
        if not judge_is_exact and _differ(head["response"], row["response"]):
            found.append(_pair("one answer group, but the answers differ", head, row))
    for agent_type in places.values():
        words = [tokens(rows[i]["prompt"]) for i in agent_type]
        for pair in inseparable_pairs(vectors[agent_type], words):
            first, second = rows[agent_type[pair.first]], rows[agent_type[pair.second]]
            if first["answer_group"] != second["answer_group"]:
                found.append(_pair("no feature tells them apart", first, second))
    numbers = {"entries": len(rows), "conflicts": len(found), "left_out_before": conflicts.num_rows}
    before = f"{conflicts.num_rows} candidates were left out for a conflict"
    if found:
        return GateVerdict(False, f"{len(found)} pairs among {len(rows)} entries conflict.", numbers, found[:_WORST])
    shown = [
        {name: shorten(str(value)) for name, value in row.items() if name not in ("kept_id", "dropped_id")}
        for row in conflicts.slice(0, _WORST).to_pylist()
    ]
    return GateVerdict(True, f"No two of {len(rows)} entries conflict; {before}.", numbers, shown)


def _differ(one: str, other: str) -> bool:
    return canonical_response(one) != canonical_response(other) and facts_differ(facts(one), facts(other))


def _pair(problem: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "problem": problem,
        "agent_type": first["agent_type"],
        "prompt": shorten(first["prompt"]),
        "other_prompt": shorten(second["prompt"]),
        "response": shorten(first["response"]),
        "other_response": shorten(second["response"]),
    }


def volatile_or_personal_share(plan: pa.Table, frequent: pa.Table, unfit: pa.Table, limit: float) -> GateVerdict:
    """No entry holds personal data or a secret, and not more than ``limit`` of the frequent demand is volatile or
    personal: more means that the log, or the judge, is not what it should be.

    ``frequent``: FREQUENT_QUERIES; ``unfit``: UNFIT_QUERIES, the frequent queries that were left out for this.
    """
    leaks = []
    for row in plan.select(["prompt", "response", "agent_type", "source"]).to_pylist():
        for where in ("prompt", "response"):
            if kinds := find_personal_data(row[where]):
                leaks.append(
                    {
                        "agent_type": row["agent_type"],
                        "source": row["source"],
                        "where": where,
                        "found": ", ".join(kinds),
                        "text": shorten(mask(row[where])),
                    }
                )
    demand = {
        reason: pc.sum(unfit.filter(pc.equal(unfit["reason"], reason))["demand"]).as_py() or 0.0
        for reason in ("volatile", "personal")
    }
    lost = sum(demand.values())
    every = lost + (pc.sum(frequent["demand"]).as_py() or 0.0)
    share = lost / every if every else 0.0
    numbers = {
        "entries_with_personal_data": len(leaks),
        "volatile_or_personal_share": share,
        "limit": limit,
        **{f"{reason}_lookups_a_day": value for reason, value in demand.items()},
    }
    told = (
        f"{share:.1%} of the frequent demand is volatile ({demand['volatile']:.0f} lookups a day) or personal "
        f"({demand['personal']:.0f}), limit {limit:.0%}"
    )
    if leaks:
        return GateVerdict(
            False, f"{len(leaks)} planned texts hold personal data or a secret; {told}.", numbers, leaks[:_WORST]
        )
    shown = unfit.select(["agent_type", "prompt", "reason", "detail", "frequency"]).slice(0, _WORST).to_pylist()
    shown = [{**row, "prompt": shorten(row["prompt"])} for row in shown]
    if share > limit:
        return GateVerdict(
            False, f"Too much cannot be cached: {told}. Look at the judge and at these queries.", numbers, shown
        )
    return GateVerdict(True, f"No entry holds personal data or a secret; {told}.", numbers, shown)


def false_positive_rate(
    rules: MatchRules,
    evidence: pa.Table,
    replayed: Mapping[str, Any],
    decisions: pa.Table,
    *,
    target: float,
    delta: float,
) -> GateVerdict:
    """Whether the wrong-hit rate is proven to be within ``target``.

    Fails when a rule's held-out queries (``evidence``: MATCH_EVIDENCE) do not bound it by the target with confidence
    1 - ``delta``, counted anew from the labels; or when the replay (``replayed``: proof.replay_summary.summary) shows
    more wrong hits than chance allows at the target. Passes with a warning where agent types have too little evidence
    (their rule is ``exact_only``), where the replay makes a certified one suspect (it is withheld: exact hits only),
    and where there is no replay. ``decisions``: REPLAY_DECISIONS, for the worst examples.
    """
    problems, withheld, bounds = [], {}, []
    for name, rule in sorted(rules.rules.items()):
        if rule.rule == "exact_only":
            continue
        hits, wrong, asked = _recount(rule, evidence.filter(pc.equal(evidence["agent_type"], name)))
        upper = binomial.upper_bound(wrong, hits, delta)
        bounds.append(upper)
        if asked < hits:
            problems.append(f"{name}: {hits - asked} of {hits} held-out hits were never judged")
        elif upper > target:
            problems.append(f"{name}: {wrong} of {hits} held-out hits are wrong, at most {upper:.2%}")
        own = decisions.filter(
            pc.and_(pc.equal(decisions["agent_type"], name), pc.equal(decisions["kind"], "semantic"))
        )
        if (chance := _chance(own, target)) < SUSPECT:
            wrong_rate = pc.sum(own["wrong"]).as_py() / pc.sum(own["judged"]).as_py()
            told = f"{wrong_rate:.1%} of its replayed semantic hits wrong (chance at {target:.0%}: {chance:.1%})"
            if chance < BEYOND_CHANCE:
                problems.append(f"{name}: {told}")
            else:
                withheld[name] = told
    overall = replayed.get("wrong_hit_rate")
    if overall is not None and _chance(decisions, target) < BEYOND_CHANCE:
        problems.append(f"all replayed hits: {overall:.2%} wrong")
    worst = _worst_evidence(rules, evidence) if problems else []
    return _told(rules, problems, withheld, bounds, replayed, decisions, target, delta, worst)


def _served(rule: MatchRule, evidence: pa.Table) -> tuple[pa.Table, str, str]:
    """The held-out queries that a rule serves, and the columns that hold their scores and labels."""
    if rule.rule == "learned":
        return evidence.filter(pc.greater_equal(evidence["score"], rule.score_threshold)), "score", "right"
    nearest = 1 - (rule.distance_threshold or 0.0)
    served = evidence.filter(pc.greater_equal(evidence["similarity"], nearest - 1e-9))
    return served, "similarity", "nearest_right"


def _recount(rule: MatchRule, evidence: pa.Table) -> tuple[int, int, int]:
    """Hits, wrong ones and judged ones of the held-out queries at the rule's threshold."""
    served, _, label = _served(rule, evidence)
    wrong = pc.sum(pc.invert(served[label])).as_py() or 0
    return served.num_rows, int(wrong), served.num_rows - served[label].null_count


def _worst_evidence(rules: MatchRules, evidence: pa.Table) -> list[dict[str, Any]]:
    """Wrong held-out hits of the rules, the most confident first."""
    found = []
    for name, rule in rules.rules.items():
        if rule.certified:
            served, score, label = _served(rule, evidence.filter(pc.equal(evidence["agent_type"], name)))
            found += [(row[score], row) for row in served.to_pylist() if row[label] is False]
    return [
        {
            "agent_type": row["agent_type"],
            "asked": shorten(row["prompt"]),
            "answered_as": shorten(row["entry_prompt"]),
            "served": "",
            "right_answer": "",
            "kind": "held out",
            "wrong": f"score {score:.2f}",
        }
        for score, row in sorted(found, key=lambda each: (-each[0], each[1]["prompt"]))[:_WORST]
    ]


def _chance(decisions: pa.Table, target: float) -> float:
    """Probability of so many wrong hits, or more, in a cache whose wrong-hit rate is the target: the smaller one of two
    counts. By distinct queries, as certificates count, a query is wrong if most of its answers differ; by lookups, a
    query weighs what it was asked, as the effective number of decisions (numerics.binomial_bounds.effective_bounds)."""
    served = decisions.filter(pc.is_in(decisions["kind"], pa.array(["exact", "semantic"])))
    judged, wrong = served["judged"].to_numpy(), served["wrong"].to_numpy()
    if not judged.sum():
        return 1.0
    size = float(judged.sum()) ** 2 / float((judged.astype(float) ** 2).sum())
    effective = int(np.floor(wrong.sum() / judged.sum() * size))
    by_lookups = 1.0 - binomial.cdf(effective - 1, max(int(np.ceil(size)), effective), target)
    asked = judged > 0
    by_queries = 1.0 - binomial.cdf(int((2 * wrong > judged)[asked].sum()) - 1, int(asked.sum()), target)
    return min(by_lookups, by_queries)


def _told(
    rules: MatchRules,
    problems: list[str],
    withheld: dict[str, str],
    bounds: list[float],
    replayed: Mapping[str, Any],
    decisions: pa.Table,
    target: float,
    delta: float,
    held_out: list[dict[str, Any]],
) -> GateVerdict:
    exact_only = sorted(name for name, rule in rules.rules.items() if rule.rule == "exact_only")
    numbers: dict[str, float | int | str] = {
        "target": target,
        "confidence": 1 - delta,
        "certified_agent_types": len(bounds),
        "exact_only_agent_types": len(exact_only),
        "withheld_agent_types": len(withheld),
        "worst_upper_bound": max(bounds, default=0.0),
        **{
            f"replay_{name}": replayed[name]
            for name in ("judged_hits", "wrong_hits", "wrong_hit_rate", "wrong_hit_rate_upper")
            if replayed.get(name) is not None
        },
    }
    worst = [
        {
            "agent_type": row["agent_type"],
            "asked": shorten(row["prompt"]),
            "answered_as": shorten(row["entry_prompt"]),
            "served": shorten(row["served_response"]),
            "right_answer": shorten(row["own_response"] or ""),
            "kind": row["kind"],
            "wrong": f"{row['wrong']} of {row['judged']}",
        }
        for row in decisions.filter(pc.and_(pc.greater(decisions["wrong"], 0), pc.not_equal(decisions["kind"], "miss")))
        .sort_by([("wrong", "descending"), ("prompt", "ascending")])
        .slice(0, _WORST)
        .to_pylist()
    ]
    if problems:
        return GateVerdict(False, f"Not proven within {target:.4g}: {'; '.join(problems)}.", numbers, worst + held_out)
    parts = [
        f"{len(bounds)} of {len(rules.rules)} agent types certified for at most {target:.0%} wrong hits (worst bound "
        f"{max(bounds):.2%})"
        if bounds
        else f"No agent_type has the evidence to certify {target:.0%}"
    ]
    if exact_only:
        named = ", ".join(exact_only[:5]) + (", ..." if len(exact_only) > 5 else "")
        parts.append(f"with too little evidence, for exact hits only: {named}")
    if withheld:
        parts.append("withheld to exact hits: " + "; ".join(f"{name} ({why})" for name, why in withheld.items()))
    if (rate := replayed.get("wrong_hit_rate")) is None:
        parts.append("no replayed hit could be judged")
    else:
        parts.append(
            f"in the replay {rate:.2%} of {replayed['judged_hits']:,} judged hits were wrong "
            f"(at most {replayed['wrong_hit_rate_upper']:.2%})"
        )
    warning = bool(exact_only or withheld or rate is None or not bounds)
    return GateVerdict(True, "; ".join(parts) + ".", numbers, worst, withheld, warning)
