"""Held-out traffic against a recipe's entries: who would be served what, and what their own answers say of it.

Puts together what proof.replay_simulation counts. The judge comes as a callable; embedding is for the caller.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from cachewarm_client.match_features import Floats
from cachewarm_client.match_rules import MatchRule
from cachewarm_client.personal_data import find_personal_data, mask
from cachewarm_client.prompt_contradiction import contradiction
from cachewarm_client.text import entry_id
from cachewarm_client.words import tokens
from numpy.typing import NDArray

from cachewarm_pipeline.match_rules.learn_rules import rows_similarity
from cachewarm_pipeline.match_rules.match_model_fit import Labelled, Scorer, describe
from cachewarm_pipeline.proof.replay_simulation import (
    COUNTS,
    JudgedLookups,
    Own,
    ReplayTraffic,
    ServedLookups,
    plain_distance,
    shown_response,
    simulate_lookups,
)
from cachewarm_pipeline.storage.schemas import REPLAY, REPLAY_DECISIONS

NEAR_MISS = 0.0
"""Log-odds from which a query that is not served is shown and judged all the same: it is as likely right as wrong, and
the curve tells what a looser threshold would bring."""

NEAR_DISTANCE = 0.1
"""The same under a plain distance: so much further away."""

Same = Callable[[Sequence[tuple[str, str]]], NDArray[np.bool_]]


@dataclass
class AgentTraffic:
    """Held-out lookups of one agent_type: a row a (day, distinct query), in the order of days."""

    prompts: list[str] = field(default_factory=list)
    """Of each distinct query."""
    day: list[int] = field(default_factory=list)
    query: list[int] = field(default_factory=list)
    lookups: list[int] = field(default_factory=list)
    answers: list[list[tuple[str, int]]] = field(default_factory=list)
    """Of each row: logged answers that did not come from the cache, and how often each."""


def traffic_of(days: Iterable[tuple[date, pa.Table]]) -> dict[str, AgentTraffic]:
    """The held-out days' ``daily_query_counts`` by agent_type. Memory: the days once."""
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
    """What serves one agent_type: its entries (WARMING_PLAN rows) with their vectors (n, d), and its match rule.
    ``scorer``: what the rule reads of the entries; None where it reads nothing."""

    entries: pa.Table
    vectors: Floats
    rule: MatchRule
    scorer: Scorer | None


def replay_agent(
    agent_type: str,
    traffic: AgentTraffic,
    recipe: AgentRecipe,
    days: Sequence[date],
    vectors: Callable[[Sequence[int]], Floats],
    skip: NDArray[np.bool_],
    same: Same,
) -> tuple[pa.Table, pa.Table]:
    """REPLAY rows (one a day) and REPLAY_DECISIONS of one agent_type.

    ``vectors``: unit vectors of distinct queries by number; ``skip`` (q,): queries that are not looked up by meaning
    (personal data is not embedded): an exact hit, or a miss.
    """
    q = len(traffic.prompts)
    place_of = {entry: place for place, entry in enumerate(recipe.entries["entry_id"].to_pylist())}
    exact = np.array([place_of.get(entry_id(prompt, agent_type), -1) for prompt in traffic.prompts], np.int64)
    asked = np.flatnonzero((exact < 0) & ~skip)
    # Of the exactly hit ones too: a cold cache stores them and may answer others with them.
    placed = np.zeros((q, recipe.vectors.shape[1]), np.float32)
    if recipe.rule.rule != "exact_only" and not skip.all():
        placed[~skip] = vectors(np.flatnonzero(~skip).tolist())
    found = _by_meaning(traffic.prompts, asked, placed, recipe)
    near = np.where(exact >= 0, exact, np.where(found.score >= found.near_miss, found.pick, -1))
    semantic = np.where((exact < 0) & (found.score >= found.threshold), found.pick, -1)
    judged_rows, wrong_rows = _judge(traffic, near, recipe.entries["response"].to_pylist(), same)
    query = np.array(traffic.query, np.int64)
    served = (exact >= 0) | (semantic >= 0)
    counts = simulate_lookups(
        ReplayTraffic(np.array(traffic.day, np.int64), query, np.array(traffic.lookups, np.int64)),
        ServedLookups(exact, semantic, found.by_distance),
        JudgedLookups(np.where(served[query], judged_rows, 0), np.where(served[query], wrong_rows, 0)),
        len(days),
        _own(traffic.prompts, placed, recipe.rule),
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
class _Found:
    """Of each distinct query: the entry that the rule looks at, its score (-inf: not asked) and similarity, and whether
    the certified plain distance serves the nearest. ``threshold``: of the rule; ``near_miss``: least score shown."""

    pick: NDArray[np.int64]
    score: Floats
    similarity: Floats
    by_distance: NDArray[np.bool_]
    threshold: float = np.inf
    near_miss: float = np.inf


def _by_meaning(
    prompts: Sequence[str],
    asked: NDArray[np.integer],
    placed: Floats,
    recipe: AgentRecipe,
) -> _Found:
    q, n, rule = len(prompts), recipe.entries.num_rows, recipe.rule
    pick, score, similarity = np.full(q, -1), np.full(q, -np.inf), np.full(q, -1.0)
    by_distance = np.zeros(q, bool)
    if not n or not len(asked) or (rule.model is None and rule.distance_threshold is None):
        return _Found(pick, score, similarity, by_distance)
    texts = [*recipe.entries["prompt"].to_pylist(), *(prompts[i] for i in asked)]
    groups = {group: code for code, group in enumerate(dict.fromkeys(recipe.entries["answer_group"].to_pylist()))}
    codes = [groups[group] for group in recipe.entries["answer_group"].to_pylist()]
    data = Labelled(
        np.concatenate((recipe.vectors, placed[asked])),
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
        near_miss = min(NEAR_MISS, threshold)
    else:
        pick[asked], score[asked] = nearest, nearness
        threshold = 1 - (rule.distance_threshold or 0.0)
        near_miss = threshold - NEAR_DISTANCE
    similarity[asked] = rows_similarity(data, queries, pick[asked])
    return _Found(pick, score, similarity, by_distance, threshold, near_miss)


def _own(prompts: Sequence[str], placed: Floats, rule: MatchRule) -> Own | None:
    """What the application stores itself answers others by the certified plain distance alone, as in serving. A query
    without a vector (not embedded, all zero) is near nothing."""
    if rule.distance_threshold is None:
        return None
    words = [tokens(prompt) for prompt in prompts]
    return plain_distance(placed, rule.distance_threshold, lambda a, b: contradiction(words[a], words[b]) is not None)


def _judge(
    traffic: AgentTraffic, entry: NDArray[np.int64], responses: Sequence[str], same: Same
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each row of the traffic: its logged answers that were compared with its entry's, and how many differ."""
    pairs: dict[tuple[str, str], int] = {}
    usable: dict[str, bool] = {}
    for query, answers in zip(traffic.query, traffic.answers, strict=True):
        if entry[query] >= 0:
            for text, _ in answers:
                if usable.setdefault(text, not find_personal_data(text)):  # a judge may be somebody else's server
                    pairs.setdefault((text, responses[int(entry[query])]), len(pairs))
    verdicts = same(list(pairs))
    judged, wrong = np.zeros(len(traffic.query), np.int64), np.zeros(len(traffic.query), np.int64)
    for i, (query, answers) in enumerate(zip(traffic.query, traffic.answers, strict=True)):
        for text, count in answers if entry[query] >= 0 else ():
            if usable[text]:
                judged[i] += count
                wrong[i] += 0 if verdicts[pairs[text, responses[int(entry[query])]]] else count
    return judged, wrong


def _own_answers(traffic: AgentTraffic) -> dict[int, str]:
    """An answer of each query that has one: the first of its newest row."""
    return {query: answers[0][0] for query, answers in zip(traffic.query, traffic.answers, strict=True) if answers}
