"""Groups of equivalent responses: the first one of a group is its head. A judge decides about pairs (``grouped``).

``judged_groups`` is for a judge that pays for each pair: few pairs are asked, and the likeliest first.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.answers.leader_clustering import (
    Ask,
    Flags,
    Positions,
    leader_groups,
    merge_equal,
    near_pairs,
    nearest_first,
)
from cachewarm_pipeline.ports import AnswerPair, QueryAnswers
from cachewarm_pipeline.query_log.response_text import canonical_response, exact_groups

QUERIES = 2_000
"""Queries whose responses are judged at once."""

Probability = Callable[[Sequence[AnswerPair]], NDArray[np.float64]]
Decide = Callable[[Sequence[AnswerPair]], Flags]
VectorsOf = Callable[[Sequence[str]], NDArray[np.float32]]


AskOf = Callable[[list[str], list[str]], Ask]
"""Takes the questions and the distinct responses (both n). Returns what decides about pairs of their positions."""


def grouped(
    questions: Sequence[str],
    responses: Sequence[str],
    ask_of: AskOf,
    *,
    vectors_of: VectorsOf | None = None,
    floor: float = 0.0,
    queries: Sequence[int] | None = None,
) -> Positions:
    """The answer group of each response (n,), as the position of the group's head: its first response.

    In order, each response joins the first head that it is equivalent to: one that says exactly the same, or one that
    the judge (``ask_of``, called once) accepts.

    ``queries`` (the query of each response): only responses of one query are grouped. ``vectors_of``: only responses
    with a cosine of at least ``floor`` are candidates, which keeps large n possible; without it all pairs are.
    """
    of_query = queries if queries is not None else [0] * len(responses)
    firsts, places = merge_equal([(q, canonical_response(r)) for q, r in zip(of_query, responses, strict=True)])
    buckets = np.array([of_query[at] for at in firsts.tolist()], np.int64)
    free = np.array([not is_blank(responses[at]) for at in firsts.tolist()], bool)
    if not free.any():
        return firsts[places]
    numbers = np.bincount(buckets[free], minlength=int(buckets.max()) + 1)
    compared = np.flatnonzero(free & (numbers[buckets] > 1))
    groups = np.arange(len(firsts))
    if len(compared):
        at = firsts[compared].tolist()
        texts, asked = [responses[k] for k in at], [questions[k] for k in at]
        # Vectors of zeros are all near each other: every pair of a query is a candidate.
        vectors = np.zeros((len(at), 1), np.float32) if vectors_of is None else vectors_of(texts)
        candidates = near_pairs(vectors, buckets[compared], 0.0 if vectors_of is None else floor)
        groups[compared] = compared[leader_groups(len(at), candidates, ask_of(asked, texts))]
    return firsts[groups][places]


def judged_groups(
    questions: Sequence[str],
    responses: Sequence[str],
    probability: Probability,
    decide: Decide,
    *,
    possible: float,
    vectors_of: VectorsOf | None = None,
    floor: float = 0.0,
    queries: Sequence[int] | None = None,
) -> Positions:
    """``grouped`` by a judge that may pay for each pair: few pairs are asked, and the likeliest first.

    A pair is a candidate when its ``probability`` is over ``possible``, and equivalent when ``decide`` accepts it for
    the person who asked either of the two questions. A response is compared with its likeliest heads first, and with no
    more after a yes. The second question is asked only after a yes for the first.
    """

    def ask_of(asked: list[str], texts: list[str]) -> Ask:
        def equivalent(item: Positions, head: Positions) -> Flags:
            couples = list(zip(item.tolist(), head.tolist(), strict=True))
            pairs = [AnswerPair(asked[i], texts[h], texts[i]) for i, h in couples]
            likely = probability(pairs)
            open_pairs = np.flatnonzero(likely > possible)

            def ask(some: Positions) -> Flags:
                chosen = open_pairs[some].tolist()
                same = np.array(decide([pairs[k] for k in chosen]), bool)
                other = [
                    (n, pairs[k]._replace(question=asked[couples[k][1]]))
                    for n, k in enumerate(chosen)
                    if same[n] and asked[couples[k][0]] != asked[couples[k][1]]
                ]
                if other:
                    same[[n for n, _ in other]] = decide([pair for _, pair in other])
                return same

            same = np.zeros(len(couples), bool)
            same[open_pairs] = nearest_first(item[open_pairs], likely[open_pairs], ask)
            return same

        return equivalent

    return grouped(questions, responses, ask_of, vectors_of=vectors_of, floor=floor, queries=queries)


GroupWithin = Callable[[Sequence[str], Sequence[str], Sequence[int]], Positions]
"""Takes questions, responses and the query of each response (all n). Groups responses of one query."""


def query_labels(
    queries: Sequence[QueryAnswers], group: GroupWithin, progress: Callable[[str], object]
) -> list[list[int]]:
    """Group labels of each query's responses, as in ``GroupResponses``. Queries whose responses say the same exactly
    are not judged. Memory: the responses of QUERIES queries."""
    result = exact_groups(queries)
    open_cases = [i for i, labels in enumerate(result) if len(set(labels)) > 1]
    for start in range(0, len(open_cases), QUERIES):
        block = open_cases[start : start + QUERIES]
        progress(f"judging the answers of query {start + 1:,} to {start + len(block):,} of {len(open_cases):,}")
        rows = [(i, text) for i in block for text in queries[i].responses]
        groups = group([queries[i].question for i, _ in rows], [text for _, text in rows], [i for i, _ in rows])
        for i in block:
            number = len(queries[i].responses)
            own, groups = groups[:number], groups[number:]
            result[i] = labels_of(own)
    return result


def is_blank(response: str) -> bool:
    """Whether a response has no text, and so no vector: it is equivalent only to another blank one."""
    return not response.strip()


def labels_of(groups: Positions) -> list[int]:
    """Groups as labels 0, 1, 2, ... in the order of their first members."""
    seen: dict[int, int] = {}
    return [seen.setdefault(group, len(seen)) for group in groups.tolist()]
