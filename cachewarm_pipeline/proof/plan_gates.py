"""The gates on vectors, plan and loaded cache: conditions checked before and after publishing. Pure functions.

The gate on the wrong-hit rate is in wrong_hit_gate.py.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.personal_data import find_personal_data, mask
from cachewarm_client.words import tokens

from cachewarm_pipeline.answers.veto.contradictions import contradict, is_hard
from cachewarm_pipeline.answers.veto.facts import FACTS_CACHED, Facts, facts
from cachewarm_pipeline.answers.volatility import REASONS
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.planning.entry_conflicts import inseparable_pairs
from cachewarm_pipeline.proof.gate_verdict import GateVerdict, shorten
from cachewarm_pipeline.query_log.response_text import canonical_response

UNIT_TOLERANCE = 1e-3
"""A float32 vector of 1,536 values that was normalised in float32 is off by less than 1e-5; a wrong one by far more."""

_EXAMPLES = 10


def embedding_sanity(texts: list[str], vectors: np.ndarray, dimensions: int) -> GateVerdict:
    """The vectors (n, d) have the model's number of dimensions, are finite and of unit length. ``texts`` (n) name
    them."""
    if not len(texts):
        return GateVerdict(True, "This day has no texts to embed.", {"vectors": 0})
    if vectors.ndim != 2 or vectors.shape[1] != dimensions:
        return GateVerdict(
            False, f"The vectors have the shape {vectors.shape}, but the model has {dimensions} dimensions."
        )
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    finite = np.isfinite(vectors).all(axis=1)
    bad = ~finite | ~(np.abs(lengths - 1) <= UNIT_TOLERANCE)
    examples = [
        {"text": shorten(texts[i]), "length": float(lengths[i]), "finite": bool(finite[i])}
        for i in np.flatnonzero(bad)[:_EXAMPLES]
    ]
    number = int(bad.sum())
    sentence = (
        f"{plural(len(texts), 'vector')} checked: all have {dimensions} dimensions, are finite and of unit length."
        if not number
        else f"{number:,} of {plural(len(texts), 'vector')} {'is' if number == 1 else 'are'} unusable: not finite, or "
        "not of unit length."
    )
    return GateVerdict(not number, sentence, {"vectors": len(texts), "bad": number, "dimensions": dimensions}, examples)


def quality_threshold(plan: pa.Table, floors: Mapping[str, float]) -> GateVerdict:
    """Every entry reaches the lowest quality_score of its source (``floors``), and there is at least one entry."""
    rows = plan.select(["prompt", "agent_type", "source", "quality_score"]).to_pylist()
    if not rows:
        return GateVerdict(
            False,
            "The plan is empty, so nothing is published. To see why, look at the excluded counts in the report, or at "
            "left_out on the pages of golden_candidates, daily_query_counts, frequent_queries and warming_plan.",
            {"entries": 0},
        )
    # `not (>=)` so that a NaN score fails too.
    below = [row for row in rows if not row["quality_score"] >= floors[row["source"]]]
    lowest = min(row["quality_score"] for row in rows)
    limits = ", ".join(f"{source} {floor:g}" for source, floor in floors.items())
    sentence = (
        f"{plural(len(rows), 'entry', 'entries')} checked: all reach the quality floor of their source (lowest "
        f"{lowest:.2f}; floors: {limits})."
        if not below
        else f"{len(below):,} of {plural(len(rows), 'entry', 'entries')} {'is' if len(below) == 1 else 'are'} below "
        f"the quality floor ({limits})."
    )
    worst = sorted(below, key=lambda row: row["quality_score"])[:_EXAMPLES]
    return GateVerdict(
        not below,
        sentence,
        {"entries": len(rows), "below": len(below), "lowest": lowest},
        [{**row, "prompt": shorten(row["prompt"])} for row in worst],
    )


def no_conflicting_entries(plan: pa.Table, vectors: np.ndarray, conflicts: pa.Table, judge: str) -> GateVerdict:
    """No prompt has two entries, no two entries that a lookup cannot tell apart have different answers, and no member
    of an answer group contradicts its head.

    ``vectors`` (n, d): the plan's. ``conflicts``: PLAN_CONFLICTS, the candidates that planning excluded for a conflict;
    they are shown, not judged. ``judge``: name of the plan's judge.

    With the exact judge, answers differ if their groups do, and the members of a group are equal anyway. With another
    one, planning has already excluded what the judge calls different. Its groups are built for another use and are not
    transitive, so two answers that it calls equivalent may be in two groups: only a contradiction is a conflict then.
    """
    rows = plan.select(["entry_id", "agent_type", "prompt", "response", "answer_group"]).to_pylist()
    found: list[dict[str, Any]] = []
    positions: dict[str, list[int]] = {}
    seen: dict[str, int] = {}
    heads: dict[tuple[str, str], int] = {}
    answers_conflict = partial(_contradict, judge=judge, facts_of=lru_cache(FACTS_CACHED)(facts))  # heads come again
    for i, row in enumerate(rows):
        positions.setdefault(row["agent_type"], []).append(i)
        if row["entry_id"] in seen:
            found.append(_conflict("one prompt, two entries", rows[seen[row["entry_id"]]], row))
        seen.setdefault(row["entry_id"], i)
        head = rows[heads.setdefault((row["agent_type"], row["answer_group"]), i)]
        if judge != "exact" and answers_conflict(head["response"], row["response"]):
            found.append(_conflict("one answer group, but the answers differ", head, row))
    for of_agent in positions.values():
        words = [tokens(rows[i]["prompt"]) for i in of_agent]
        for pair in inseparable_pairs(vectors[of_agent], words):
            first, second = rows[of_agent[pair.first]], rows[of_agent[pair.second]]
            if first["answer_group"] != second["answer_group"] and (
                judge == "exact" or answers_conflict(first["response"], second["response"])
            ):
                found.append(_conflict("no feature tells them apart", first, second))
    numbers = {"entries": len(rows), "conflicts": len(found), "left_out_before": conflicts.num_rows}
    entries = plural(len(rows), "entry", "entries")
    if found:
        return GateVerdict(False, f"{plural(len(found), 'conflict')} among {entries}.", numbers, found[:_EXAMPLES])
    shown = [
        {name: shorten(str(value)) for name, value in row.items() if name not in ("kept_id", "dropped_id")}
        for row in conflicts.slice(0, _EXAMPLES).to_pylist()
    ]
    excluded = f"planning excluded {plural(conflicts.num_rows, 'candidate')} for a conflict"
    return GateVerdict(True, f"No conflict among {entries}; {excluded}.", numbers, shown)


def _contradict(one: str, other: str, judge: str, facts_of: Callable[[str], Facts]) -> bool:
    """Whether no judge of this name can have called the two equivalent. The model of the ``llm`` judge may overrule all
    but hard contradictions."""
    if canonical_response(one) == canonical_response(other):
        return False
    reason = contradict(facts_of(one), facts_of(other))
    return reason is not None and (judge != "llm" or is_hard(reason))


def _conflict(problem: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table of conflicts."""
    return {
        "problem": problem,
        "agent_type": first["agent_type"],
        "prompt": shorten(first["prompt"]),
        "other_prompt": shorten(second["prompt"]),
        "response": shorten(first["response"]),
        "other_response": shorten(second["response"]),
    }


def volatile_or_personal_share(plan: pa.Table, frequent: pa.Table, unfit: pa.Table, limit: float) -> GateVerdict:
    """No entry contains personal data or a secret, and at most the share ``limit`` of the frequent demand is volatile
    or personal. A larger share suggests that the log or the judge is faulty.

    ``frequent``: FREQUENT_QUERIES; ``unfit``: UNFIT_QUERIES, the frequent queries excluded as volatile or personal.
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
    by_kind = {
        kind: pc.sum(unfit.filter(pc.starts_with(unfit["detail"], words))["demand"]).as_py() or 0.0
        for kind, words in REASONS.items()
    }
    lost = sum(demand.values())
    total = lost + (pc.sum(frequent["demand"]).as_py() or 0.0)
    share = lost / total if total else 0.0
    numbers = {
        "entries_with_personal_data": len(leaks),
        "volatile_or_personal_share": share,
        "limit": limit,
        **{f"{reason}_lookups_a_day": value for reason, value in demand.items()},
        **{f"volatile_{kind}_lookups_a_day": value for kind, value in by_kind.items()},
    }
    which = ", ".join(f"{REASONS[kind]}: {value:.0f}" for kind, value in by_kind.items() if value)
    shares = (
        f"{share:.1%} of the frequent demand is volatile ({plural(round(demand['volatile']), 'lookup')} a day"
        f"{'; ' + which if which else ''}) or "
        f"personal ({plural(round(demand['personal']), 'lookup')} a day); the limit is {limit:.0%}"
    )
    if leaks:
        texts = f"{plural(len(leaks), 'planned text')} {'contains' if len(leaks) == 1 else 'contain'}"
        return GateVerdict(False, f"{texts} personal data or a secret; {shares}.", numbers, leaks[:_EXAMPLES])
    shown = unfit.select(["agent_type", "prompt", "reason", "detail", "frequency"]).slice(0, _EXAMPLES).to_pylist()
    shown = [{**row, "prompt": shorten(row["prompt"])} for row in shown]
    if share > limit:
        return GateVerdict(
            False, f"Too much demand cannot be cached: {shares}. Check the judge and these queries.", numbers, shown
        )
    return GateVerdict(True, f"No entry contains personal data or a secret; {shares}.", numbers, shown)


def loaded_equals_planned(planned: set[str], loaded: set[str]) -> GateVerdict:
    """The live generation has exactly the planned entry ids."""
    missing, extra = planned - loaded, loaded - planned
    if not missing and not extra:
        sentence = f"The live generation has exactly the plan's {plural(len(planned), 'entry', 'entries')}."
    else:
        sentence = (
            f"The live generation differs from the plan: {len(missing):,} of "
            f"{plural(len(planned), 'planned entry', 'planned entries')} missing, "
            f"{plural(len(extra), 'unplanned entry', 'unplanned entries')} present."
        )
    return GateVerdict(
        not missing and not extra,
        sentence,
        {"planned": len(planned), "loaded": len(loaded), "missing": len(missing), "unplanned": len(extra)},
        [{"entry_id": i, "problem": "missing"} for i in sorted(missing)[:5]]
        + [{"entry_id": i, "problem": "unplanned"} for i in sorted(extra)[:5]],
    )
