"""Simulation of held-out lookups against a warmed and a cold cache, one agent_type at a time. Pure counting.

held_out_lookups finds which entry serves a query and what the judge says about it; replay_summary adds up the counts
that are made here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from cachewarm_client.personal_data import mask
from numpy.typing import NDArray

from cachewarm_pipeline.numerics.nearest_neighbours import Vectors, block_rows
from cachewarm_pipeline.storage.schemas import REPLAY_COUNTS

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

AnswersFromStored = Callable[[Ints, Ints], Bools]
"""Which stored queries answer which queries, all given by number: (m,), (s,) -> (m, s). Called with at most
nearest_neighbours.CELLS pairs at a time, or nearest_neighbours.BLOCK squared."""

COUNTS = pa.schema(REPLAY_COUNTS)
"""What ``simulate_lookups`` returns: REPLAY without agent_type and date."""

SHOWN_CHARS = 500
"""Characters of a response in REPLAY_DECISIONS: enough for a reviewer to see why it is wrong, and the dataset stays
small."""


@dataclass(frozen=True)
class ReplayTraffic:
    """One row per day and distinct query, ordered by day, all of shape (n,).

    The rows of a day are simulated one after the other, because daily counts do not record the order of lookups.
    """

    day: Ints
    """0 is the first held-out day."""
    query: Ints
    """Number of the distinct query, 0..q-1."""
    lookups: Ints
    """At least 1."""


@dataclass(frozen=True)
class ServedLookups:
    """What warmed entries do for each distinct query, all of shape (q,)."""

    exact: Ints
    """Position of the plan's entry with the same canonical prompt, else -1."""
    semantic: Ints
    """Position of the entry that the match rule serves if there is no exact one, else -1 (a miss)."""
    distance: Bools
    """Whether the certified plain distance, which a stock reader applies, serves the nearest entry. False if no
    distance is certified."""


@dataclass(frozen=True)
class JudgedLookups:
    """What the judge found for each row of the traffic, both of shape (n,)."""

    answers: Ints
    """Uncached logged answers of the row that were compared with the served response. 0 if no warmed entry serves the
    row, or the row has no answer of its own."""
    wrong: Ints
    """Those of them that are not equivalent to the served response. To an exact hit, those that say something else."""


def simulate_lookups(
    traffic: ReplayTraffic,
    served: ServedLookups,
    judged: JudgedLookups,
    days: int,
    app_entries: AnswersFromStored | None = None,
) -> pa.Table:
    """Counts of each day 0..days-1 as a COUNTS table, ordered by day. A day without lookups has zeros.

    Two caches get the same lookups. The cold one starts empty: the first lookup of a query is a miss and the app stores
    the answer, so all later ones hit. The warmed one asks its warmed entries first, and treats their misses in the same
    way. With ``app_entries`` a stored answer also serves other queries, as that rule allows; without, it serves only
    its own query. Nothing that is stored expires within the held-out days.

    Time: the rows, and with ``app_entries`` the product of distinct and stored queries, in blocks. Memory: a few
    numbers per row, and one block.

    Raises ValueError for arrays that do not fit together.
    """
    _validate(traffic, served, judged, days)
    day, query, lookups = traffic.day, traffic.query, traffic.lookups
    exact = served.exact >= 0
    semantic = ~exact & (served.semantic >= 0)
    seen, first = np.unique(query, return_index=True)
    order = seen[np.argsort(first)]
    is_first = np.zeros(len(query), bool)
    is_first[first] = True

    def hits(asked: Ints) -> Ints:
        """Hits of each row in a cache that stores what it misses of the ``asked`` queries (in order of appearance)."""
        is_asked = np.zeros(len(exact), bool)
        is_asked[asked] = True
        missed = np.zeros(len(exact), bool)
        missed[_stored(asked, app_entries)] = True
        return np.asarray(is_asked[query] * (lookups - (is_first & missed[query])), np.int64)

    is_exact, is_semantic = exact[query], semantic[query]
    own_hits = hits(order[~(exact | semantic)[order]])
    columns = {
        "lookups": lookups,
        "cold_hits": hits(order),
        "warmed_hits": lookups * (is_exact | is_semantic) + own_hits,
        "exact_hits": lookups * is_exact,
        "semantic_hits": lookups * is_semantic,
        "own_hits": own_hits,
        "distance_hits": lookups * (exact | served.distance)[query],
        "exact_judged": judged.answers * is_exact,
        "exact_wrong": judged.wrong * is_exact,
        "semantic_judged": judged.answers * is_semantic,
        "semantic_wrong": judged.wrong * is_semantic,
    }
    return pa.table([_by_day(columns[name], day, days) for name in COUNTS.names], schema=COUNTS)


def plain_distance(
    vectors: Vectors, distance: float, veto: Callable[[int, int], bool] | None = None
) -> AnswersFromStored:
    """The rule that a stored query answers another one within the cosine distance ``distance``.

    ``vectors``: float32 (q, d), unit rows, of the distinct queries. ``veto``: whether the words of a query and of a
    stored one contradict each other; then the stored one does not answer, however near it is. Called only for pairs
    that are near enough.
    """

    def answers(queries: Ints, stored: Ints) -> Bools:
        near = np.asarray(1.0 - vectors[queries] @ vectors[stored].T <= distance)
        if veto is not None:
            for row, column in zip(*np.nonzero(near), strict=True):
                near[row, column] = not veto(int(queries[row]), int(stored[column]))
        return near

    return answers


def shown_response(response: str) -> str:
    """A response as REPLAY_DECISIONS stores it: cut, with personal data masked."""
    response = mask(response[: 2 * SHOWN_CHARS])
    return response if len(response) <= SHOWN_CHARS else response[: SHOWN_CHARS - 1] + "…"


def _stored(order: Ints, app_entries: AnswersFromStored | None) -> Ints:
    """The queries that a cache stores when it gets them once each, in this order: those that it cannot answer.

    Each block of queries is compared with all stored ones, then the rest of the block one by one with itself.
    """
    if app_entries is None:
        return order
    stored, count, start = np.empty(len(order), np.int64), 0, 0
    while start < len(order):
        step = block_rows(count)
        block = order[start : start + step]
        if count:
            block = block[~app_entries(block, stored[:count]).any(1)]
        among = app_entries(block, block)
        kept = np.zeros(len(block), bool)
        for place in range(len(block)):
            kept[place] = not (among[place] & kept).any()
        new = block[kept]
        stored[count : count + len(new)] = new
        count, start = count + len(new), start + step
    return stored[:count]


def _by_day(values: Ints, day: Ints, days: int) -> Ints:
    total = np.zeros(days, np.int64)
    np.add.at(total, day, values)
    return total


def _validate(traffic: ReplayTraffic, served: ServedLookups, judged: JudgedLookups, days: int) -> None:
    rows, queries = len(traffic.day), len(served.exact)
    for name, values, wanted in (
        ("traffic.query", traffic.query, rows),
        ("traffic.lookups", traffic.lookups, rows),
        ("judged.answers", judged.answers, rows),
        ("judged.wrong", judged.wrong, rows),
        ("served.semantic", served.semantic, queries),
        ("served.distance", served.distance, queries),
    ):
        if values.shape != (wanted,):
            raise ValueError(f"replay: {name} has shape {values.shape}, not ({wanted},)")
    if rows and not (traffic.day[0] >= 0 and traffic.day[-1] < days and (np.diff(traffic.day) >= 0).all()):
        raise ValueError(f"replay: traffic.day is not ordered, or not within 0..{days - 1}")
    if rows and not (traffic.query.min() >= 0 and traffic.query.max() < queries):
        raise ValueError(f"replay: traffic.query is not within 0..{queries - 1}")
    if (traffic.lookups < 1).any():
        raise ValueError(f"replay: row {int(np.argmin(traffic.lookups))} of traffic has no lookups")
    in_order = (judged.wrong >= 0) & (judged.wrong <= judged.answers) & (judged.answers <= traffic.lookups)
    if not in_order.all():
        raise ValueError(f"replay: row {int(np.argmin(in_order))}: not 0 <= wrong <= answers <= lookups")
    hit = (served.exact >= 0) | (served.semantic >= 0)
    if (judged.answers[~hit[traffic.query]] > 0).any():
        raise ValueError("replay: a row that no warmed entry serves has judged answers")
