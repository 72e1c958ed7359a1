"""The facts of a response: the numbers, names and claims in it that no rewording may change.

``contradictions`` compares the facts of two responses.
"""

import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from cachewarm_client.words import Tokens, quoted_names, tokens

from cachewarm_pipeline.query_log.response_text import json_value

FACTS_CACHED = 4_096
"""Responses whose facts are cached for the pairs that follow: 10 KB each."""

SHORT_VALUE_WORDS = 3
"""A JSON string of at most this many words is a value ("high", "not safe"). A longer one is a sentence."""

_SMALL = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBER_WORDS = {
    "zero": "0",
    **{word: str(number) for number, word in enumerate(_SMALL + _TEENS, 2)},
    **{word: str(10 * tens) for tens, word in enumerate(_TENS, 2)},
    "hundred": "100",
    "thousand": "1000",
}
"""The word "one" is excluded: it is often a pronoun."""

_RUN = re.compile(r"[\w./-]+")
_SNAKE = re.compile(r"\w_\w")
_CAMEL = re.compile(r"\b[a-z]+[A-Z]\w*")
_FROM_TO = re.compile(r"\bfrom\s+[`'\"]?([\w.+#-]+)[`'\"]?\s+to\s+[`'\"]?([\w.+#-]*[\w+#])")
_YES_OR_NO = {
    **dict.fromkeys(("yes", "yeah", "yep", "true", "correct", "safe"), True),
    **dict.fromkeys(("no", "nope", "not", "false", "incorrect", "unsafe", "never"), False),
}


@dataclass(frozen=True, slots=True)
class TextFacts:
    """The facts of plain text: one sentence or more."""

    words: Tokens
    folded: str
    """The whole text, casefolded."""
    numbers: frozenset[str]
    """Tokens with a digit, and number words as digits: "five" is "5"."""
    names: frozenset[str]
    """Quoted names and names of code, casefolded."""
    moves: frozenset[tuple[str, str]]
    """("mysql", "postgres") for "from MySQL to Postgres"."""

    @classmethod
    def of(cls, text: str) -> "TextFacts":
        folded = text.casefold()
        names = quoted_names(text) | {found.strip("./-").casefold() for found in code_names(text)}
        words = tokens(text)
        spelled = frozenset(_NUMBER_WORDS[word] for word in words.all & _NUMBER_WORDS.keys())
        return cls(words, folded, words.numbers | spelled, names, frozenset(_FROM_TO.findall(folded)))

    @property
    def yes_or_no(self) -> bool | None:
        """True when the first word is a yes, False when it is a no, None otherwise."""
        return _YES_OR_NO.get(self.words.order[0]) if self.words.order else None


@dataclass(slots=True)
class Facts:
    """The facts of one response."""

    whole: TextFacts
    """All of a plain text; of JSON, all its sentences without keys and short values."""
    values: frozenset[tuple[Any, int]] = frozenset()
    """Of JSON, the short strings, booleans and numbers of each object and array with their keys, and how often."""
    sentences: dict[str, TextFacts] = field(default_factory=dict)
    """By place: all of a plain text; of JSON, each longer string that is the only one under its path of keys."""

    @property
    def key(self) -> Hashable:
        """Two responses whose facts agree have the same key. Responses with different keys need no comparison."""
        return self.whole.numbers, self.values


def facts(response: str) -> Facts:
    """The facts of one response. JSON is read value by value, anything else as text."""
    stripped = response.strip()
    if stripped[:1] in ("{", "["):
        try:
            value = json_value(stripped)
            values: Counter[tuple[Any, ...]] = Counter()
            sentences: dict[str, list[str]] = {}
            _collect("", value, values, sentences)
        except (ValueError, RecursionError):
            pass
        else:
            return _facts_of_json(values, sentences)
    whole = TextFacts.of(response)
    return Facts(whole, sentences={"": whole})


def code_names(text: str) -> list[str]:
    """Names with an underscore inside, with the path that they are part of; and names in camel case."""
    found: list[str] = []
    for run in _RUN.findall(text):  # one expression for both is eight times slower: it tries every place of every word
        if "_" in run and _SNAKE.search(run):
            found.append(run)
        elif not run.islower():
            found += _CAMEL.findall(run)
    return found


def _facts_of_json(values: Counter[tuple[Any, ...]], sentences: dict[str, list[str]]) -> Facts:
    texts = {path: TextFacts.of(found[0]) for path, found in sentences.items() if len(found) == 1}
    everything = ". ".join(text for path in sorted(sentences) for text in sentences[path])
    return Facts(TextFacts.of(everything), frozenset(values.items()), texts)


def _collect(path: str, value: Any, values: Counter[tuple[Any, ...]], sentences: dict[str, list[str]]) -> None:
    """Adds the values and sentences of a JSON object or array, at any depth.

    The values of one object stay together, so that two findings cannot exchange theirs. The order within an array does
    not count: a rewording may change it.
    """
    pairs = list(value.items()) if isinstance(value, dict) else [("", item) for item in value]
    own: list[tuple[str, str]] = []
    for key, item in pairs:
        if isinstance(item, dict | list):
            _collect(f"{path}/{key}", item, values, sentences)
        elif isinstance(item, str) and len(item.split()) > SHORT_VALUE_WORDS:
            sentences.setdefault(f"{path}/{key}", []).append(item)
        else:
            own.append((key, " ".join(item.casefold().split()) if isinstance(item, str) else repr(item)))
    if own:
        values[path, *sorted(own)] += 1
