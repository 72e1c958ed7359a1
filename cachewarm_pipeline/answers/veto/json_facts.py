"""The short values and the sentences of a JSON response, by their path of keys."""

from typing import Any, TypeAlias

from cachewarm_pipeline.answers.veto.language_words import STOP_WORDS
from cachewarm_pipeline.query_log.response_text import json_value

SHORT_VALUE_WORDS = 3
"""A JSON string of at most this many words is a value ("high", "not safe"). A longer one is a sentence."""

Values: TypeAlias = dict[str, list[dict[str, str]]]
"""By the path of an object, the short values of each object there by their key. Items of an array have the key "" and
stand one by one."""

_NAMING_KEYS = ("id", "key", "name", "title", "file", "path", "line")
"""Keys that say which object of an array one is."""


def json_parts(response: str) -> tuple[Values, dict[str, list[str]]] | None:
    """The short values and the longer strings of a JSON object or array; None if the response is neither."""
    stripped = response.strip()
    if stripped[:1] not in ("{", "["):
        return None
    values: Values = {}
    sentences: dict[str, list[str]] = {}
    try:
        _collect("", json_value(stripped), values, sentences)
    except (ValueError, RecursionError):
        return None
    return values, sentences


def _collect(path: str, value: Any, values: Values, sentences: dict[str, list[str]]) -> None:
    pairs = list(value.items()) if isinstance(value, dict) else [("", item) for item in value]
    own: dict[str, str] = {}
    for key, item in pairs:
        if isinstance(item, dict | list):
            _collect(f"{path}/{key}", item, values, sentences)
        elif isinstance(item, str) and len(item.split()) > SHORT_VALUE_WORDS:
            sentences.setdefault(f"{path}/{key}", []).append(item)
        else:
            text = " ".join(item.casefold().split()) if isinstance(item, str) else repr(item)
            if isinstance(value, dict):
                own[key] = text
            else:
                values.setdefault(path, []).append({"": text})
    if own:
        values.setdefault(path, []).append(own)


def another_value(left: Values, right: Values) -> bool:
    """Whether one key has two short values. A key, or an item of an array, that only one side has is an addition."""
    return any(_differ(left[path], right[path]) for path in left.keys() & right.keys())


def _differ(left: list[dict[str, str]], right: list[dict[str, str]]) -> bool:
    if len(left) == len(right) == 1:
        return not _fits(left[0], right[0])
    for naming in _NAMING_KEYS:
        ours, theirs = ({each[naming]: each for each in side if naming in each} for side in (left, right))
        if len(ours) == len(left) and len(theirs) == len(right):
            common = ours.keys() & theirs.keys()
            return any(not _fits(ours[name], theirs[name]) for name in common) or (
                not common and len(left) == len(right)
            )
    fewer, more = sorted((left, right), key=len)
    open_items = list(more)
    for item in fewer:
        partner = next((other for other in open_items if _fits(item, other)), None)
        if partner is None:
            return True
        open_items.remove(partner)
    return False


def _fits(left: dict[str, str], right: dict[str, str]) -> bool:
    return all(_same(left[key], right[key]) for key in left.keys() & right.keys())


def _same(left: str, right: str) -> bool:
    return left == right or _content(left) == _content(right)


def _content(value: str) -> list[str]:
    return [word for word in value.split() if word not in STOP_WORDS] or [value]
