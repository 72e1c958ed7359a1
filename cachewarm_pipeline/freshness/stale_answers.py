"""What a plan does about answers that are stale, answered again, or withdrawn. The asset ``answer_checks`` finds them
(answer_check_rows).

The log has no column for the version of the application's prompt. An answer's version is the one that was set when the
answer first came into a plan. It stays with that answer (``source_row``) until the application gives the answer again:
a plan made after the version changed must not take yesterday's answers for new ones.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.candidates.provenance import AnswerProvenance, dump
from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.freshness.answer_age import AgeLimits, Confirmations, confirmation, confirmations
from cachewarm_pipeline.freshness.rows import AreEquivalent, CheckRow, Provenance
from cachewarm_pipeline.freshness.stale_reasons import CurrentSources, Stale, answered_at, still_stale
from cachewarm_pipeline.ports import AnswerPair, JudgeUse


@dataclass(frozen=True)
class AdmissionContext:
    """What is known when a plan is made."""

    current: CurrentSources
    """What answers depend on today."""
    checks: Mapping[str, CheckRow] = field(default_factory=dict)
    """Rows of ANSWER_CHECKS by entry_id."""
    withdrawn: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Withdrawn answers by entry_id."""
    previous: Mapping[str, AnswerProvenance] = field(default_factory=dict)
    """What the answers of the previous plan's entries depend on, by entry_id."""
    keep_stale: bool = False
    """Whether stale entries without a new answer stay in the plan."""
    limits: AgeLimits = field(default_factory=AgeLimits)
    """How old an answer may be on the day of the plan."""
    idle: Collection[str] = ()
    """entry_ids that leave the plan because they earned nothing (idle_entries)."""


@dataclass(frozen=True)
class Admitted:
    """The candidates that may be warmed."""

    tables: list[pa.Table]
    """In their order, with the answers to warm."""
    excluded: Counts
    """How many were excluded, by reason."""
    refreshed: int
    """How many have a newer answer than their source's."""
    stale: Counter[str]
    """Stale candidates by reason, excluded or kept."""
    idle: list[str] = field(default_factory=list)
    """entry_ids of the candidates excluded as EARNED_NOTHING, in their order."""


@dataclass(slots=True)
class _Candidate:
    """A candidate that a check, a withdrawal or an age limit may change."""

    entry_id: str
    agent_type: str
    prompt: str
    response: str
    provenance: str
    base_id: str = ""
    """Empty unless it is a variant."""
    refreshed: bool = False
    stays: bool = True


def admit(tables: Sequence[pa.Table], context: AdmissionContext, are_equivalent: AreEquivalent) -> Admitted:
    """The candidate tables with refreshed answers, without the candidates that are excluded as EARNED_NOTHING, STALE or
    REPORTED_WRONG.

    A check applies to a candidate only where it checked exactly this answer (``source_row``): once the source has
    another answer, neither a mark nor a new answer counts any more. An answer that was confirmed too long ago
    (``context.limits``) is stale whether it was checked or not; a variant's answer is as old as its base's. A candidate
    stays out while ``are_equivalent`` finds its answer equivalent to a withdrawn answer of its entry or of its base.
    Cost: one read of the candidates with a check or a withdrawal, and of the provenance of variants and of agent types
    with a limit.
    """
    tables, idle = _without_idle(tables, context.idle)
    excluded, stale = Counts({ExclusionReason.EARNED_NOTHING: len(idle)}), Counter[str]()
    refreshed = 0
    known = pa.array(sorted({*context.checks, *context.withdrawn}), pa.string())
    limited = pa.array(sorted(context.limits.days), pa.string())
    confirmed = confirmations(tables, context.limits)
    affected: list[dict[int, _Candidate]] = []
    for table in tables:
        places = _places_to_read(table, known, limited, variants=bool(context.withdrawn))
        columns = table.select(["entry_id", "agent_type", "prompt", "response", "provenance"])
        affected.append({})
        for place, row in zip(places.tolist(), columns.take(pa.array(places, pa.int64())).to_pylist(), strict=True):
            candidate = _Candidate(**row)
            reasons = _apply(candidate, context, confirmed)
            stale.update(str(reason) for reason in reasons)
            refreshed += candidate.refreshed
            candidate.stays = context.keep_stale or not reasons
            excluded[ExclusionReason.STALE] += not candidate.stays
            affected[-1][place] = candidate
    compared = [
        (candidate, answer)
        for candidates in affected
        for candidate in candidates.values()
        if candidate.stays
        for entry in (candidate.entry_id, candidate.base_id)
        for answer in context.withdrawn.get(entry, ())
    ]
    pairs = [AnswerPair(candidate.prompt, candidate.response, answer) for candidate, answer in compared]
    verdicts = are_equivalent(pairs, use=JudgeUse.EXCLUDE).tolist() if pairs else []
    for (candidate, _), wrong in zip(compared, verdicts, strict=True):
        if wrong and candidate.stays:
            candidate.stays = False
            excluded[ExclusionReason.REPORTED_WRONG] += 1
    admitted = [_with(table, candidates) for table, candidates in zip(tables, affected, strict=True)]
    return Admitted(admitted, +excluded, refreshed, stale, list(dict.fromkeys(idle)))


def stamp(plan: pa.Table, context: AdmissionContext) -> pa.Table:
    """The plan with everything that each answer depends on in the provenance of its entry."""
    stamped = []
    for key, text in zip(plan["entry_id"].to_pylist(), plan["provenance"].to_pylist(), strict=True):
        own, before = AnswerProvenance.of(text), context.previous.get(key, AnswerProvenance())
        version = own.prompt_version
        if version is None and own.source_row is not None and own.source_row == before.source_row:
            version = before.prompt_version
        version = version or context.current.prompt_version
        depends = replace(own, prompt_version=version, embedder=context.current.embedder)
        stamped.append(dump({**json.loads(text), "depends": depends.as_dict()}))
    return _set(plan, "provenance", stamped)


def _without_idle(tables: Sequence[pa.Table], idle: Collection[str]) -> tuple[Sequence[pa.Table], list[str]]:
    """The tables without the idle entries, and the entry_ids that were removed."""
    if not idle:
        return tables, []
    wanted = pa.array(sorted(idle), pa.string())
    out = [pc.is_in(table["entry_id"], value_set=wanted) for table in tables]
    found = [
        id for table, is_out in zip(tables, out, strict=True) for id in table["entry_id"].filter(is_out).to_pylist()
    ]
    return [table.filter(pc.invert(is_out)) for table, is_out in zip(tables, out, strict=True)], found


def _places_to_read(table: pa.Table, entry_ids: pa.Array, agent_types: pa.Array, *, variants: bool) -> np.ndarray:
    """Row numbers of the candidates with one of these entry_ids or agent_types, and of all variants where wanted."""
    wanted = pc.or_(
        pc.is_in(table["entry_id"], value_set=entry_ids), pc.is_in(table["agent_type"], value_set=agent_types)
    )
    if variants:
        wanted = pc.or_(wanted, pc.equal(table["source"], "synthetic"))
    return np.flatnonzero(wanted.to_numpy())


def _apply(candidate: _Candidate, context: AdmissionContext, confirmed: Confirmations) -> frozenset[Stale]:
    """Puts the check's new answer, or the prompt version that is known, into the candidate. Returns why it is stale,
    where there is no new answer."""
    provenance: Provenance = json.loads(candidate.provenance)
    candidate.base_id = provenance.get("base_id") or ""
    reasons = _apply_check(candidate, provenance, context)
    if context.limits.over(candidate.agent_type, confirmation(candidate.entry_id, provenance, confirmed)):
        reasons |= {Stale.AGE}
    return reasons


def _apply_check(candidate: _Candidate, provenance: Provenance, context: AdmissionContext) -> frozenset[Stale]:
    check = context.checks.get(candidate.entry_id)
    own = AnswerProvenance.of_row(provenance)
    if check is None or own.source_row is None or check["source_row"] != own.source_row:
        return frozenset()
    reasons: frozenset[Stale] = frozenset()
    version, given = check["prompt_version"], answered_at(provenance)
    at, by = check["answered_at"], check["answered_by"]
    if check["new_response"] is not None and at is not None and by is not None:
        if given is not None and given > at and context.limits.over(candidate.agent_type, at):
            return frozenset()  # it is too old itself, and the application has given its own answer again since
        candidate.refreshed, candidate.response = True, check["new_response"]
        provenance["refreshed"] = {"at": at.isoformat(), "by": by}
        own = replace(own, answer_model=check["answer_model"])
    else:
        reasons = still_stale(check, own, given, context.current)
        if Stale.PROMPT_VERSION in check["reasons"] and Stale.PROMPT_VERSION not in reasons:
            version = context.current.prompt_version
    provenance["depends"] = replace(own, prompt_version=version).as_dict()
    candidate.provenance = dump(dict(provenance))
    return reasons


def _with(table: pa.Table, candidates: Mapping[int, _Candidate]) -> pa.Table:
    """The table with these candidates' answers and provenance, without those that do not stay."""
    if not candidates:
        return table
    responses, provenances = table["response"].to_pylist(), table["provenance"].to_pylist()
    stays = np.ones(table.num_rows, bool)
    for place, candidate in candidates.items():
        responses[place], provenances[place] = candidate.response, candidate.provenance
        stays[place] = candidate.stays
    table = _set(_set(table, "response", responses), "provenance", provenances)
    return table.filter(pa.array(stays))


def _set(table: pa.Table, name: str, values: list[str]) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), pa.array(values, pa.string()))
