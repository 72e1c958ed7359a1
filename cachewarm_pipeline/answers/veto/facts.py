"""The facts of a response: the numbers, names, claims and orders in it that no rewording may change.

``contradictions`` compares the facts of two responses. All work on one text is done here, once per text.
"""

import re
from dataclasses import dataclass, field

from cachewarm_client.words import quoted_names

from cachewarm_pipeline.answers.veto.clauses import CJK, Clause, Pole, clauses, poles, prepared
from cachewarm_pipeline.answers.veto.json_facts import Values, json_parts
from cachewarm_pipeline.answers.veto.language_words import LANGUAGES
from cachewarm_pipeline.answers.veto.number_facts import Number, numbers
from cachewarm_pipeline.answers.veto.order_facts import Steps, moves_of, sequences

FACTS_CACHED = 1_024
"""Responses whose facts are cached for the pairs that follow: 100 KB each at 1,500 characters."""

SHORT_SENTENCE = 30
"""In sentences of at most this many words the order of names carries meaning."""

NAME_WORDS = 3
"""Capitalised words of an answer that is only a name."""

_RUN = re.compile(r"[\w./-]+")
_SNAKE = re.compile(r"\w_\w")
_CAMEL = re.compile(r"\b[a-z]+[A-Z]\w*")
_CODE = re.compile(
    r"`([^`\n]{1,80})`"
    r"|(?m:^[ \t]{0,8}\$?[ \t]{0,4}((?:pip|npm|apt|git|docker|kubectl|brew|yarn|cargo|go|uv)\s.{1,80})$)"
)
_OPERATORS = {"==": "=", "===": "=", "!=": "!=", "!==": "!=", "<>": "!=", "≠": "!=", "≥": ">=", "≤": "<="}
_FIRST_WORD = re.compile(rf"\W*([{CJK}]+|\w+)")
_YES_OR_NO = {
    **{word: True for words in LANGUAGES.values() for word in words.yes},
    **{word: False for words in LANGUAGES.values() for word in words.no},
}


@dataclass(frozen=True, slots=True)
class Name:
    """A name in code, in quotes, or of capital letters."""

    text: str
    kind: str
    """"code", "quoted" or "capital"."""
    before: str
    after: str
    near: frozenset[str]


@dataclass(frozen=True, slots=True)
class TextFacts:
    """The facts of plain text: one sentence or more."""

    folded: str
    """The whole text, casefolded."""
    content: frozenset[str]
    """The stems of all words that have a meaning of their own."""
    clauses: tuple[tuple[frozenset[str], bool, bool], ...]
    """For each clause the stems of its words, whether it is negated, and whether anything in it is."""
    numbers: tuple[Number, ...]
    poles: dict[str, tuple[Pole, ...]]
    """Words that have an opposite, by axis."""
    names: tuple[Name, ...]
    moves: frozenset[tuple[str, str]]
    """("mysql", "postgres") for "from MySQL to Postgres"."""
    sequences: list[Steps]
    orders: list[tuple[str, ...]]
    """For each short sentence its stems in their order."""
    comparisons: frozenset[tuple[str, str]]
    """("retries", ">") for "retries > 5"."""
    short_name: bool
    """Whether it says little more than a name."""
    yes_or_no: bool | None
    """True when the first word is a yes, False when it is a no, None otherwise."""

    @classmethod
    def of(cls, text: str) -> "TextFacts":
        text = prepared(text)
        folded = text.lower()  # of the same length as the text, unlike casefold
        if len(folded) != len(text):
            text = folded
        found = clauses(text)
        opposites: dict[str, list[Pole]] = {}
        for pole in poles(found, folded):
            opposites.setdefault(pole.axis, []).append(pole)
        return cls(
            folded,
            frozenset(stem for clause in found for stem in clause.content),
            tuple((clause.content, clause.negated, clause.denies) for clause in found),
            tuple(numbers(found)),
            {axis: tuple(some) for axis, some in opposites.items()},
            tuple(_names(text, found)),
            moves_of(folded),
            sequences(text, found),
            _orders(found),
            _comparisons(found),
            _short_name(found),
            _yes_or_no(folded),
        )


@dataclass(slots=True)
class Facts:
    """The facts of one response."""

    whole: TextFacts
    """All of a plain text; of JSON, all its sentences without keys and short values."""
    values: Values = field(default_factory=dict)
    """Of JSON, the short strings, booleans and numbers by their path of keys."""
    sentences: dict[str, TextFacts] = field(default_factory=dict)
    """By place: all of a plain text; of JSON, each longer string that is the only one under its path of keys."""


def facts(response: str) -> Facts:
    """The facts of one response. JSON is read value by value, anything else as text."""
    parts = json_parts(response)
    if parts is None:
        whole = TextFacts.of(response)
        return Facts(whole, sentences={"": whole})
    values, sentences = parts
    texts = {path: TextFacts.of(found[0]) for path, found in sentences.items() if len(found) == 1}
    everything = ". ".join(text for path in sorted(sentences) for text in sentences[path])
    return Facts(TextFacts.of(everything), values, texts)


def code_names(text: str) -> list[str]:
    """Names with an underscore inside, with the path that they are part of; and names in camel case."""
    found: list[str] = []
    for run in _RUN.findall(text):  # one expression for both is eight times slower: it tries every place of every word
        if "_" in run and _SNAKE.search(run):
            found.append(run)
        elif not run.islower():
            found += _CAMEL.findall(run)
    return found


def _names(text: str, found: list[Clause]) -> list[Name]:
    code = {part.lower().strip() for match in _CODE.findall(text) for part in match if part}
    code |= {name.strip("./-").lower() for name in code_names(text)}
    quoted = {name for name in quoted_names(text) if name} - code
    marked = {
        name.split()[0].strip("\"'`.,;:()"): (name, kind)
        for kind, some in (("quoted", quoted), ("code", code))
        for name in some
    }
    result, seen = [], set()
    for clause in found:
        for k, raw in enumerate(clause.raw):
            word = clause.words[k]
            if word in marked:
                name, kind = marked[word]
            elif k and raw[0].isupper() and clause.parts[k]:
                name, kind = word, "capital"
            else:
                continue
            after = k + len(name.split())
            result.append(
                Name(
                    name,
                    kind,
                    " ".join(clause.words[max(0, k - 2) : k]),
                    clause.words[after] if after < len(clause.words) else "",
                    clause.content.difference(*clause.parts[k:after]),
                )
            )
            seen.add(name)
    result += [Name(name, "code", "", "", frozenset()) for name in sorted(code - seen)]
    result += [Name(name, "quoted", "", "", frozenset()) for name in sorted(quoted - seen)]
    return result


def _orders(found: list[Clause]) -> list[tuple[str, ...]]:
    result: dict[int, list[str]] = {}
    for clause in found:
        stems = result.setdefault(clause.sentence, [])
        for word, parts in zip(clause.words, clause.parts, strict=True):
            stems += ("by",) if word == "by" else parts
    return [tuple(stems) for stems in result.values() if len(stems) <= SHORT_SENTENCE]


def _comparisons(found: list[Clause]) -> frozenset[tuple[str, str]]:
    """The operators that compare something with a number or a name of code. A path of menus is no comparison."""
    result = set()
    for clause in found:
        for k, word in enumerate(clause.words):
            if word[0] in "=!<>≥≤≠" and 0 < k < len(clause.words) - 1:
                operand = clause.raw[k + 1]
                if operand[0].isdigit() or operand.islower():
                    result.add((clause.words[k - 1], _OPERATORS.get(word, word)))
    return frozenset(result)


def _short_name(found: list[Clause]) -> bool:
    raw = [word for clause in found for word in clause.raw]
    named = [word for clause in found for word, parts in zip(clause.raw, clause.parts, strict=True) if parts]
    if not named or len(named) > NAME_WORDS or not all(word[0].isupper() for word in named):
        return False
    return len(raw) > 1 or len(named) == 1


def _yes_or_no(folded: str) -> bool | None:
    first = _FIRST_WORD.match(folded)
    if first is None:
        return None
    if first[1] == "no" and not re.match(
        r"\W*no\s*(?:[,.;:!—–-]|$)|\W*no (?:you|it|this|that|they|we|i|there)\b", folded
    ):
        return None  # "No plan includes it" is a negation
    return _YES_OR_NO.get(first[1])
