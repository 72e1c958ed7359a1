"""The gate on the wrong-hit rate: held-out queries bound it, and the replay must not contradict the bound. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.match_rules import MatchRule, MatchRules

from cachewarm_pipeline.answers.noise_floor import NoiseFloors
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.numerics import binomial_bounds as binomial
from cachewarm_pipeline.proof.gate_verdict import GateVerdict, shorten

_EXAMPLES = 10

BLOCKING_CHANCE = 0.01
"""A replay blocks the publish if a cache whose true wrong-hit rate is the target would look this bad with a probability
below 1%."""

WITHHOLDING_CHANCE = 0.1
"""Below a probability of 10%, the agent_type is already reduced to exact hits. A rule just under its target has an
upper bound above the target in about every second replay, so comparing the bound itself would block good plans at
random."""


def false_positive_rate(
    rules: MatchRules,
    evidence: pa.Table,
    replayed: Mapping[str, Any],
    decisions: pa.Table,
    *,
    target: float,
    delta: float,
    noise: NoiseFloors,
) -> GateVerdict:
    """Whether the wrong-hit rate is proven to be at most ``target``.

    Fails if the held-out queries of a rule (``evidence``: MATCH_EVIDENCE) do not bound its wrong-hit rate by the target
    with confidence 1 - ``delta``, counted again from the labels. Fails also if the replay (``replayed``:
    replay_summary.summarise_replay) has more wrong hits than chance allows at the target.

    Passes with a warning if agent types have too little evidence (their rule is ``exact_only``), if the replay makes a
    certified rule suspect (its agent_type is withheld: exact hits only), or if there is no replay. ``decisions``:
    REPLAY_DECISIONS, for the chance and the worst examples. ``noise`` is shown, and changes no verdict.
    """
    problems, withheld, bounds = [], {}, []
    for name, rule in sorted(rules.rules.items()):
        if rule.rule == "exact_only":
            continue
        hits, wrong, judged = _recount(rule, evidence.filter(pc.equal(evidence["agent_type"], name)))
        upper = binomial.upper_bound(wrong, hits, delta)
        bounds.append(upper)
        if unjudged := hits - judged:
            was = "was" if unjudged == 1 else "were"
            problems.append(f"{name}: {unjudged:,} of {plural(hits, 'held-out hit')} {was} never judged")
        elif upper > target:
            was = "was" if wrong == 1 else "were"
            problems.append(
                f"{name}: {wrong:,} of {plural(hits, 'held-out hit')} {was} wrong, so the rate may be {upper:.2%}"
            )
        own = decisions.filter(
            pc.and_(pc.equal(decisions["agent_type"], name), pc.equal(decisions["kind"], "semantic"))
        )
        if (chance := _chance(own, target)) < WITHHOLDING_CHANCE:
            wrong_rate = pc.sum(own["wrong"]).as_py() / pc.sum(own["judged"]).as_py()
            finding = (
                f"{wrong_rate:.1%} of its replayed semantic hits were wrong (probability at a true rate of "
                f"{target:.0%}: {chance:.1%})"
            )
            if chance < BLOCKING_CHANCE:
                problems.append(f"{name}: {finding}")
            else:
                withheld[name] = finding
    overall = replayed.get("wrong_hit_rate")
    if overall is not None and _chance(decisions, target) < BLOCKING_CHANCE:
        problems.append(f"{overall:.2%} of all replayed hits were wrong")
    worst = _worst_evidence(rules, evidence) if problems else []
    verdict = _verdict(rules, problems, withheld, bounds, replayed, decisions, target, delta, worst)
    if noise.pooled is None:
        return verdict
    sentence = noise.sentence(replayed.get("semantic_wrong_hit_rate"))
    return replace(
        verdict,
        sentence=f"{verdict.sentence} {sentence}",
        numbers={**verdict.numbers, "judge_noise": noise.pooled},
        worst=[{**row, "judge noise": noise.by_agent_type.get(row["agent_type"])} for row in verdict.worst],
    )


def _served(rule: MatchRule, evidence: pa.Table) -> tuple[pa.Table, str, str]:
    """The held-out queries that a rule serves, and the names of the columns with their scores and labels."""
    if rule.rule == "learned":
        return evidence.filter(pc.greater_equal(evidence["score"], rule.score_threshold)), "score", "right"
    nearest = 1 - (rule.distance_threshold or 0.0)
    served = evidence.filter(pc.greater_equal(evidence["similarity"], nearest - 1e-9))
    return served, "similarity", "nearest_right"


def _recount(rule: MatchRule, evidence: pa.Table) -> tuple[int, int, int]:
    """Hits, wrong hits and judged hits of the held-out queries at the rule's threshold."""
    served, _, label = _served(rule, evidence)
    wrong = pc.sum(pc.invert(served[label])).as_py() or 0
    return served.num_rows, int(wrong), served.num_rows - served[label].null_count


def _worst_evidence(rules: MatchRules, evidence: pa.Table) -> list[dict[str, Any]]:
    """The rules' wrong held-out hits, the most confident first."""
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
        for score, row in sorted(found, key=lambda each: (-each[0], each[1]["prompt"]))[:_EXAMPLES]
    ]


def _chance(decisions: pa.Table, target: float) -> float:
    """Probability of at least the observed number of wrong hits if the true wrong-hit rate is the target.

    It is computed in two ways, and the smaller result counts. By distinct queries, as certificates count: a query is
    wrong if most of its answers differ. By lookups: a query weighs as much as it was asked, through the effective
    number of decisions (numerics.binomial_bounds.effective_bounds).
    """
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


def _verdict(
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
        .slice(0, _EXAMPLES)
        .to_pylist()
    ]
    if problems:
        return GateVerdict(
            False,
            f"The wrong-hit rate is not proven to be at most {100 * target:.4g}%: {'; '.join(problems)}.",
            numbers,
            worst + held_out,
        )
    parts = [
        f"{len(bounds)} of {plural(len(rules.rules), 'agent type')} {'is' if len(bounds) == 1 else 'are'} certified "
        f"for at most {target:.0%} wrong hits (worst bound {max(bounds):.2%})"
        if bounds
        else f"No agent type has enough evidence to be certified for at most {target:.0%} wrong hits"
    ]
    if exact_only:
        named = ", ".join(exact_only[:5]) + (", ..." if len(exact_only) > 5 else "")
        parts.append(f"too little evidence, so exact hits only: {named}")
    if withheld:
        parts.append(
            "suspect in the replay, so exact hits only: "
            + "; ".join(f"{name} ({why})" for name, why in withheld.items())
        )
    if (rate := replayed.get("wrong_hit_rate")) is None:
        parts.append("no replayed hit could be judged")
    else:
        parts.append(
            f"{rate:.2%} of {plural(replayed['judged_hits'], 'judged hit')} in the replay were wrong "
            f"(upper bound {replayed['wrong_hit_rate_upper']:.2%})"
        )
    warning = bool(exact_only or withheld or rate is None or not bounds)
    return GateVerdict(True, "; ".join(parts) + ".", numbers, worst, withheld, warning)
