"""Which of a query's logged responses is warmed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cachewarm_pipeline.ports import QueryAnswers

GroupResponses = Callable[[Sequence[QueryAnswers]], Sequence[Sequence[int]]]
"""A judge as a function. It takes the distinct responses of each query and returns a group label for each response.

Responses of one query with the same label are equivalent. It takes many queries at once, so that it can work in
batches.
"""

RARE_WORDING = 0.1
"""A wording with a smaller share of its group's support is not warmed: if the judge made a mistake, it is one of these.
"""


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


@dataclass(frozen=True, slots=True)
class ResponseChoice:
    """The response of a query to warm."""

    answer: LoggedAnswer
    support: int
    """Rows not served by a cache whose response is in the same group."""


def choose_response(answers: Sequence[LoggedAnswer], labels: Sequence[int]) -> ResponseChoice | None:
    """The response to warm; None if there is no response, or users rejected every group.

    The group with the most support wins, among those that users did not reject. Within it the newest response wins,
    among those with at least RARE_WORDING of the group's support and without negative feedback. If all of them have
    some negative feedback, the newest of them wins.

    Of two groups with equal support, the one with the newer such response wins, then the one with the smaller text.
    """
    groups: dict[int, list[LoggedAnswer]] = {}
    for answer, label in zip(answers, labels, strict=True):
        groups.setdefault(label, []).append(answer)
    choices = []
    for group in groups.values():
        support = sum(answer.count for answer in group)
        if is_rejected(support, sum(answer.negative for answer in group)):
            continue
        common = [answer for answer in group if answer.count >= RARE_WORDING * support]
        common = common or [max(group, key=lambda answer: answer.count)]
        liked = [answer for answer in common if not answer.negative] or common
        newest = min(liked, key=lambda answer: (-answer.last_at, answer.text))
        choices.append(ResponseChoice(newest, support))
    return min(choices, key=lambda c: (-c.support, -c.answer.last_at, c.answer.text), default=None)


def is_rejected(count: int, negative: int) -> bool:
    """Whether users rejected an answer: more than half of its rows have negative feedback."""
    return 2 * negative > count
