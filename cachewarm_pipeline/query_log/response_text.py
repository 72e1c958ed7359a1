"""Reading one logged response: its JSON, its canonical form, and why it may be no answer."""

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from cachewarm_client.text import canonical
from numpy.typing import NDArray

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.ports import AnswerPair, QueryAnswers

_OPENS_JSON = re.compile(r"\{|\[\s*[\[{\"]")
"""A bracket alone does not count: it also begins a link or a footnote."""


def json_value(text: str) -> Any:
    """The JSON value of a text. Raises ValueError if it is not JSON; Python's NaN and Infinity are not JSON."""
    try:
        return json.loads(text, parse_constant=_reject_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is Python's, not JSON's")


def is_empty_json(value: Any) -> bool:
    """Whether a JSON value is null, an empty object or array, or a blank string."""
    return value is None or value in ({}, []) or (isinstance(value, str) and not value.strip())


def why_no_answer(response: str) -> ExclusionReason | None:
    """Why a logged response is no answer; None if it is one. Plain text is an answer.

    EMPTY_RESPONSE: it is blank or empty JSON. UNPARSABLE_OUTPUT: it begins as JSON and is broken, for example cut off.
    """
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
    """The canonical form of a response: two responses with the same form say exactly the same.

    JSON objects and arrays get sorted keys and no layout. Any other text gets the canonical form of prompts.
    """
    stripped = text.strip()
    if stripped[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(stripped), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        except (ValueError, RecursionError):
            pass
    return canonical(stripped)


def exact_probability(pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
    """For each pair 1 where its answers have the same canonical form, else 0."""
    return np.array([canonical_response(pair.left) == canonical_response(pair.right) for pair in pairs], np.float64)


def exact_groups(queries: Sequence[QueryAnswers]) -> list[list[int]]:
    """For each query the group labels of its responses: responses with the same canonical form share a label."""
    labelled = []
    for query in queries:
        responses = query.responses
        if len(responses) < 2:
            labelled.append([0] * len(responses))
            continue
        seen: dict[str, int] = {}
        labelled.append([seen.setdefault(canonical_response(response), len(seen)) for response in responses])
    return labelled
