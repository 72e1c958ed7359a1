"""Which of a query's logged responses is warmed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.ports import QueryAnswers

GroupResponses = Callable[[Sequence[QueryAnswers]], Sequence[Sequence[int]]]
"""A judge as a function. It takes the distinct responses of each query and returns a group label for each response.

Responses of one query with the same label are equivalent. It takes many queries at once, so that it can work in
batches.
"""

RARE_WORDING = 0.1
"""A wording with a smaller share of the votes of its group's best supported wording is not warmed: if the judge made a
mistake, it is one of these. Where every call words its answer anew, no wording is rare."""

AGREES = 0.5
"""Probability from which two groups of responses are one answer."""

NEAR_EQUAL = 0.02
"""Two responses whose mean probabilities differ by less are equally good, and the newer one is warmed."""


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
    """Rows not served by a cache whose response is in the same group."""
    place: int = 0
    """The answer's place among those that it was chosen from."""


def choose_response(answers: Sequence[LoggedAnswer], labels: Sequence[int]) -> ResponseChoice | None:
    """``choose_by_probability`` where a judge only tells groups, and every row is a vote."""
    of = np.asarray(labels)
    return choose_by_probability(
        answers, (of[:, None] == of[None, :]).astype(np.float64), lambda group: sum(a.count for a in group)
    )


def choose_by_probability(
    answers: Sequence[LoggedAnswer],
    probability: NDArray[np.float64],
    votes: Callable[[Sequence[LoggedAnswer]], float],
) -> ResponseChoice | None:
    """The response to warm; None if there is no response, or users rejected every group.

    ``probability`` (n, n): that two responses are equivalent. ``votes``: the support of responses together
    (answers.votes). The group with the most votes wins, among those that users did not reject. Within it the medoid
    wins: the response with the highest mean probability to all the votes of the group. Of near equals the newest wins.
    A RARE_WORDING does not win, and one with negative feedback only if all have some.

    Of two groups with equal votes, the one with the newer such response wins, then the one with the smaller text.
    """
    choices = []
    for group in average_linkage(probability):
        members = [answers[place] for place in group]
        support = sum(answer.count for answer in members)
        if is_rejected(support, sum(answer.negative for answer in members)):
            continue
        own = np.array([votes([answer]) for answer in members])
        agreement = probability[np.ix_(group, group)] @ own / own.sum()
        common = own >= RARE_WORDING * own.max()
        liked = common & np.array([not answer.negative for answer in members])
        allowed = liked if liked.any() else common
        best = agreement[allowed].max() - NEAR_EQUAL
        place = min(
            compress(group, allowed & (agreement >= best)), key=lambda k: (-answers[k].last_at, answers[k].text)
        )
        choices.append((-votes(members), ResponseChoice(answers[place], support, place)))
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
