"""Groups of equivalent responses: facts, vectors and leader clustering together.

Which vectors are used, and what decides about near pairs, is up to the judge that calls ``answer_groups``.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from cachewarm_client.text import MAX_PROMPT_CHARS
from numpy.typing import NDArray

from cachewarm_pipeline.answers.contradictions import facts_agree
from cachewarm_pipeline.answers.facts import FACTS_CACHED, Facts, facts
from cachewarm_pipeline.answers.leader_clustering import (
    Flags,
    Positions,
    cosines,
    leader_groups,
    merge_equal,
    near_pairs,
    nearest_first,
)
from cachewarm_pipeline.query_log.response_text import canonical_response

VectorsOf: TypeAlias = Callable[[Positions], NDArray[np.float32]]
"""Unit vectors (k, d) of the responses at k positions."""

Decide: TypeAlias = Callable[[Sequence[tuple[str, str]], NDArray[np.float64]], Flags]
"""Decides which of k pairs of responses are equivalent, given their cosines (k,).

It is only asked about pairs whose facts agree and whose cosine reaches the floor.
"""


def answer_groups(
    responses: Sequence[str],
    vectors_of: VectorsOf,
    floor: float,
    *,
    decide: Decide | None = None,
    queries: Sequence[int] | None = None,
) -> Positions:
    """The answer group of each response (n,), as the position of the group's head: its first response.

    In the order of ``responses`` (best supported first) each response joins the first head that it is equivalent to.
    That is a head that says exactly the same; or one with the same facts, a cosine of at least ``floor`` and, if
    ``decide`` is given, its yes. So every member is equivalent to its head, and a group cannot drift through a chain of
    small differences. With ``queries`` (the query of each response) only responses of one query are grouped.

    ``vectors_of`` is called once, for the responses that their facts alone cannot keep apart. Memory: those vectors,
    and blocks. ``decide`` may cost money: each response is compared with its nearest heads first, and with no more
    after a yes.
    """
    facts_of = lru_cache(FACTS_CACHED)(facts)
    of_query = queries if queries is not None else [0] * len(responses)
    firsts, places = merge_equal([(q, canonical_response(r)) for q, r in zip(of_query, responses, strict=True)])
    buckets = _buckets(firsts, responses, of_query, facts_of)
    compared = np.flatnonzero(np.bincount(buckets, minlength=1)[buckets] > 1)
    groups = np.arange(len(firsts))
    if len(compared):
        at = firsts[compared]
        texts = [responses[position] for position in at.tolist()]
        vectors = vectors_of(at)

        def equivalent(item: Positions, other: Positions) -> Flags:
            cosine = cosines(vectors, item, other)
            yes = np.flatnonzero(cosine >= floor)
            yes = yes[np.argsort(other[yes], kind="stable")]  # head by head, so that the cache of facts is hit
            agree = (facts_agree(texts[i], texts[j], facts_of) for i, j in zip(item[yes], other[yes], strict=True))
            yes = yes[np.fromiter(agree, bool, len(yes))]
            if decide is not None:
                near = cosine[yes]
                pairs = [(texts[i], texts[j]) for i, j in zip(item[yes], other[yes], strict=True)]
                yes = yes[
                    nearest_first(item[yes], near, lambda some: decide([pairs[k] for k in some.tolist()], near[some]))
                ]
            same = np.zeros(len(item), bool)
            same[yes] = True
            return same

        groups[compared] = compared[leader_groups(len(at), near_pairs(vectors, buckets[compared], floor), equivalent)]
    return firsts[groups][places]


def _buckets(
    positions: Positions, responses: Sequence[str], queries: Sequence[int], facts_of: Callable[[str], Facts]
) -> Positions:
    """The bucket of each position. Responses in different buckets are never equivalent: their queries or their facts
    differ, or one of them must match exactly."""
    numbers: dict[Hashable, int] = {}
    return np.array(
        [
            numbers.setdefault(
                (queries[at], at if must_match_exactly(responses[at]) else facts_of(responses[at]).key), at
            )
            for at in positions.tolist()
        ],
        np.int64,
    )


def must_match_exactly(response: str) -> bool:
    """Whether a response is equivalent only to a response that says exactly the same.

    One of more than MAX_PROMPT_CHARS characters is cut before it is embedded, so its vector does not stand for all of
    it. A blank one has no vector.
    """
    return len(response) > MAX_PROMPT_CHARS or not response.strip()


def labels_of(groups: Positions) -> list[int]:
    """Groups as labels 0, 1, 2, ... in the order of their first members."""
    seen: dict[int, int] = {}
    return [seen.setdefault(group, len(seen)) for group in groups.tolist()]
