"""The warming plan: which candidates become entries, in which order, and the reasons why the others are excluded."""

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
from cachewarm_pipeline.planning.candidate_row import CandidateRow, PlanRow
from cachewarm_pipeline.planning.entry_conflicts import inseparable_pairs
from cachewarm_pipeline.planning.entry_selection import Selected
from cachewarm_pipeline.ports import AnswerPair, JudgeUse
from cachewarm_pipeline.query_log.response_text import canonical_response
from cachewarm_pipeline.settings.selection_limits import Limits
from cachewarm_pipeline.storage.schemas import CANDIDATE_FIELDS, PLAN_CONFLICTS, WARMING_PLAN, conform

_CANDIDATE_COLUMNS = [field.name for field in CANDIDATE_FIELDS]


@dataclass(frozen=True)
class Plan:
    """The plan of a day."""

    table: pa.Table
    """WARMING_PLAN, by rank."""
    conflicts: pa.Table
    """PLAN_CONFLICTS: candidates excluded for a conflict, each with the entry that it conflicts with."""
    excluded: Counts


class PlanJudge(Protocol):
    """The part of a judge that a plan needs."""

    def same(self, pairs: Sequence[AnswerPair], use: JudgeUse) -> np.ndarray: ...

    def groups(self, questions: Sequence[str], responses: Sequence[str]) -> np.ndarray: ...


Select = Callable[[list[CandidateRow]], Selected]
"""Chooses among candidates without conflicts, ordered: golden by quality, then the log by frequency, then synthetic."""


def by_frequency(budget: int) -> Select:
    """Takes the first candidates up to the budget: golden first, then those asked most. Raises ConfigurationError for a
    budget below 1."""
    limits = Limits(budget)

    def select(rows: list[CandidateRow]) -> Selected:
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
    """The plan: the union of the candidate tables, from which ``select`` chooses, with the answer group of each entry.

    The union has one row per canonical prompt and agent_type, no row below its quality floor, and no conflicts.
    ``candidates``: tables in the order of admission, each best first; ``floors``: lowest quality_score by source;
    ``embedded``: embedding keys that have vectors; ``vectors_of`` returns the vectors of keys (n, d).

    A prompt that two sources have is warmed once, with the first source's answer and the highest demand. The other row
    is excluded as DUPLICATE_PROMPT, or as CONFLICTING_ANSWER if the ``judge`` finds that the two answers differ. Of two
    prompts that no lookup can tell apart (planning.entry_conflicts) and that have different answers, the later one is
    excluded as INSEPARABLE. Answers that are merely worded in another way do not differ (JudgeUse.CHANGED). Memory: the
    candidates and their vectors once.
    """
    excluded = Counts()
    union: dict[str, CandidateRow] = {}
    repeated: list[tuple[CandidateRow, CandidateRow]] = []
    for table in candidates:
        for row in table.select(_CANDIDATE_COLUMNS).to_pylist():
            kept = union.get(row["entry_id"])
            if kept is not None:
                kept["demand"] = max(kept["demand"], row["demand"])
                if kept["cost_usd"] is None:
                    kept["cost_usd"] = row["cost_usd"]
                repeated.append((kept, row))
            elif row["quality_score"] < floors[row["source"]]:
                excluded[ExclusionReason.LOW_QUALITY] += 1
            elif (key := embedding_key(model_id, row["prompt"])) not in embedded:
                excluded[ExclusionReason.NO_EMBEDDING] += 1
            else:
                row["embedding_key"] = key
                union[row["entry_id"]] = row
    conflicts = []
    verdicts = judge.same(
        [AnswerPair(kept["prompt"], kept["response"], row["response"]) for kept, row in repeated], JudgeUse.CHANGED
    )
    for (kept, row), same in zip(repeated, verdicts, strict=True):
        excluded[ExclusionReason.DUPLICATE_PROMPT if same else ExclusionReason.CONFLICTING_ANSWER] += 1
        if not same:
            conflicts.append(_conflict(ExclusionReason.CONFLICTING_ANSWER, kept, row, 0.0))
    rows = list(union.values())
    dropped = _drop_inseparable(rows, judge, vectors_of, conflicts)
    while True:
        remaining = [row for i, row in enumerate(rows) if i not in dropped]
        excluded[ExclusionReason.INSEPARABLE] += len(rows) - len(remaining)
        selected = select(remaining)
        chosen = [remaining[position] for position in selected.positions]
        # With very many candidates an index searched for conflicts and may have missed some; the search among the
        # chosen ones is exact.
        if not (missed := _drop_inseparable(chosen, judge, vectors_of, conflicts)):
            break
        rows, dropped = remaining, {selected.positions[i] for i in missed}
    table = plan_table(chosen, judge, selected.gains)
    return Plan(table, pa.Table.from_pylist(conflicts, schema=PLAN_CONFLICTS), +(excluded + selected.excluded))


def plan_table(rows: Sequence[CandidateRow], judge: PlanJudge, gains: Sequence[float] = ()) -> pa.Table:
    """WARMING_PLAN of the chosen rows, ordered by rank, with the answer group of each."""
    ranked: list[PlanRow] = [
        {**row, "rank": rank, "gain": gains[rank] if gains else None, "answer_group": ""}
        for rank, row in enumerate(rows)
    ]
    _group_answers(ranked, judge)
    return conform("warming_plan", pa.Table.from_pylist(ranked, schema=WARMING_PLAN))


def _drop_inseparable(
    pool: Sequence[CandidateRow],
    judge: PlanJudge,
    vectors_of: Callable[[list[str]], np.ndarray],
    conflicts: list[dict[str, Any]],
) -> set[int]:
    """Positions of the candidates that conflict with an earlier one. Appends their rows to ``conflicts``."""
    pairs = []
    for positions in _positions_by_agent(pool).values():
        vectors = vectors_of([pool[i]["embedding_key"] for i in positions])
        words = [tokens(pool[i]["prompt"]) for i in positions]
        pairs += [(positions[p.first], positions[p.second], p.distance) for p in inseparable_pairs(vectors, words)]
    # A lookup for either prompt may get either answer, so both persons must be served as well.
    both_ways = judge.same(
        [
            AnswerPair(pool[asked]["prompt"], pool[i]["response"], pool[j]["response"])
            for i, j, _ in pairs
            for asked in (i, j)
        ],
        JudgeUse.CHANGED,
    )
    same = [bool(one and other) for one, other in both_ways.reshape(-1, 2)]
    dropped: set[int] = set()
    for (i, j, distance), equivalent in sorted(zip(pairs, same, strict=True), key=lambda found: found[0][1::-1]):
        if not equivalent and i not in dropped and j not in dropped:
            dropped.add(j)
            conflicts.append(_conflict(ExclusionReason.INSEPARABLE, pool[i], pool[j], distance))
    return dropped


def _positions_by_agent(rows: Sequence[CandidateRow]) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        positions.setdefault(row["agent_type"], []).append(i)
    return positions


def _conflict(reason: ExclusionReason, kept: CandidateRow, dropped: CandidateRow, distance: float) -> dict[str, Any]:
    """One row of PLAN_CONFLICTS."""
    return {
        "agent_type": kept["agent_type"],
        "reason": str(reason),
        "kept_id": kept["entry_id"],
        "kept_prompt": kept["prompt"],
        "kept_response": kept["response"],
        "dropped_id": dropped["entry_id"],
        "dropped_prompt": dropped["prompt"],
        "dropped_response": dropped["response"],
        "dropped_source": dropped["source"],
        "distance": distance,
    }


def _group_answers(rows: Sequence[PlanRow], judge: PlanJudge) -> None:
    """Sets ``answer_group`` of each row: 16 hex characters, a hash of the answer of the group's first entry."""
    for agent_type, positions in _positions_by_agent(rows).items():
        responses = [rows[i]["response"] for i in positions]
        heads = judge.groups([rows[i]["prompt"] for i in positions], responses)
        for i, head in zip(positions, heads.tolist(), strict=True):
            rows[i]["answer_group"] = sha256_hex(agent_type, canonical_response(responses[head]))[:16]


def plan_hash(plan: pa.Table, rules: Mapping[str, Any] | None = None) -> str:
    """Hash of everything that a generation of this plan stores: the entries in order, their positions in the learned
    space if the plan has that column, and the match rules if given.

    Two plans with the same hash give the same cache. Gates that judge only the entries store their verdict under the
    hash without rules.
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
