"""Which of a query's logged responses is its answer: grouping of equivalent responses and the choice among groups."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cachewarm_client.text import canonical

from cachewarm_pipeline.exclusion_reasons import ExclusionReason

GroupResponses = Callable[[Sequence[Sequence[str]]], Sequence[Sequence[int]]]
"""A judge: for each query its distinct responses go in, for each response a group label comes out. Responses of one
query with the same label are equivalent. It sees many queries in one call, so that it can work in batches."""


@dataclass(frozen=True, slots=True)
class LoggedAnswer:
    """One distinct response of one query, over the whole window."""

    text: str
    count: int
    """Uncached rows with exactly this response."""
    negative: int
    """Of these, rows with feedback -1."""
    last_at: int
    """Newest row, microseconds since 1970 UTC."""
    model: str | None = None
    """What answered that row, where it is known."""


@dataclass(frozen=True, slots=True)
class ResponseChoice:
    """The response that would be warmed."""

    answer: LoggedAnswer
    support: int
    """Uncached rows whose response is in the same group."""


RARE_WORDING = 0.1
"""Share of its group's support under which a wording is not published: a judge's mistake would be one of these."""


def json_value(text: str) -> Any:
    """The JSON value of a text; ValueError where it is none. Python's NaN and Infinity are none."""
    try:
        return json.loads(text, parse_constant=_not_json)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is Python's, not JSON's")


def is_empty_json(value: Any) -> bool:
    """null, an empty object or array, or a blank string."""
    return value is None or value in ({}, []) or (isinstance(value, str) and not value.strip())


_OPENS_JSON = re.compile(r"\{|\[\s*[\[{\"]")
"""A bracket alone also begins a link or a footnote."""


def why_no_answer(response: str) -> ExclusionReason | None:
    """Why a logged response answers nothing: EMPTY_RESPONSE where nothing is said (blank, or empty JSON),
    UNPARSABLE_OUTPUT where JSON was begun and is broken, say cut off. None for an answer; plain text is one."""
    stripped = response.strip()
    if not stripped:
        return ExclusionReason.EMPTY_RESPONSE
    if stripped[0] not in '{["n':
        return None
    try:
        return ExclusionReason.EMPTY_RESPONSE if is_empty_json(json_value(stripped)) else None
    except ValueError:
        return ExclusionReason.UNPARSABLE_OUTPUT if _OPENS_JSON.match(stripped) else None


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


def choose_response(answers: Sequence[LoggedAnswer], labels: Sequence[int]) -> ResponseChoice | None:
    """The best supported group that users did not reject, and in it the newest response without negative feedback
    among those with at least RARE_WORDING of the group's support.

    Groups of equal support: the one with the newer such response, then the smaller text. A winning group in which
    every such response has some negative feedback gives its newest. None when every group is rejected, or there is
    none.
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
