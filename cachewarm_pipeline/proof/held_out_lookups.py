"""Held-out traffic against a recipe's entries: which entry would serve each query, and whether its answer
equals the logged answer.

Prepares what proof.replay_simulation counts. The judge is passed in as a callable; the caller embeds.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.match_features import Floats
from cachewarm_client.match_rules import MatchRule
from cachewarm_client.personal_data import find_personal_data, mask
from cachewarm_client.prompt_contradiction import contradiction
from cachewarm_client.text import entry_id
from cachewarm_client.words import tokens
from numpy.typing import NDArray

from cachewarm_pipeline.match_rules.learn_rules import rows_similarity
from cachewarm_pipeline.match_rules.match_model_fit import Labelled, Scorer, describe
from cachewarm_pipeline.ports import AnswerPair, JudgeUse
from cachewarm_pipeline.proof.replay_simulation import (
    COUNTS,
    AnswersFromStored,
    JudgedLookups,
    ReplayTraffic,
    ServedLookups,
    plain_distance,
    shown_response,
    simulate_lookups,
)
from cachewarm_pipeline.storage.schemas import REPLAY, REPLAY_DECISIONS

NEAR_MISS_SCORE = 0.0
"""Log-odds from which a query that is not served is judged and shown anyway. At 0 it is as likely right as wrong; the
precision curve uses such queries to show what a looser threshold would do."""

NEAR_MISS_DISTANCE = 0.1
"""The same under a plain distance rule: how much further away than the threshold."""


class JudgeSame(Protocol):
    """A judge's ``same``: whether the two answers of each pair are equivalent."""

    def __call__(self, pairs: Sequence[AnswerPair], use: JudgeUse, /) -> NDArray[np.bool_]: ...


@dataclass
class AgentTraffic:
    """Held-out lookups of one agent_type: one row per (day, distinct query), ordered by day."""

    prompts: list[str] = field(default_factory=list)
    """Prompt of each distinct query."""
    day: list[int] = field(default_factory=list)
    """Number of the day of each row, from 0."""
    query: list[int] = field(default_factory=list)
    """Number of the distinct query of each row, from 0."""
    lookups: list[int] = field(default_factory=list)
    """Lookups of each row."""
    answers: list[list[tuple[str, int]]] = field(default_factory=list)
    """Logged answers of each row that did not come from the cache, each with its count."""


def traffic_by_agent_type(days: Iterable[tuple[date, pa.Table]]) -> dict[str, AgentTraffic]:
    """The held-out days' DAILY_QUERY_COUNTS by agent_type. Memory: the days once."""
    traffic: dict[str, AgentTraffic] = {}
    numbers: dict[tuple[str, str], int] = {}
    for number, (_, table) in enumerate(days):
        for row in table.select(["agent_type", "canonical", "prompt", "count", "responses"]).to_pylist():
            own = traffic.setdefault(row["agent_type"], AgentTraffic())
            query = numbers.setdefault((row["agent_type"], row["canonical"]), len(own.prompts))
            if query == len(own.prompts):
                own.prompts.append(row["prompt"])
            own.day.append(number)
            own.query.append(query)
            own.lookups.append(row["count"])
            own.answers.append([(answer["response"], answer["count"]) for answer in row["responses"]])
    return traffic


@dataclass(frozen=True)
class AgentRecipe:
    """What serves one agent_type."""

    entries: pa.Table
    """WARMING_PLAN rows (n)."""
    vectors: Floats
    """(n, d): vectors of the entries."""
    rule: MatchRule
    scorer: Scorer | None
    """The entries' positions in the learned space; None if the rule does not use one."""


def replay_agent(
    agent_type: str,
    traffic: AgentTraffic,
    recipe: AgentRecipe,
    days: Sequence[date],
    vectors: Callable[[Sequence[int]], Floats],
    skip: NDArray[np.bool_],
    same: JudgeSame,
    steady: Collection[str] = (),
) -> tuple[pa.Table, pa.Table]:
    """REPLAY rows (one per day) and REPLAY_DECISIONS of one agent_type.

    ``vectors``: returns unit vectors (m, d) of distinct queries by their numbers. ``skip`` (q,): queries without a
    semantic lookup, because personal data is not embedded: each is an exact hit or a miss. ``steady``: entry_ids of
    log queries whose answers merely vary from call to call, held-out days included: an exact hit on one is not wrong.
    """
    q = len(traffic.prompts)
    position_of = {entry: position for position, entry in enumerate(recipe.entries["entry_id"].to_pylist())}
    exact = np.array([position_of.get(entry_id(prompt, agent_type), -1) for prompt in traffic.prompts], np.int64)
    asked = np.flatnonzero((exact < 0) & ~skip)
    # Exact hits get a vector too: a cold cache stores these queries and may answer others with them.
    query_vectors = np.zeros((q, recipe.vectors.shape[1]), np.float32)
    if recipe.rule.rule != "exact_only" and not skip.all():
        query_vectors[~skip] = vectors(np.flatnonzero(~skip).tolist())
    found = _semantic_lookups(traffic.prompts, asked, query_vectors, recipe)
    near = np.where(exact >= 0, exact, np.where(found.score >= found.near_miss, found.pick, -1))
    semantic = np.where((exact < 0) & (found.score >= found.threshold), found.pick, -1)
    from_log = recipe.entries.filter(pc.equal(recipe.entries["source"], "query_log"))["entry_id"].to_pylist()
    unchanged = np.isin(exact, [position_of[entry] for entry in from_log if entry in steady])
    judged_rows, wrong_rows = _judge(traffic, near, exact >= 0, unchanged, recipe.entries["response"].to_pylist(), same)
    query = np.array(traffic.query, np.int64)
    served = (exact >= 0) | (semantic >= 0)
    counts = simulate_lookups(
        ReplayTraffic(np.array(traffic.day, np.int64), query, np.array(traffic.lookups, np.int64)),
        ServedLookups(exact, semantic, found.by_distance),
        JudgedLookups(np.where(served[query], judged_rows, 0), np.where(served[query], wrong_rows, 0)),
        len(days),
        _app_entry_rule(traffic.prompts, query_vectors, recipe.rule),
    )
    names = pa.array([agent_type] * len(days), pa.string())
    rows = pa.table([names, pa.array(list(days), pa.date32()), *(counts[n] for n in COUNTS.names)], schema=REPLAY)

    def per_query(values: NDArray[Any]) -> NDArray[np.int64]:
        total = np.zeros(q, np.int64)
        np.add.at(total, query, values)
        return total

    lookups, judged, wrong = (per_query(np.asarray(v)) for v in (traffic.lookups, judged_rows, wrong_rows))
    own_answer = _own_answers(traffic)
    entries = recipe.entries.select(["entry_id", "prompt", "response"]).to_pylist()
    decisions = []
    for i in np.flatnonzero(near >= 0).tolist():
        entry = entries[int(near[i])]
        kind = "exact" if exact[i] >= 0 else "semantic" if semantic[i] >= 0 else "miss"
        decisions.append(
            {
                "agent_type": agent_type,
                "prompt": mask(traffic.prompts[i]),
                "kind": kind,
                "entry_id": entry["entry_id"],
                "entry_prompt": entry["prompt"],
                "score": None if kind == "exact" else float(found.score[i]),
                "similarity": 1.0 if kind == "exact" else float(found.similarity[i]),
                "lookups": int(lookups[i]),
                "judged": int(judged[i]),
                "wrong": int(wrong[i]),
                "served_response": shown_response(entry["response"]),
                "own_response": shown_response(own_answer[i]) if i in own_answer else None,
            }
        )
    return rows, pa.Table.from_pylist(decisions, schema=REPLAY_DECISIONS)


@dataclass(frozen=True)
class _SemanticLookups:
    """The semantic lookup of each distinct query, all of shape (q,)."""

    pick: NDArray[np.int64]
    """The entry that the rule considers, by position; -1 without a lookup."""
    score: Floats
    """The rule's score of that entry; -inf without a lookup."""
    similarity: Floats
    """Cosine of that entry; -1 without a lookup."""
    by_distance: NDArray[np.bool_]
    """Whether the certified plain distance serves the nearest entry."""
    threshold: float = np.inf
    """Score from which the rule serves."""
    near_miss: float = np.inf
    """Score from which a query is judged and shown."""


def _semantic_lookups(
    prompts: Sequence[str],
    asked: NDArray[np.integer],
    query_vectors: Floats,
    recipe: AgentRecipe,
) -> _SemanticLookups:
    q, n, rule = len(prompts), recipe.entries.num_rows, recipe.rule
    pick, score, similarity = np.full(q, -1), np.full(q, -np.inf), np.full(q, -1.0)
    by_distance = np.zeros(q, bool)
    if not n or not len(asked) or (rule.model is None and rule.distance_threshold is None):
        return _SemanticLookups(pick, score, similarity, by_distance)
    texts = [*recipe.entries["prompt"].to_pylist(), *(prompts[i] for i in asked)]
    groups = {group: code for code, group in enumerate(dict.fromkeys(recipe.entries["answer_group"].to_pylist()))}
    codes = [groups[group] for group in recipe.entries["answer_group"].to_pylist()]
    data = Labelled(
        np.concatenate((recipe.vectors, query_vectors[asked])),
        np.array([*codes, *[-1] * len(asked)]),
        [tokens(text) for text in texts],
    )
    queries = np.arange(n, n + len(asked))
    rows, picked, nearest = describe(data, np.arange(n), recipe.scorer or Scorer.unlearned(n), queries)
    nearness = rows_similarity(data, queries, nearest)
    if rule.distance_threshold is not None:
        by_distance[asked] = 1 - nearness <= rule.distance_threshold
    if rule.model:
        pick[asked], score[asked], threshold = picked, rule.model.score(rows), rule.score_threshold
        near_miss = min(NEAR_MISS_SCORE, threshold)
    else:
        pick[asked], score[asked] = nearest, nearness
        threshold = 1 - (rule.distance_threshold or 0.0)
        near_miss = threshold - NEAR_MISS_DISTANCE
    similarity[asked] = rows_similarity(data, queries, pick[asked])
    return _SemanticLookups(pick, score, similarity, by_distance, threshold, near_miss)


def _app_entry_rule(prompts: Sequence[str], query_vectors: Floats, rule: MatchRule) -> AnswersFromStored | None:
    """How app entries answer other queries: by the certified plain distance alone, as in serving. A query that was not
    embedded has a zero vector, which is near nothing."""
    if rule.distance_threshold is None:
        return None
    words = [tokens(prompt) for prompt in prompts]
    return plain_distance(
        query_vectors, rule.distance_threshold, lambda a, b: contradiction(words[a], words[b]) is not None
    )


def _judge(
    traffic: AgentTraffic,
    entry: NDArray[np.int64],
    exact: NDArray[np.bool_],
    unchanged: NDArray[np.bool_],
    responses: Sequence[str],
    same: JudgeSame,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each row of the traffic: how many of its logged answers were compared with its entry's, and how many of these
    differ. ``entry`` (q,): position of each query's entry, or -1.

    At ``exact`` (q,) the entry's answer is one to the very same prompt. It is wrong only if it says something else
    (CHANGED): a model uses other words on each call. Where ``unchanged`` (q,), it is right and no judge is asked. A
    semantic hit is judged as strictly as the evidence (LABEL).
    """

    def pair_of(query: int, text: str) -> AnswerPair:
        return AnswerPair(traffic.prompts[query], text, responses[int(entry[query])])

    pairs: dict[JudgeUse, dict[AnswerPair, bool]] = {JudgeUse.CHANGED: {}, JudgeUse.LABEL: {}}
    use_of = [JudgeUse.CHANGED if is_exact else JudgeUse.LABEL for is_exact in exact.tolist()]
    usable: dict[str, bool] = {}
    for query, answers in zip(traffic.query, traffic.answers, strict=True):
        if entry[query] >= 0:
            for text, _ in answers:
                usable.setdefault(text, not find_personal_data(text))
                if usable[text] and not unchanged[query]:  # the judge may be an external server
                    pairs[use_of[query]][pair_of(query, text)] = False
    for use, asked in pairs.items():
        asked.update(zip(asked, same(list(asked), use).tolist() if asked else [], strict=True))
    judged, wrong = np.zeros(len(traffic.query), np.int64), np.zeros(len(traffic.query), np.int64)
    for i, (query, answers) in enumerate(zip(traffic.query, traffic.answers, strict=True)):
        for text, count in answers if entry[query] >= 0 else ():
            if usable[text]:
                judged[i] += count
                right = unchanged[query] or pairs[use_of[query]][pair_of(query, text)]
                wrong[i] += 0 if right else count
    return judged, wrong


def _own_answers(traffic: AgentTraffic) -> dict[int, str]:
    """One logged answer of each query that has any: the first of its newest row."""
    return {query: answers[0][0] for query, answers in zip(traffic.query, traffic.answers, strict=True) if answers}
