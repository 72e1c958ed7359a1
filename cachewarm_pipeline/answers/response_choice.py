"""Which of a query's logged responses is warmed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.ports import QueryAnswers
from cachewarm_pipeline.query_log.response_text import canonical_response

GroupResponses = Callable[[Sequence[QueryAnswers]], Sequence[Sequence[int]]]
"""A judge as a function. It takes the distinct responses of each query and returns a group label for each response.

Responses of one query with the same label are equivalent. It takes many queries at once, so that it can work in
batches.
"""

RARE_WORDING = 0.1
"""A wording with a smaller share of the votes of its group's best supported wording is not warmed: if the judge made a
mistake, it is one of these. Where every call has other words, no wording is rare."""

AGREES = 0.5
"""Probability from which two groups of responses are one answer."""

NEAR_EQUAL = 0.005
"""Two responses whose mean probabilities differ by less are equally good, and the newer one is warmed."""


CLOSE = 0.03
"""Mean probability by which a response may serve worse than the best one and still win by what it says beyond it."""

COMPLETENESS = 0.03
"""Mean probability that a response gains with each factor of e in its length, if it is CLOSE to the best: of two that
serve the voters almost as well, the one that says more. Chosen on real answers that people marked: 80.1% of the
chosen ones are right with it and 79.3% without; 79.9% of the best of the four models are."""

LONGEST = 2_000
"""Characters beyond which length gains nothing."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One response on one day."""

    day: int
    """Ordinal of the UTC day."""
    count: int
    """Rows with the response."""
    users: tuple[str, ...] = ()
    """Hashed ids of some users who got it."""
    anonymous: int = 0
    """Rows without a user id."""


@dataclass(frozen=True, slots=True)
class LoggedAnswer:
    """One distinct response to one query, over the whole window."""

    text: str
    count: int
    """Rows with exactly this response that no cache served."""
    negative: int
    """Those of them with feedback -1."""
    last_at: int
    """Newest row, microseconds since 1970 UTC."""
    model: str | None = None
    """The model of the newest row, if known."""
    users: tuple[str, ...] = ()
    """Hashed ids of users who got it: all of them if there are fewer than MAX_USERS, else the smallest MAX_USERS."""
    anonymous: int = 0
    """Rows without a user id."""
    seen: tuple[Sighting, ...] = ()
    """On which days, for ``answers.volatility``."""


@dataclass(frozen=True, slots=True)
class ResponseChoice:
    """The response of a query to warm."""

    answer: LoggedAnswer
    support: int
    """Rows not served by a cache whose response is in the same group as the answer."""


def choose_response(answers: Sequence[LoggedAnswer], labels: Sequence[int]) -> ResponseChoice | None:
    """``choose_by_probability`` where a judge only tells groups, and every row is a vote."""
    of = np.asarray(labels)
    counts = np.array([answer.count for answer in answers], np.float64)
    return choose_by_probability(answers, (of[:, None] == of[None, :]).astype(np.float64), counts, completeness=0)


def choose_by_probability(
    answers: Sequence[LoggedAnswer],
    probability: NDArray[np.float64],
    votes: NDArray[np.float64],
    completeness: float = COMPLETENESS,
) -> ResponseChoice | None:
    """The response to warm: the medoid of all votes. None if there is no response, or users rejected every group.

    ``probability`` (n, n): that two responses are equivalent. ``votes`` (n,): see answers.votes. The medoid is the
    response that is expected to serve the most voters as well as their own, and among those CLOSE to it the one that
    says more (``completeness``). It is searched among all responses, not
    within the largest group, because a border between two groups loses what the judge is unsure about: of real answers
    that people marked it chose a right one more often (78.9% against 78.1%; the probability was made from the cosine of
    the answers without the direction of the question).

    Groups serve three ends. Those that users rejected neither win nor vote. Where a judge is sure (0 or 1), the medoid
    is any response of the group with the most votes; of such near equals the newest wins, but no RARE_WORDING. And a
    response with negative feedback gives way to another one of its group.
    """
    groups = average_linkage(probability)
    accepted = [
        group
        for group in groups
        if not is_rejected(sum(answers[k].count for k in group), sum(answers[k].negative for k in group))
    ]
    places = sorted(place for group in accepted for place in group)
    agreement = np.zeros(len(answers))
    agreement[places] = probability[np.ix_(places, places)] @ votes[places] / max(votes[places].sum(), 1e-9)
    if places and completeness:
        close = np.flatnonzero(agreement >= max(agreement[places]) - CLOSE)
        said = [min(len(canonical_response(answers[k].text)), LONGEST) for k in close.tolist()]  # layout says nothing
        agreement[close] += completeness * np.log1p(said)
    choices = []
    for group in accepted:
        most = RARE_WORDING * votes[group].max()
        common = [place for place in group if votes[place] >= most]
        liked = [place for place in common if not answers[place].negative] or common
        best = max(agreement[liked]) - NEAR_EQUAL
        place = min(
            (place for place in liked if agreement[place] >= best), key=lambda k: (-answers[k].last_at, answers[k].text)
        )
        support = sum(answers[k].count for k in group)
        choices.append((-round(float(agreement[group].max()), 9), ResponseChoice(answers[place], support)))
    found = min(choices, key=lambda c: (c[0], -c[1].answer.last_at, c[1].answer.text), default=None)
    return found[1] if found else None


def average_linkage(probability: NDArray[np.float64]) -> list[list[int]]:
    """Groups of places: the two groups with the highest mean probability between them are merged, until none reaches
    AGREES. Does not depend on the order of the responses but for exact ties. Cubic in the number of responses."""
    groups = [[place] for place in range(len(probability))]
    mean = probability.astype(np.float64, copy=True)
    np.fill_diagonal(mean, -1.0)
    while len(groups) > 1:
        one, other = sorted(np.unravel_index(int(mean.argmax()), mean.shape))
        if mean[one, other] < AGREES:
            break
        sizes = len(groups[one]), len(groups[other])
        merged = (sizes[0] * mean[one] + sizes[1] * mean[other]) / sum(sizes)
        mean[one], mean[:, one] = merged, merged
        mean[one, one] = -1.0
        mean = np.delete(np.delete(mean, other, 0), other, 1)
        groups[one] += groups.pop(other)
    return [sorted(group) for group in groups]


def is_rejected(count: int, negative: int) -> bool:
    """Whether users rejected an answer: more than half of its rows have negative feedback."""
    return 2 * negative > count
