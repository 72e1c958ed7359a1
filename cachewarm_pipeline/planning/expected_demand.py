"""Expected demand of each agent_type: lookups a day of each text, and the candidates near it.

Expected lookups. Of r lookups of one text, r - 1 repeat an earlier one. That share of the text's demand (half of it for
a text asked once) can be an exact hit on an entry with this text. The rest of it, and all demand of a text that is no
candidate, stands for similar texts that users have not asked yet, which only a semantic hit can answer.

Use of answers. Answers are used only for labelled queries that do not certify (parts ``choose`` and ``fit``), with one
exception, below. If entries were chosen because they answer the certifying queries correctly, the certificate would be
worthless. So semantic demand comes from these parts, scaled up by their share of the log. A certifying query that is
itself a candidate counts with its own lookups. How likely a near entry answers it correctly is taken from the other
queries at that similarity, never from its own answer. One use of its answer remains: it decides which other queries it
would answer as an entry. Certifying queries that agree with others therefore become entries, and leave the certifying
part, more often than unusual ones. That can only make certification stricter.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cachewarm_pipeline.match_rules.hit_probability_curve import HitProbability, fit_curve
from cachewarm_pipeline.match_rules.labelled_queries import CERTIFY, SHARES
from cachewarm_pipeline.numerics.nearest_neighbours import nearest_neighbours
from cachewarm_pipeline.planning.candidate_row import CandidateRow, LabelledRow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEIGHBOURS = 32
"""Number of nearest candidates that may answer a demand point. No source had this many wordings of one answer within
the radius, so even a crowded region loses little."""

EXACT_LIMIT = 1_000_000_000
"""Number of pairs up to which all are compared. Above it, an index with a recall of at least 98% is good enough: a
pair that it misses costs a little coverage and causes no wrong answer."""

MIN_COSINE = 0.5
"""Cosine from which the index must find neighbours. Below it, fewer than one pair in twenty has the same answer."""

MIN_RELATIVE_COST = 0.05
"""Least cost of a call, relative to the mean: a call that costs nothing still takes time."""

CURVE_NEIGHBOURS = 10
"""Number of nearest candidates of each query that the curve of "same answer" by cosine is fitted on."""

SAME, OTHER, UNKNOWN = 1, 0, -1
ITSELF = 2
"""Whether a near candidate gives the answer of a demand point: the same one, another one, not known here, or the
candidate is the point's own text."""


class AnswerGrouping(Protocol):
    """The part of a judge that groups answers."""

    def groups(self, questions: Sequence[str], responses: Sequence[str]) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class AgentDemand:
    """Demand of one agent_type with n candidates at m demand points.

    The points are the candidates' own texts first, then texts similar to the training queries.
    """

    agent_type: str
    candidates: Ints
    """(n,): positions of its candidates among all rows."""
    lookups: Floats
    """(m,): expected lookups a day."""
    value: Floats
    """(m,): lookups times the cost that a hit saves, relative to the mean call."""
    near: Ints
    """(m, k): the nearest candidates of each point, as positions in ``candidates``."""
    cosine: NDArray[np.float32]
    """(m, k): their similarity."""
    same: NDArray[np.int8]
    """(m, k): SAME, OTHER, UNKNOWN or ITSELF."""
    right: HitProbability
    """How likely two answers are the same at a cosine."""
    queries: int
    """Number of distinct labelled queries."""
    total: float
    """All lookups a day, whether or not a candidate could answer them."""


def agent_demands(
    rows: Sequence[CandidateRow],
    labelled: pa.Table,
    vectors_of: Callable[[list[str]], NDArray[np.float32]],
    vectors_of_texts: Callable[[list[str]], NDArray[np.float32]],
    judge: AnswerGrouping,
) -> list[AgentDemand]:
    """The demand of each agent_type that has candidates, sorted by name.

    ``rows``: the candidates; ``labelled``: LABELLED_QUERIES. ``vectors_of`` returns the vectors of embedding keys,
    ``vectors_of_texts`` those of prompts, both (n, d). Memory: the vectors of one agent_type's candidates and training
    queries, and NEIGHBOURS neighbours (13 bytes each) of those of all agent types.
    """
    by_agent: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        by_agent.setdefault(row["agent_type"], []).append(position)
    queries: dict[str, list[LabelledRow]] = {}
    for query in labelled.drop_columns(["last_day"]).to_pylist():
        queries.setdefault(query["agent_type"], []).append(query)
    mean_cost = _mean_cost([query for own in queries.values() for query in own])
    return [
        _agent(name, rows, by_agent[name], queries.get(name, []), mean_cost, vectors_of, vectors_of_texts, judge)
        for name in sorted(by_agent)
    ]


def _agent(
    name: str,
    rows: Sequence[CandidateRow],
    positions: list[int],
    queries: list[LabelledRow],
    mean_cost: float | None,
    vectors_of: Callable[[list[str]], NDArray[np.float32]],
    vectors_of_texts: Callable[[list[str]], NDArray[np.float32]],
    judge: AnswerGrouping,
) -> AgentDemand:
    own = [rows[position] for position in positions]
    place_of = {row["entry_id"]: place for place, row in enumerate(own)}
    known = {query["entry_id"]: query for query in queries}
    train = [query for query in queries if query["part"] != CERTIFY]
    others = [query for query in train if query["entry_id"] not in place_of]
    texts = [*((row["prompt"], row["response"]) for row in own), *((q["prompt"], q["response"]) for q in train)]
    heads = judge.groups([prompt for prompt, _ in texts], [response for _, response in texts])
    group_of_train = dict(zip((query["entry_id"] for query in train), heads[len(own) :].tolist(), strict=True))
    vectors = vectors_of([row["embedding_key"] for row in own])
    k = min(NEIGHBOURS, len(own))
    found = nearest_neighbours(vectors, vectors, k, exact_limit=EXACT_LIMIT, wanted=MIN_COSINE)
    near, cosine = found.places, found.cosine
    if others:
        other_vectors = vectors_of_texts([query["prompt"] for query in others])
        of_others = nearest_neighbours(other_vectors, vectors, k, exact_limit=EXACT_LIMIT, wanted=MIN_COSINE)
        other_near, other_cosine = of_others.places, of_others.cosine
    else:
        other_near, other_cosine = np.empty((0, k), np.int64), np.empty((0, k), np.float32)
    groups = heads[: len(own)]

    repeated, novel = np.zeros(len(own)), np.zeros(len(own))
    for place, row in enumerate(own):
        query = known.get(row["entry_id"])
        # A frequent query that the cap on labelled queries dropped is asked often.
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
    training = np.flatnonzero(is_train)  # candidates that are training queries: similar texts are expected too
    other_demand = np.array([query["demand"] * query["stands_for"] for query in others], np.float64)
    lookups = np.concatenate((repeated, novel[training] / share, other_demand / share))
    saved = _relative_cost([*own, *(own[place] for place in training), *others], known, mean_cost)
    all_lookups = sum(query["demand"] * query["stands_for"] for query in queries)
    return AgentDemand(
        name,
        np.array(positions, np.int64),
        lookups,
        lookups * saved,
        np.concatenate((near, near[training], other_near)),
        np.concatenate((cosine, cosine[training], other_cosine)),
        np.concatenate((np.where(itself, ITSELF, same_own), same_own[training], same_others)).astype(np.int8),
        right,
        len(queries),
        float(all_lookups),
    )


def _right_curve(cosine: NDArray[np.float32], same: NDArray[np.int8], itself: NDArray[np.bool_]) -> HitProbability:
    first = min(CURVE_NEIGHBOURS + 1, cosine.shape[1])
    used = ~itself[:, :first]
    return fit_curve(cosine[:, :first][used], same[:, :first][used] == SAME)


def _mean_cost(queries: Sequence[LabelledRow]) -> float | None:
    """Mean cost of a call in USD, weighted by demand, over the queries whose cost is known; None where none is."""
    known = [(query["demand"], query["cost_usd"]) for query in queries if query["cost_usd"] is not None]
    weight = sum(demand for demand, _ in known)
    total = sum(demand * cost for demand, cost in known)
    return total / weight if weight > 0 and total > 0 else None


def _relative_cost(
    texts: Sequence[CandidateRow | LabelledRow], known: Mapping[str, LabelledRow], mean_cost: float | None
) -> Floats:
    """Cost that a hit saves, relative to the mean call, at least MIN_RELATIVE_COST; 1 where it is not known."""
    if mean_cost is None:
        return np.ones(len(texts))
    costs = [known.get(text["entry_id"], text)["cost_usd"] for text in texts]
    return np.array([1.0 if cost is None else max(MIN_RELATIVE_COST, cost / mean_cost) for cost in costs], np.float64)
