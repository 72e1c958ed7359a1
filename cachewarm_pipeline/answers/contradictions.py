"""When two responses say the same: the pure part of the judges. Vectors and models are for answers.judges."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from cachewarm_client.prompt_contradiction import substituted
from cachewarm_client.text import MAX_PROMPT_CHARS
from cachewarm_client.word_lists import FILLERS, NEGATIONS
from cachewarm_client.words import Tokens, quoted_names, tokens
from numpy.typing import NDArray

from cachewarm_pipeline.answers.equivalence_groups import (
    Flags,
    Positions,
    cosines,
    leader_groups,
    merge_equal,
    near_pairs,
    nearest_first,
)
from cachewarm_pipeline.query_log.responses import canonical_response, json_value

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
"""Up to here the order of names is meaning."""

SAME_CLAUSE = 0.6
"""Share of the longer clause's words that two clauses have in common when they say the same thing, or its opposite."""

_LEAST_STEMS = 2
_STEM = 5  # letters: "deleting" and "delete"
_CLAUSE_END = re.compile(r"[.;:!?,\n]+\s|\b(?:and|but|while|because)\b")
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
"""Not "one", which is a pronoun as often."""

SHORT_LEAF_WORDS = 3
"""A JSON string of so few words is a value ("high", "not safe"), not a sentence."""

VectorsOf: TypeAlias = Callable[[Positions], NDArray[np.float32]]
"""Unit vectors (k, d) of the responses at k positions."""

Decide: TypeAlias = Callable[[Sequence[tuple[str, str]], NDArray[np.float64]], Flags]
"""The last word on pairs of responses whose facts agree and whose cosines, given too, reach the floor."""

_FACTS_KEPT = 4_096
"""Responses whose facts are kept for the next pair: 10 KB each."""

_RUN = re.compile(r"[\w./-]+")
_SNAKE = re.compile(r"\w_\w")
_CAMEL = re.compile(r"\b[a-z]+[A-Z]\w*")
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
    numbers: frozenset[str]
    """Tokens with a digit, and number words as digits: "five" is "5"."""
    code: frozenset[str]
    moves: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, text: str) -> "_Text":
        folded = text.casefold()
        code = quoted_names(text) | {found.strip("./-").casefold() for found in _code_names(text)}
        words = tokens(text)
        spelled = frozenset(_NUMBER_WORDS[word] for word in words.all & _NUMBER_WORDS.keys())
        return cls(words, folded, words.numbers | spelled, code, frozenset(_FROM_TO.findall(folded)))

    @property
    def polarity(self) -> bool | None:
        return _LEAD.get(self.words.order[0]) if self.words.order else None


@lru_cache(_FACTS_KEPT)
def _clauses(text: str) -> tuple[tuple[frozenset[str], bool], ...]:
    """Of each clause the stems of its words, and whether it is negated."""
    parts = [tokens(part) for part in _CLAUSE_END.split(text)]
    return tuple(
        (frozenset(word[:_STEM] for word in part.all - FILLERS - NEGATIONS), part.negated) for part in parts if part.all
    )


def _code_names(text: str) -> list[str]:
    """Names with an underscore inside, with the path that they are part of; and names in camel case."""
    found: list[str] = []
    for run in _RUN.findall(text):  # one expression for both tries every place of every word: eight times slower
        if "_" in run and _SNAKE.search(run):
            found.append(run)
        elif not run.islower():
            found += _CAMEL.findall(run)
    return found


@dataclass(slots=True)
class Facts:
    """What a response says that no rewording may change."""

    whole: _Text
    """Everything; of JSON the sentences in it, without keys and short values."""
    values: frozenset[tuple[Any, int]] = frozenset()
    """Of JSON, each object's and array's short strings, booleans and numbers with their keys, and how often."""
    sentences: dict[str, _Text] = field(default_factory=dict)
    """What stands at one place: the whole of a plain text; of JSON, longer strings alone under their keys."""

    @property
    def key(self) -> Hashable:
        """Equal for any two responses whose facts agree: where keys differ, no pair need be looked at."""
        return self.whole.numbers, self.values


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
    return Facts(_Text.of(everything), frozenset(values.items()), texts)


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

    These are numbers, spelled ones too, and versions; a short JSON value; names in code or quotes of which each has one
    that the other lacks; a yes or no in front; a move from one thing to another turned round; a clause that the other
    says with or without a negation; one word exchanged for another where little else differs; and in short texts any
    negation and the order of words.
    """
    if left.values != right.values or _contents_differ(left.whole, right.whole):
        return True
    shared = left.sentences.keys() & right.sentences.keys()
    return any(_sentences_differ(left.sentences[path], right.sentences[path]) for path in shared)


def _contents_differ(left: _Text, right: _Text) -> bool:
    """For texts of any length and order of sentences."""
    if left.numbers != right.numbers or _turned_round(left, right) or _turned_round(right, left):
        return True
    if any(name not in right.folded for name in left.code) and any(name not in left.folded for name in right.code):
        return True
    return any((there, here) in right.moves for here, there in left.moves)


def _turned_round(left: _Text, right: _Text) -> bool:
    """Whether the other says a negated clause without the negation: the clause that is most like it is not negated.

    A negation that has no such clause is a rewording: "who did not build it", "outsiders".
    """
    if not left.words.negations:
        return False
    others = [other for other in _clauses(right.folded) if len(other[0]) >= _LEAST_STEMS]
    for stems, negated in _clauses(left.folded):
        if negated and len(stems) >= _LEAST_STEMS and others:
            like = max((len(stems & other) / max(len(stems), len(other)), not turned) for other, turned in others)
            if like >= (SAME_CLAUSE, True) and like[1]:
                return True
    return False


def _sentences_differ(left: _Text, right: _Text) -> bool:
    """For texts that stand at the same place."""
    a, b = left.words, right.words
    if {left.polarity, right.polarity} == {True, False} or _two_swapped(a.order, b.order):
        return True
    longest = max(len(a.order), len(b.order))
    alike = len(a.all & b.all) >= ALIKE * len(a.all | b.all)
    if a.negations != b.negations and (alike or longest <= SHORT_ANSWER_TOKENS):
        return True
    if substituted(a, b):
        return True
    if longest > SHORT_TEXT_TOKENS:
        return False
    among = a.all if a.all == b.all else a.names & b.names
    order_a, order_b = ([t for t in dict.fromkeys(side.order) if t in among] for side in (a, b))
    return order_a != order_b


def _two_swapped(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Whether the words are the same but for two that changed places."""
    if len(left) != len(right):
        return False
    places = [i for i, (one, other) in enumerate(zip(left, right, strict=True)) if one != other]
    return len(places) == 2 and left[places[0]] == right[places[1]] and left[places[1]] == right[places[0]]


def stands_alone(response: str) -> bool:
    """Whether it is equivalent only to what says exactly the same: a response of more than MAX_PROMPT_CHARS characters
    is cut before it is embedded, so its vector does not speak for it; a blank one has none."""
    return len(response) > MAX_PROMPT_CHARS or not response.strip()


def answer_groups(
    responses: Sequence[str],
    vectors_of: VectorsOf,
    floor: float = RESPONSE_FLOOR,
    *,
    decide: Decide | None = None,
    queries: Sequence[int] | None = None,
) -> Positions:
    """The answer group of each response, as the position of the group's head: its first response.

    In the order of ``responses`` (best supported first) each joins the first head that it is equivalent to: one that
    says exactly the same; else one with the same facts, a cosine of at least ``floor``, and a yes of ``decide`` where
    there is one. So a group is what is equivalent to its head, and chains of small differences do not drift. With
    ``queries`` (the query of each response) only responses of one query are grouped.

    ``vectors_of`` is called once, for what the facts alone cannot keep apart. Memory: those vectors, and blocks. As
    ``decide`` may cost, each response is asked about its nearest heads first, and no more once there is a yes.
    """
    known = lru_cache(_FACTS_KEPT)(facts)
    of_query = queries if queries is not None else [0] * len(responses)
    firsts, places = merge_equal([(q, canonical_response(r)) for q, r in zip(of_query, responses, strict=True)])
    buckets = _buckets(firsts, responses, of_query, known)
    compared = np.flatnonzero(np.bincount(buckets, minlength=1)[buckets] > 1)
    groups = np.arange(len(firsts))
    if len(compared):
        at = firsts[compared]
        texts = [responses[position] for position in at.tolist()]
        vectors = vectors_of(at)

        def ask(item: Positions, other: Positions) -> Flags:
            cosine = cosines(vectors, item, other)
            yes = np.flatnonzero(cosine >= floor)
            yes = yes[np.argsort(other[yes], kind="stable")]  # head by head, so that few facts are read twice
            agree = (facts_agree(texts[i], texts[j], known) for i, j in zip(item[yes], other[yes], strict=True))
            yes = yes[np.fromiter(agree, bool, len(yes))]
            if decide is not None:
                asked = cosine[yes]
                pairs = [(texts[i], texts[j]) for i, j in zip(item[yes], other[yes], strict=True)]
                yes = yes[
                    nearest_first(item[yes], asked, lambda some: decide([pairs[k] for k in some.tolist()], asked[some]))
                ]
            same = np.zeros(len(item), bool)
            same[yes] = True
            return same

        groups[compared] = compared[leader_groups(len(at), near_pairs(vectors, buckets[compared], floor), ask)]
    return firsts[groups][places]


def _buckets(
    positions: Positions, responses: Sequence[str], queries: Sequence[int], known: Callable[[str], Facts]
) -> Positions:
    """A number for each of the positions; where two differ, facts or queries do, or one stands alone."""
    numbers: dict[Hashable, int] = {}
    return np.array(
        [
            numbers.setdefault((queries[at], at if stands_alone(responses[at]) else known(responses[at]).key), at)
            for at in positions.tolist()
        ],
        np.int64,
    )


def facts_agree(left: str, right: str, known: Callable[[str], Facts] = facts) -> bool:
    """Whether the facts of two responses do not differ; the same either way round."""
    if right < left:  # the likeness of two words depends on which comes first
        left, right = right, left
    return not facts_differ(known(left), known(right))


def group_by_vectors(responses: Sequence[str], vectors: np.ndarray, floor: float = RESPONSE_FLOOR) -> list[int]:
    """``answer_groups`` of one query's responses as labels 0.. in the order of their heads.

    ``vectors`` float32 (len(responses), d), unit length.
    """
    return labels_of(answer_groups(responses, lambda positions: vectors[positions], floor))


def labels_of(groups: Positions) -> list[int]:
    """Groups numbered 0.. in the order in which they are first met."""
    seen: dict[int, int] = {}
    return [seen.setdefault(group, len(seen)) for group in groups.tolist()]
