"""The warming plan: which candidates become entries, in which order, and why the others do not."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from cachewarm_client.redis_search_commands import RULE_VECTORS
from cachewarm_client.text import embedding_key, sha256_hex
from cachewarm_client.words import tokens

from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.planning.entry_conflicts import inseparable_pairs
from cachewarm_pipeline.planning.entry_selection import Selected
from cachewarm_pipeline.query_log.response_text import canonical_response
from cachewarm_pipeline.settings.selection_limits import Limits
from cachewarm_pipeline.storage.schemas import CANDIDATE_FIELDS, PLAN_CONFLICTS, WARMING_PLAN, conform

_CANDIDATE_COLUMNS = [field.name for field in CANDIDATE_FIELDS]


@dataclass(frozen=True)
class Plan:
    """``table``: WARMING_PLAN by rank. ``conflicts``: PLAN_CONFLICTS, what could not stand beside what."""

    table: pa.Table
    conflicts: pa.Table
    excluded: Counts


class PlanJudge(Protocol):
    """What of a judge is needed here."""

    def same(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray: ...

    def groups(self, responses: Sequence[str]) -> np.ndarray: ...


Rows = list[dict[str, Any]]

Select = Callable[[Rows], Selected]
"""Chooses among candidates that could stand together, in the seed's order: golden by quality, then the log by
frequency, then synthetic."""


def by_frequency(budget: int) -> Select:
    """The seed's choice: the first ones, as many as the budget has. Raises ConfigurationError for a budget below 1."""
    limits = Limits(budget)

    def select(rows: Rows) -> Selected:
        chosen = list(range(min(len(rows), limits.budget)))
        return Selected(chosen, [], +Counts({ExclusionReason.OVER_BUDGET: len(rows) - len(chosen)}))

    return select


def build_plan(
    candidates: Sequence[pa.Table],
    *,
    model_id: str,
    embedded: set[str],
    floors: Mapping[str, float],
    select: Select,
    judge: PlanJudge,
    vectors_of: Callable[[list[str]], np.ndarray],
) -> Plan:
    """Union of the candidate tables, gated by quality, one entry a canonical prompt and agent_type, without conflicts,
    of which ``select`` chooses, with the answer group of each.

    ``candidates`` come in the order of admission, each best first; ``floors`` is the lowest quality_score a source.
    A prompt that two sources know is warmed once: with the first source's answer and the highest demand of all; it is
    left out as DUPLICATE_PROMPT, or as CONFLICTING_ANSWER where the ``judge`` says that the two answers differ. Of two
    prompts that nothing tells apart (planning.entry_conflicts) with different answers the later one is INSEPARABLE.
    ``embedded`` are the embedding keys that have vectors; ``vectors_of`` gives those of keys (n, d). Memory: the
    candidates and their vectors once.
    """
    excluded = Counts()
    union: dict[str, dict[str, Any]] = {}
    twice: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for table in candidates:
        for row in table.select(_CANDIDATE_COLUMNS).to_pylist():
            kept = union.get(row["entry_id"])
            if kept is not None:
                kept["demand"] = max(kept["demand"], row["demand"])
                if kept["cost_usd"] is None:
                    kept["cost_usd"] = row["cost_usd"]
                twice.append((kept, row))
            elif row["quality_score"] < floors[row["source"]]:
                excluded[ExclusionReason.LOW_QUALITY] += 1
            elif (key := embedding_key(model_id, row["prompt"])) not in embedded:
                excluded[ExclusionReason.NO_EMBEDDING] += 1
            else:
                union[row["entry_id"]] = {**row, "embedding_key": key}
    conflicts = []
    for (kept, row), same in zip(twice, judge.same([(k["response"], r["response"]) for k, r in twice]), strict=True):
        excluded[ExclusionReason.DUPLICATE_PROMPT if same else ExclusionReason.CONFLICTING_ANSWER] += 1
        if not same:
            conflicts.append(_conflict(ExclusionReason.CONFLICTING_ANSWER, kept, row, 0.0))
    rows = list(union.values())
    dropped = _drop_inseparable(rows, judge, vectors_of, conflicts)
    while True:
        standing = [row for i, row in enumerate(rows) if i not in dropped]
        excluded[ExclusionReason.INSEPARABLE] += len(rows) - len(standing)
        selected = select(standing)
        chosen = [standing[place] for place in selected.places]
        # Of very many candidates an index looked for conflicts; among the chosen ones it is certain.
        if not (again := _drop_inseparable(chosen, judge, vectors_of, conflicts)):
            break
        rows, dropped = standing, {selected.places[i] for i in again}
    table = plan_table(chosen, judge, selected.gains)
    return Plan(table, pa.Table.from_pylist(conflicts, schema=PLAN_CONFLICTS), +(excluded + selected.excluded))


def plan_table(rows: Sequence[Mapping[str, Any]], judge: PlanJudge, gains: Sequence[float] = ()) -> pa.Table:
    """WARMING_PLAN of chosen rows by rank, with the answer group of each."""
    ranked: Rows = [
        {**row, "rank": rank, "gain": gains[rank] if gains else None, "answer_group": ""}
        for rank, row in enumerate(rows)
    ]
    _group_answers(ranked, judge)
    return conform("warming_plan", pa.Table.from_pylist(ranked, schema=WARMING_PLAN))


def _drop_inseparable(
    pool: Rows,
    judge: PlanJudge,
    vectors_of: Callable[[list[str]], np.ndarray],
    conflicts: list[dict[str, Any]],
) -> set[int]:
    """Positions of the candidates that cannot stand beside an earlier one; their conflicts are added."""
    pairs = []
    for places in _places_by_agent(pool).values():
        vectors = vectors_of([pool[i]["embedding_key"] for i in places])
        words = [tokens(pool[i]["prompt"]) for i in places]
        pairs += [(places[p.first], places[p.second], p.distance) for p in inseparable_pairs(vectors, words)]
    same = judge.same([(pool[i]["response"], pool[j]["response"]) for i, j, _ in pairs])
    dropped: set[int] = set()
    for (i, j, distance), equivalent in sorted(zip(pairs, same, strict=True), key=lambda found: found[0][1::-1]):
        if not equivalent and i not in dropped and j not in dropped:
            dropped.add(j)
            conflicts.append(_conflict(ExclusionReason.INSEPARABLE, pool[i], pool[j], distance))
    return dropped


def _places_by_agent(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault(row["agent_type"], []).append(i)
    return places


def _conflict(
    reason: ExclusionReason, kept: Mapping[str, Any], row: Mapping[str, Any], distance: float
) -> dict[str, Any]:
    return {
        "agent_type": kept["agent_type"],
        "reason": str(reason),
        **{f"kept_{name}": kept[source] for name, source in _SHOWN},
        **{f"dropped_{name}": row[source] for name, source in _SHOWN},
        "dropped_source": row["source"],
        "distance": distance,
    }


_SHOWN = (("id", "entry_id"), ("prompt", "prompt"), ("response", "response"))


def _group_answers(rows: Rows, judge: PlanJudge) -> None:
    """Sets ``answer_group`` of each row: 16 hex characters from the answer of the group's first entry."""
    for agent_type, places in _places_by_agent(rows).items():
        responses = [rows[i]["response"] for i in places]
        for i, head in zip(places, judge.groups(responses).tolist(), strict=True):
            rows[i]["answer_group"] = sha256_hex(agent_type, canonical_response(responses[head]))[:16]


def plan_hash(plan: pa.Table, rules: Mapping[str, Any] | None = None) -> str:
    """Hash of all that a generation of this plan holds: entries in order, with their places in the learned space where
    the plan has that column, and match rules where given.

    Equal hash, equal cache. Gates that judge the entries alone store their verdict for the hash without rules.
    """
    stored = [
        "entry_id",
        "prompt",
        "response",
        "source",
        "quality_score",
        "answer_group",
        "embedding_key",
        "provenance",
    ]
    rows = plan.select([name for name in (*stored, RULE_VECTORS) if name in plan.column_names]).to_pylist()
    return sha256_hex(json.dumps(rows, sort_keys=True), json.dumps(rules or {}, sort_keys=True))
