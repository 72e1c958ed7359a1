"""What a plan does about answers that are known to be stale, answered again, or withdrawn. Found out by the asset
``answer_checks``: see freshness.refresh_queue; here is the rule that both sides share.

The version of the application's prompt is no column of the log. It is the one that was set when an answer first came
into a plan, and stays with that answer (``source_row``) until it is given again: a plan made after the version changed
must not take yesterday's answers for new ones.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.candidates.provenance import AnswerProvenance, dump
from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.freshness.answer_age import AgeLimits, Confirmed, confirmation, confirmations

Row = Mapping[str, Any]


class Stale(StrEnum):
    """Why an entry is to be looked at again."""

    ANSWER_MODEL = "answer_model"
    PROMPT_VERSION = "prompt_version"
    CHANGED = "changed"
    EMBEDDER = "embedder"
    SOURCE_ROW = "source_row"
    AGE = "age"


ANSWER = frozenset([Stale.ANSWER_MODEL, Stale.PROMPT_VERSION, Stale.CHANGED, Stale.AGE])
"""Those that say the answer itself is stale. The other two need no more than a new plan: it embeds the prompt again,
and has the source's new answer."""


@dataclass(frozen=True)
class Present:
    """What answers, embeds and is asked for now. None: not compared."""

    answer_model: str | None
    prompt_version: str | None
    embedder: str


@dataclass(frozen=True)
class Standing:
    """What is known when a plan is made. ``checks``: rows of ANSWER_CHECKS by entry_id. ``withdrawn``: answers that
    stay out, by entry_id. ``previous``: what the entries of the plan before depend on. ``keep_stale``: whether a stale
    entry that nothing answered again stays in. ``limits``: how old an answer may be on the day of the plan. ``idle``:
    entries that earned nothing (freshness.idle_entries)."""

    present: Present
    checks: Mapping[str, Row] = field(default_factory=dict)
    withdrawn: Mapping[str, Sequence[str]] = field(default_factory=dict)
    previous: Mapping[str, AnswerProvenance] = field(default_factory=dict)
    keep_stale: bool = False
    limits: AgeLimits = field(default_factory=AgeLimits)
    idle: Collection[str] = ()


class Same(Protocol):
    """A judge's ``same``."""

    def __call__(self, pairs: Sequence[tuple[str, str]], /) -> np.ndarray: ...


@dataclass(frozen=True)
class Admitted:
    """The candidates that may be warmed, in their order, with the answers that are to be warmed. ``refreshed``: those
    with a newer answer than their own. ``stale``: stale candidates by reason, whether they were left out or kept.
    ``idle``: entry_ids of the candidates that earned nothing, in their order."""

    tables: list[pa.Table]
    excluded: Counts
    refreshed: int
    stale: Counter[str]
    idle: list[str] = field(default_factory=list)


def admit(tables: Sequence[pa.Table], standing: Standing, same: Same) -> Admitted:
    """The candidate tables without what is left out as EARNED_NOTHING, STALE or REPORTED_WRONG, and with refreshed
    answers.

    A candidate is only met by a check of exactly its answer (``source_row``): where its source has moved on since,
    neither a mark nor a new answer counts any more. An answer that was confirmed too long ago (``standing.limits``) is
    stale whether it was checked or not; a variant's is as old as its base's. A withdrawn answer stays out as long as
    ``same`` holds the candidate's for it, and so it does in variants of its entry. Costs what the candidates with a
    check or a withdrawal cost, and a look at the provenance of variants and of agent types with a limit.
    """
    tables, idle = _without_idle(tables, standing.idle)
    excluded, stale = Counts({ExclusionReason.EARNED_NOTHING: len(idle)}), Counter[str]()
    refreshed = 0
    wanted = pa.array(sorted({*standing.checks, *standing.withdrawn}), pa.string())
    limited = pa.array(sorted(standing.limits.days), pa.string())
    confirmed = confirmations(tables, standing.limits)
    taken: list[dict[int, dict[str, Any]]] = []
    for table in tables:
        known = pc.is_in(table["entry_id"], value_set=wanted)
        looked_at = pc.or_(known, pc.is_in(table["agent_type"], value_set=limited))
        if standing.withdrawn:
            looked_at = pc.or_(looked_at, pc.equal(table["source"], "synthetic"))
        places = np.flatnonzero(looked_at.to_numpy())
        columns = table.select(["entry_id", "agent_type", "response", "provenance"])
        taken.append({})
        for place, row in zip(places.tolist(), columns.take(pa.array(places, pa.int64())).to_pylist(), strict=True):
            reasons = _apply(row, standing, confirmed)
            stale.update(str(reason) for reason in reasons)
            refreshed += row["refreshed"]
            row["stays"] = standing.keep_stale or not reasons
            excluded[ExclusionReason.STALE] += not row["stays"]
            taken[-1][place] = row
    asked = [
        (row, answer)
        for rows in taken
        for row in rows.values()
        if row["stays"]
        for entry in (row["entry_id"], row["base_id"])
        for answer in standing.withdrawn.get(entry, ())
    ]
    verdicts = same([(row["response"], answer) for row, answer in asked]).tolist() if asked else []
    for (row, _), wrong in zip(asked, verdicts, strict=True):
        if wrong and row["stays"]:
            row["stays"] = False
            excluded[ExclusionReason.REPORTED_WRONG] += 1
    admitted = [_with(table, rows) for table, rows in zip(tables, taken, strict=True)]
    return Admitted(admitted, +excluded, refreshed, stale, list(dict.fromkeys(idle)))


def still_stale(check: Row, own: AnswerProvenance, answered_at: datetime | None, present: Present) -> frozenset[Stale]:
    """The reasons of a check that still say that an answer is stale. ``own``: what the candidate depends on today;
    ``answered_at``: when the application last gave its answer.

    A model that is now the right one, or is not compared any more, is no reason; nor is a prompt version when the
    application has given the same answer again since the mark. Age is none either: it is looked at anew each time.
    """
    found = ({Stale(reason) for reason in check["reasons"]} & ANSWER) - {Stale.AGE}
    if not differs(own.answer_model, present.answer_model):
        found.discard(Stale.ANSWER_MODEL)
    again = answered_at is not None and check["marked_at"] is not None and answered_at > check["marked_at"]
    if again or not differs(check["prompt_version"], present.prompt_version):
        found.discard(Stale.PROMPT_VERSION)
    return frozenset(found)


def differs(known: str | None, present: str | None) -> bool:
    """Whether something is known to be another one than the present."""
    return known is not None and present is not None and known != present


def answered_at(provenance: Row) -> datetime | None:
    """When the application last gave the answer; None where that is not known."""
    found = provenance.get("last_answer_at")
    return datetime.fromisoformat(found) if found else None


def stamp(plan: pa.Table, standing: Standing) -> pa.Table:
    """The plan with all that each entry's answer depends on in its provenance."""
    stamped = []
    for key, text in zip(plan["entry_id"].to_pylist(), plan["provenance"].to_pylist(), strict=True):
        own, before = AnswerProvenance.of(text), standing.previous.get(key, AnswerProvenance())
        version = own.prompt_version
        if version is None and own.source_row is not None and own.source_row == before.source_row:
            version = before.prompt_version
        version = version or standing.present.prompt_version
        whole = replace(own, prompt_version=version, embedder=standing.present.embedder)
        stamped.append(dump({**json.loads(text), "depends": whole.as_dict()}))
    return _set(plan, "provenance", stamped)


def _without_idle(tables: Sequence[pa.Table], idle: Collection[str]) -> tuple[Sequence[pa.Table], list[str]]:
    if not idle:
        return tables, []
    wanted = pa.array(sorted(idle), pa.string())
    out = [pc.is_in(table["entry_id"], value_set=wanted) for table in tables]
    found = [
        id for table, is_out in zip(tables, out, strict=True) for id in table["entry_id"].filter(is_out).to_pylist()
    ]
    return [table.filter(pc.invert(is_out)) for table, is_out in zip(tables, out, strict=True)], found


def _apply(row: dict[str, Any], standing: Standing, confirmed: Confirmed) -> frozenset[Stale]:
    """Puts the check's new answer, or the prompt's version that is known, into a candidate's row; says why it is stale
    where there is no new answer."""
    provenance = json.loads(row["provenance"])
    row["refreshed"], row["base_id"] = False, provenance.get("base_id") or ""
    reasons = _checked(row, provenance, standing)
    if standing.limits.over(row["agent_type"], confirmation(row["entry_id"], provenance, confirmed)):
        reasons |= {Stale.AGE}
    return reasons


def _checked(row: dict[str, Any], provenance: dict[str, Any], standing: Standing) -> frozenset[Stale]:
    check = standing.checks.get(row["entry_id"])
    own = AnswerProvenance.of_row(provenance)
    if check is None or own.source_row is None or check["source_row"] != own.source_row:
        return frozenset()
    reasons: frozenset[Stale] = frozenset()
    version, given = check["prompt_version"], answered_at(provenance)
    if check["new_response"] is not None:
        at = check["answered_at"]
        if given is not None and given > at and standing.limits.over(row["agent_type"], at):
            return frozenset()  # too old itself, and the application has gone back to its own since
        row["refreshed"], row["response"] = True, check["new_response"]
        provenance["refreshed"] = {"at": at.isoformat(), "by": check["answered_by"]}
        own = replace(own, answer_model=check["answer_model"])
    else:
        reasons = still_stale(check, own, given, standing.present)
        if Stale.PROMPT_VERSION in check["reasons"] and Stale.PROMPT_VERSION not in reasons:
            version = standing.present.prompt_version
    provenance["depends"] = replace(own, prompt_version=version).as_dict()
    row["provenance"] = dump(provenance)
    return reasons


def _with(table: pa.Table, rows: Mapping[int, Row]) -> pa.Table:
    if not rows:
        return table
    stays = np.ones(table.num_rows, bool)
    for name in ("response", "provenance"):
        values = table[name].to_pylist()
        for place, row in rows.items():
            values[place] = row[name]
            stays[place] = row["stays"]
        table = _set(table, name, values)
    return table.filter(pa.array(stays))


def _set(table: pa.Table, name: str, values: list[str]) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), pa.array(values, pa.string()))
