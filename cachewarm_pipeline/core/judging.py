"""When two responses say the same: the pure part of the judges. Embedding is for resources.judges."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cachewarm_pipeline.core.responses import canonical_response, json_value
from cachewarm_pipeline.core.text import MAX_PROMPT_CHARS
from cachewarm_pipeline.core.words import Tokens, quoted_names, substituted, tokens

RESPONSE_FLOOR = 0.85
"""Cosine of two responses from which the `embedding` judge may hold them equivalent (all-MiniLM-L6-v2).

On the synthetic sample 93% of two rewordings of one answer reach it. Another model has another scale: measure it
before you rely on it.
"""

SHORT_ANSWER_TOKENS = 12
"""Up to here a negation turns an answer round ("Do not enable it"); in longer ones rewording moves negations about."""

ALIKE = 0.6
"""Share of the words in common from which a negation turns a longer text round too: little else was reworded."""

SHORT_TEXT_TOKENS = 30
"""Up to here the order of names, and one word exchanged for another, is meaning."""

SHORT_LEAF_WORDS = 3
"""A JSON string of so few words is a value ("high", "not safe"), not a sentence."""

_CODE = re.compile(r"[\w./-]*\w_\w[\w./-]*|\b[a-z]+[A-Z]\w*")
_FROM_TO = re.compile(r"\bfrom\s+[`'\"]?([\w.+#-]+)[`'\"]?\s+to\s+[`'\"]?([\w.+#-]*[\w+#])")
_LEAD = {
    **dict.fromkeys(("yes", "yeah", "yep", "true", "correct", "safe"), True),
    **dict.fromkeys(("no", "nope", "not", "false", "incorrect", "unsafe", "never"), False),
}


@dataclass(frozen=True, slots=True)
class _Text:
    """A sentence or more, as plain text."""

    words: Tokens
    folded: str
    code: frozenset[str]
    moves: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, text: str) -> "_Text":
        folded = text.casefold()
        code = quoted_names(text) | {found.strip("./-").casefold() for found in _CODE.findall(text)}
        return cls(tokens(text), folded, code, frozenset(_FROM_TO.findall(folded)))

    @property
    def polarity(self) -> bool | None:
        return _LEAD.get(self.words.order[0]) if self.words.order else None


@dataclass(slots=True)
class Facts:
    """What a response says that no rewording may change."""

    whole: _Text
    """Everything; of JSON the sentences in it, without keys and short values."""
    values: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    """Of JSON, each object's and array's short strings, booleans and numbers with their keys."""
    sentences: dict[str, _Text] = field(default_factory=dict)
    """What stands at one place: the whole of a plain text; of JSON, longer strings alone under their keys."""


def facts(response: str) -> Facts:
    """The facts of one response; JSON is read value by value, anything else as text."""
    stripped = response.strip()
    if stripped[:1] in ("{", "["):
        try:
            value = json_value(stripped)
            values: Counter[tuple[Any, ...]] = Counter()
            sentences: dict[str, list[str]] = {}
            _leaves("", value, values, sentences)
        except (ValueError, RecursionError):
            pass
        else:
            return _facts_of_json(values, sentences)
    whole = _Text.of(response)
    return Facts(whole, sentences={"": whole})


def _facts_of_json(values: Counter[tuple[Any, ...]], sentences: dict[str, list[str]]) -> Facts:
    texts = {path: _Text.of(found[0]) for path, found in sentences.items() if len(found) == 1}
    everything = ". ".join(text for path in sorted(sentences) for text in sentences[path])
    return Facts(_Text.of(everything), values, texts)


def _leaves(path: str, value: Any, values: Counter[tuple[Any, ...]], sentences: dict[str, list[str]]) -> None:
    """Adds the values and sentences under a JSON object or array. An object's values stay together, so that two
    findings cannot exchange theirs; the order of an array is left to rewording."""
    pairs = list(value.items()) if isinstance(value, dict) else [("", item) for item in value]
    own: list[tuple[str, str]] = []
    for key, item in pairs:
        if isinstance(item, dict | list):
            _leaves(f"{path}/{key}", item, values, sentences)
        elif isinstance(item, str) and len(item.split()) > SHORT_LEAF_WORDS:
            sentences.setdefault(f"{path}/{key}", []).append(item)
        else:
            own.append((key, " ".join(item.casefold().split()) if isinstance(item, str) else repr(item)))
    if own:
        values[path, *sorted(own)] += 1


def facts_differ(left: Facts, right: Facts) -> bool:
    """Whether two responses differ in what no rewording changes, however near the vectors are.

    These are numbers and versions; a short JSON value; names in code or quotes of which each has one that the other
    lacks; a yes or no in front; a move from one thing to another turned round; and in short texts a negation, the
    order of words, or one word exchanged for another.
    """
    if left.values != right.values or _contents_differ(left.whole, right.whole):
        return True
    shared = left.sentences.keys() & right.sentences.keys()
    return any(_sentences_differ(left.sentences[path], right.sentences[path]) for path in shared)


def _contents_differ(left: _Text, right: _Text) -> bool:
    """For texts of any length and order of sentences."""
    if left.words.numbers != right.words.numbers:
        return True
    if any(name not in right.folded for name in left.code) and any(name not in left.folded for name in right.code):
        return True
    return any((there, here) in right.moves for here, there in left.moves)


def _sentences_differ(left: _Text, right: _Text) -> bool:
    """For texts that stand at the same place."""
    a, b = left.words, right.words
    if {left.polarity, right.polarity} == {True, False} or _two_swapped(a.order, b.order):
        return True
    longest = max(len(a.order), len(b.order))
    alike = len(a.all & b.all) >= ALIKE * len(a.all | b.all)
    if a.negations != b.negations and (alike or longest <= SHORT_ANSWER_TOKENS):
        return True
    if longest > SHORT_TEXT_TOKENS:
        return False
    if substituted(a, b):
        return True
    among = a.all if a.all == b.all else a.names & b.names
    order_a, order_b = ([t for t in dict.fromkeys(side.order) if t in among] for side in (a, b))
    return order_a != order_b


def _two_swapped(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Whether the words are the same but for two that changed places."""
    if len(left) != len(right):
        return False
    places = [i for i, (one, other) in enumerate(zip(left, right, strict=True)) if one != other]
    return len(places) == 2 and left[places[0]] == right[places[1]] and left[places[1]] == right[places[0]]


def group_by_vectors(responses: Sequence[str], vectors: np.ndarray, floor: float = RESPONSE_FLOOR) -> list[int]:
    """Labels of one query's responses: each joins the first group whose first member it is equivalent to.

    ``vectors`` float32 (len(responses), d), unit length. The order of ``responses`` decides (best supported first):
    a group is what is equivalent to its best supported response, so chains of small differences do not drift. A
    response of more than MAX_PROMPT_CHARS characters was cut before it was embedded, so its vector does not speak for
    it: it is equivalent only to what says exactly the same.
    """
    heads: list[int] = []
    labels: list[int] = []
    forms = [canonical_response(response) for response in responses]
    facts_of = [facts(response) if len(response) <= MAX_PROMPT_CHARS else None for response in responses]

    def equivalent(i: int, head: int) -> bool:
        if forms[i] == forms[head]:
            return True
        own, other = facts_of[i], facts_of[head]
        if own is None or other is None or float(vectors[i] @ vectors[head]) < floor:
            return False
        return not facts_differ(own, other)

    for i in range(len(responses)):
        for label, head in enumerate(heads):
            if equivalent(i, head):
                labels.append(label)
                break
        else:
            labels.append(len(heads))
            heads.append(i)
    return labels
