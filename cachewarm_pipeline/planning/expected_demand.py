"""Demand as the selection of entries sees it: who is asked how often, and which candidates are near.

Expected lookups. Of r lookups of one text, r - 1 repeat an earlier one: that share of its demand, of a text asked
once half, can be hit exactly by an entry of this very text. The rest, and all of a text that is no candidate, stands
for texts like it that are still to come, which only a match by meaning can hit.

What may be known of whom. Answers are only compared for queries of the parts that do not certify (``choose``, ``fit``):
choosing entries that answer the certifying queries rightly would make their certificate worthless. So demand by meaning
is that of these parts, scaled up by their share. A certifying query that is a candidate counts with its own lookups;
how likely a near entry answers it rightly is taken from the other queries at that similarity, never from its answer.
Its answer does say whom it would answer as an entry, so those that the others agree with become entries, and leave the
certifying part, more often than the odd ones, which stay: that can only make the certificate harder.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cachewarm_pipeline.match_rules.labelled_queries import CERTIFY, SHARES
from cachewarm_pipeline.match_rules.reach_curve import Reach, fit_curve
from cachewarm_pipeline.numerics.nearest_neighbours import nearest_neighbours

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LOOKED_AT = 32
"""Nearest candidates that may answer a demand point: more than the wordings of one answer that any source had within
the radius, so that a crowded place loses little."""

EXACT_LIMIT = 1_000_000_000
"""Pairs up to which all are compared here; past it an index of at least 98% recall will do: a pair that it misses costs
a little coverage and no wrong answer."""

WANTED = 0.5
"""Cosine from which the index must find neighbours: below, hardly one pair in twenty has the same answer."""

LEAST_COST = 0.05
"""Of a call, relative to the mean: one that costs nothing still takes time."""

CURVE_NEIGHBOURS = 10
"""Nearest candidates of a query that tell how often the same similarity means the same answer."""

SAME, OTHER, UNKNOWN = 1, 0, -1
ITSELF = 2


class Grouping(Protocol):
    """What of a judge is needed here."""

    def groups(self, responses: Sequence[str]) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class AgentDemand:
    """One agent_type. ``candidates`` (n,): positions of its candidates in all rows. Demand points are m: first the
    candidates' own texts, then texts like the training queries. ``lookups`` (m,): expected a day; ``value`` (m,): the
    same times the cost saved, relative to the mean. ``near``, ``cosine``, ``same`` (m, k): the nearest candidates of
    each point by their place among ``candidates``, and whether their answer is its own: SAME, OTHER, UNKNOWN, or
    ITSELF.

    ``queries``: its distinct labelled queries. ``right``: how likely the answers are the same at a cosine. ``total``:
    all lookups a day, whoever could answer them.
    """

    agent_type: str
    candidates: Ints
    lookups: Floats
    value: Floats
    near: Ints
    cosine: NDArray[np.float32]
    same: NDArray[np.int8]
    right: Reach
    queries: int
    total: float


def agent_demands(
    rows: Sequence[Mapping[str, Any]],
    labelled: pa.Table,
    vectors_of: Callable[[list[str]], NDArray[np.float32]],
    vectors_of_texts: Callable[[list[str]], NDArray[np.float32]],
    judge: Grouping,
) -> list[AgentDemand]:
    """The demand of each agent_type that has candidates, by name. ``rows``: candidates with their embedding_key.

    ``vectors_of`` gives the vectors of keys, ``vectors_of_texts`` those of prompts. Memory: vectors and LOOKED_AT
    neighbours (13 bytes each) of one agent_type's candidates and training queries, and the neighbours of all.
    """
    by_agent: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        by_agent.setdefault(row["agent_type"], []).append(position)
    queries: dict[str, list[dict[str, Any]]] = {}
    for query in labelled.drop_columns(["last_day"]).to_pylist():
        queries.setdefault(query["agent_type"], []).append(query)
    mean_cost = _mean_cost([query for own in queries.values() for query in own])
    return [
        _agent(name, rows, by_agent[name], queries.get(name, []), mean_cost, vectors_of, vectors_of_texts, judge)
        for name in sorted(by_agent)
    ]


def _agent(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    positions: list[int],
    queries: list[dict[str, Any]],
    mean_cost: float | None,
    vectors_of: Callable[[list[str]], NDArray[np.float32]],
    vectors_of_texts: Callable[[list[str]], NDArray[np.float32]],
    judge: Grouping,
) -> AgentDemand:
    own = [rows[position] for position in positions]
    place_of = {row["entry_id"]: place for place, row in enumerate(own)}
    known = {query["entry_id"]: query for query in queries}
    train = [query for query in queries if query["part"] != CERTIFY]
    others = [query for query in train if query["entry_id"] not in place_of]
    heads = judge.groups([*(row["response"] for row in own), *(query["response"] for query in train)])
    group_of_train = dict(zip((query["entry_id"] for query in train), heads[len(own) :].tolist(), strict=True))
    vectors = vectors_of([row["embedding_key"] for row in own])
    k = min(LOOKED_AT, len(own))
    found = nearest_neighbours(vectors, vectors, k, exact_limit=EXACT_LIMIT, wanted=WANTED)
    near, cosine = found.places, found.cosine
    if others:
        other_vectors = vectors_of_texts([query["prompt"] for query in others])
        beside = nearest_neighbours(other_vectors, vectors, k, exact_limit=EXACT_LIMIT, wanted=WANTED)
        other_near, other_cosine = beside.places, beside.cosine
    else:
        other_near, other_cosine = np.empty((0, k), np.int64), np.empty((0, k), np.float32)
    groups = heads[: len(own)]

    repeated, novel = np.zeros(len(own)), np.zeros(len(own))
    for place, row in enumerate(own):
        query = known.get(row["entry_id"])
        # A frequent query over the cap of labelled ones is asked often.
        demand, times = (query["demand"], query["frequency"]) if query else (row["demand"], np.inf)
        novel_share = min(0.5, 1 / times)
        repeated[place] = demand * (1 - novel_share)
        novel[place] = demand * novel_share * (query["stands_for"] if query else 1.0)
    is_train = np.array([row["entry_id"] in group_of_train for row in own], bool)
    train_group = np.array([group_of_train.get(row["entry_id"], -1) for row in own], np.int64)
    other_group = np.array([group_of_train[query["entry_id"]] for query in others], np.int64)

    same_own = np.where(is_train[:, None], groups[near] == train_group[:, None], UNKNOWN).astype(np.int8)
    same_others = (groups[other_near] == other_group[:, None]).astype(np.int8)
    itself = near == np.arange(len(own))[:, None]
    right = _right_curve(
        np.concatenate((cosine[is_train], other_cosine)),
        np.concatenate((same_own[is_train], same_others)),
        np.concatenate((itself[is_train], np.zeros(other_near.shape, bool))),
    )
    share = 1 - SHARES[CERTIFY]
    like = np.flatnonzero(is_train)  # texts like the candidates of the training parts
    of_others = np.array([query["demand"] * query["stands_for"] for query in others], np.float64)
    lookups = np.concatenate((repeated, novel[like] / share, of_others / share))
    saved = _relative_cost([*own, *(own[place] for place in like), *others], known, mean_cost)
    all_lookups = sum(query["demand"] * query["stands_for"] for query in queries)
    return AgentDemand(
        name,
        np.array(positions, np.int64),
        lookups,
        lookups * saved,
        np.concatenate((near, near[like], other_near)),
        np.concatenate((cosine, cosine[like], other_cosine)),
        np.concatenate((np.where(itself, ITSELF, same_own), same_own[like], same_others)).astype(np.int8),
        right,
        len(queries),
        float(all_lookups),
    )


def _right_curve(cosine: NDArray[np.float32], same: NDArray[np.int8], itself: NDArray[np.bool_]) -> Reach:
    first = min(CURVE_NEIGHBOURS + 1, cosine.shape[1])
    asked = ~itself[:, :first]
    return fit_curve(cosine[:, :first][asked], same[:, :first][asked] == SAME)


def _mean_cost(queries: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean cost of a call in USD over the demand whose cost is known; None where none is."""
    known = [(query["demand"], query["cost_usd"]) for query in queries if query["cost_usd"] is not None]
    weight = sum(demand for demand, _ in known)
    total = sum(demand * cost for demand, cost in known)
    return total / weight if weight > 0 and total > 0 else None


def _relative_cost(
    texts: Sequence[Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]], mean_cost: float | None
) -> Floats:
    """Cost that a hit saves, relative to the mean call, at least LEAST_COST; 1 where it is not known."""
    if mean_cost is None:
        return np.ones(len(texts))
    costs = [known.get(text["entry_id"], text)["cost_usd"] for text in texts]
    return np.array([1.0 if cost is None else max(LEAST_COST, cost / mean_cost) for cost in costs], np.float64)
