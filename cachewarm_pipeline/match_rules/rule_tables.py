"""Between the datasets and the learning: logs of agent types from plan and labelled queries, and rules and evidence as
tables."""

import json
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from cachewarm_client.match_decision import pack
from cachewarm_client.match_features import Floats, Ints
from cachewarm_client.match_rules import MatchRules
from cachewarm_client.words import tokens
from numpy.typing import NDArray

from cachewarm_pipeline.match_rules.labelled_queries import CERTIFY
from cachewarm_pipeline.match_rules.learn_rules import Evidence
from cachewarm_pipeline.match_rules.match_model_fit import Labelled, Scorer
from cachewarm_pipeline.match_rules.training import AgentLog
from cachewarm_pipeline.ports import AnswerPair
from cachewarm_pipeline.storage.schemas import MATCH_EVIDENCE, MATCH_RULES, MATCH_VECTORS

SHARED = ""
"""agent_type of the row with what all rules share: the default rule, the version, the learned space, the word
weights."""


class GroupsResponses(Protocol):
    """The calls of a judge that are needed here."""

    def same(self, pairs: Sequence[AnswerPair]) -> NDArray[np.bool_]: ...

    def groups(self, questions: Sequence[str], responses: Sequence[str]) -> NDArray[np.int64]: ...


def agent_logs(
    plan: pa.Table, labelled: pa.Table, vectors_of: Callable[[list[str]], Floats], judge: GroupsResponses
) -> list[AgentLog]:
    """A log for each agent_type of the plan or of the labelled queries, ordered by name.

    ``plan``: WARMING_PLAN. ``labelled``: LABELLED_QUERIES. ``vectors_of``: unit vectors of prompts, float32 (n, d).
    Labelled queries that the plan warms are not used: they are hit exactly. Only rows that are fitted on have answer
    groups; those of the certifying part have none. Memory: the vectors once.
    """
    warmed = set(plan["entry_id"].to_pylist())
    names = sorted({*plan["agent_type"].to_pylist(), *labelled["agent_type"].to_pylist()})
    entries_by, queries_by = _by_agent(plan), _by_agent(labelled)
    logs, first_group = [], 0
    for name in names:
        entries = _take(plan, entries_by.get(name, []))
        queries = _take(labelled, _unwarmed(labelled, queries_by.get(name, []), warmed))
        prompts = [*entries["prompt"].to_pylist(), *queries["prompt"].to_pylist()]
        responses = [*entries["response"].to_pylist(), *queries["response"].to_pylist()]
        n = entries.num_rows
        certifies = np.array([part == CERTIFY for part in queries["part"].to_pylist()], bool)
        train, held_out = n + np.flatnonzero(~certifies), n + np.flatnonzero(certifies)
        groups = np.full(len(prompts), -1)
        if n:
            # Entries keep the plan's groups, which serving uses; a query that the judge groups with an entry joins
            # them.
            fitted = [*range(n), *train.tolist()]
            heads = judge.groups([prompts[i] for i in fitted], [responses[i] for i in fitted])
            firsts: dict[str, int] = {}
            named = entries["answer_group"].to_pylist()
            of_entry = np.array([firsts.setdefault(group, place) for place, group in enumerate(named)])
            groups[fitted] = first_group + np.where(heads < n, of_entry[np.minimum(heads, n - 1)], heads)
            groups[:n] = first_group + of_entry
        first_group += len(prompts)
        data = Labelled(vectors_of(prompts), groups, [tokens(p) for p in prompts], _comparer(judge, prompts, responses))
        logs.append(AgentLog(name, data, n, train, held_out))
    return logs


def _take(table: pa.Table, rows: list[int]) -> pa.Table:
    return table.take(pa.array(rows, pa.int64()))


def _unwarmed(labelled: pa.Table, rows: list[int], warmed: set[str]) -> list[int]:
    """The labelled queries that the plan does not warm: the others are hit exactly."""
    return [i for i in rows if labelled["entry_id"][i].as_py() not in warmed]


def _by_agent(table: pa.Table) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for i, name in enumerate(table["agent_type"].to_pylist()):
        rows.setdefault(name, []).append(i)
    return rows


def _comparer(
    judge: GroupsResponses, prompts: Sequence[str], responses: Sequence[str]
) -> Callable[[Ints, Ints], NDArray[np.bool_]]:
    def same(queries: Ints, entries: Ints) -> NDArray[np.bool_]:
        pairs = zip(queries.tolist(), entries.tolist(), strict=True)
        return judge.same([AnswerPair(prompts[q], responses[q], responses[e]) for q, e in pairs])

    return same


def rules_table(rules: MatchRules) -> pa.Table:
    """The table MATCH_RULES: first the row SHARED, then a row for each agent_type, ordered by name."""
    rows = [{**rules.default.describe(), "agent_type": SHARED, "data": _json(rules.shared_dict())}]
    rows += [{**rules.rules[n].describe(), "data": _json(rules.rules[n].as_dict())} for n in sorted(rules.rules)]
    return pa.Table.from_pylist(rows, schema=MATCH_RULES)


def rules_of(table: pa.Table) -> MatchRules:
    """The rules of a MATCH_RULES table. Raises CacheError for damaged rules and for those of another version."""
    shared, rules = {}, []
    for row in table.select(["agent_type", "data"]).to_pylist():
        data = json.loads(row["data"])
        if row["agent_type"] == SHARED:
            shared = data
        else:
            rules.append(data)
    return MatchRules.from_dict({**shared, "rules": rules})


def vectors_table(logs: Sequence[AgentLog], plan: pa.Table, rules: MatchRules, scorers: dict[str, Scorer]) -> pa.Table:
    """The table MATCH_VECTORS: the entries' vectors in the learned space and their reliability, for agent types with a
    learned rule."""
    rows = []
    by_agent = _by_agent(plan)
    for log in logs:
        scorer = scorers.get(log.agent_type) if rules.for_agent_type(log.agent_type).model else None
        if scorer:
            packed = map(pack, scorer.own, scorer.centre, scorer.reliability)
            for row, text in zip(by_agent[log.agent_type], packed, strict=True):
                rows.append({"entry_id": plan["entry_id"][row].as_py(), "rule_vectors": text})
    return pa.Table.from_pylist(rows, schema=MATCH_VECTORS)


def evidence_table(
    logs: Sequence[AgentLog], plan: pa.Table, labelled: pa.Table, evidence: dict[str, Evidence]
) -> pa.Table:
    """The table MATCH_EVIDENCE: every certifying query, the entries that would answer it, and the judge's labels where
    they were needed."""
    warmed = set(plan["entry_id"].to_pylist())
    entries_by, queries_by = _by_agent(plan), _by_agent(labelled)
    parts = []
    for log in logs:
        if (found := evidence.get(log.agent_type)) is None or not len(found.held_out):
            continue
        entries = _take(plan, entries_by[log.agent_type])
        queries = _take(labelled, _unwarmed(labelled, queries_by[log.agent_type], warmed))
        queries = _take(queries, (found.held_out - log.entries).tolist())
        picked, nearest = pa.array(found.picked), pa.array(found.nearest)
        columns = [
            queries["agent_type"],
            queries["prompt"],
            queries["frequency"],
            entries["entry_id"].take(picked),
            entries["prompt"].take(picked),
            pa.array(found.score, mask=~np.isfinite(found.score)),
            pa.array(found.right == 1, mask=found.right < 0),
            entries["entry_id"].take(nearest),
            pa.array(found.similarity),
            pa.array(found.nearest_right == 1, mask=found.nearest_right < 0),
        ]
        parts.append(pa.table(columns, schema=MATCH_EVIDENCE))
    return pa.concat_tables(parts) if parts else MATCH_EVIDENCE.empty_table()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)
