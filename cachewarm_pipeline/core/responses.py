"""Which of a query's logged responses is its answer: grouping of equivalent responses and the choice among groups."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cachewarm_pipeline.core.text import canonical

GroupResponses = Callable[[Sequence[Sequence[str]]], Sequence[Sequence[int]]]
"""A judge: for each query its distinct responses go in, for each response a group label comes out. Responses of one
query with the same label are equivalent. It sees many queries in one call, so that it can work in batches."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One distinct response of one query, over the whole window."""

    text: str
    count: int
    """Uncached rows with exactly this response."""
    negative: int
    """Of these, rows with feedback -1."""
    last_at: int
    """Newest row, microseconds since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The response that would be warmed."""

    answer: Answer
    support: int
    """Uncached rows whose response is in the same group."""


def canonical_response(text: str) -> str:
    """What two responses share when they say exactly the same: JSON objects and arrays with sorted keys and no
    layout, any other text in canonical form."""
    stripped = text.strip()
    if stripped[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(stripped), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        except (ValueError, RecursionError):
            pass
    return canonical(stripped)


def exact_groups(queries: Sequence[Sequence[str]]) -> list[list[int]]:
    """The judge that holds responses equivalent when their canonical form is the same."""
    labelled = []
    for responses in queries:
        if len(responses) < 2:
            labelled.append([0] * len(responses))
            continue
        seen: dict[str, int] = {}
        labelled.append([seen.setdefault(canonical_response(response), len(seen)) for response in responses])
    return labelled


def is_rejected(count: int, negative: int) -> bool:
    """Whether users rejected an answer: more than half of its rows carry negative feedback."""
    return 2 * negative > count


def choose(answers: Sequence[Answer], labels: Sequence[int]) -> Choice | None:
    """The best supported group that users did not reject, and in it the newest response without negative feedback.

    Groups of equal support: the one with the newer such response, then the smaller text. A winning group in which
    every response has some negative feedback gives its newest. None when every group is rejected, or there is none.
    """
    groups: dict[int, list[Answer]] = {}
    for answer, label in zip(answers, labels, strict=True):
        groups.setdefault(label, []).append(answer)
    choices = []
    for group in groups.values():
        support = sum(answer.count for answer in group)
        if is_rejected(support, sum(answer.negative for answer in group)):
            continue
        liked = [answer for answer in group if not answer.negative] or group
        newest = min(liked, key=lambda answer: (-answer.last_at, answer.text))
        choices.append(Choice(newest, support))
    return min(choices, key=lambda c: (-c.support, -c.answer.last_at, c.answer.text), default=None)
