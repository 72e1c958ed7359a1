"""The clauses of a text: their words, whether they are negated, and which poles of opposites they name."""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from cachewarm_pipeline.answers.veto.contradiction_phrases import PHRASE_WORDS, POLE_PHRASES
from cachewarm_pipeline.answers.veto.contradiction_words import (
    CJK_POLES,
    POLE_STEMS,
    POLE_WORDS,
    REVERSED_BY_NOT,
)
from cachewarm_pipeline.answers.veto.language_words import (
    FOREIGN_NEGATIONS,
    NEGATED_FORMS,
    NEGATED_TURKISH,
    NEGATIONS,
    NO_NEGATION_IN_CJK,
    OPENS_A_CLAUSE,
    PAIRED_NEGATIONS,
    PARTS_OF_CJK,
    STOP_WORDS,
)
from cachewarm_pipeline.answers.veto.words_of import word_set

STEM = 5
"""Letters of a word that are compared: "deleting" matches "delete"."""

MOST_CLAUSES = 500
"""Clauses of a text that are compared. A response that is embedded as a whole has at most 2,000 characters."""

MOST_POLES = 50
"""Words of a clause with an opposite that are compared."""

LONGEST_WORD = 64
"""Letters of a word that are looked at."""

NEGATION_REACH = 4
"""Words behind an English negation among which it negates an opposite: "do not ever again enable it"."""

CJK = "぀-ヿ㐀-鿿가-힯"
_CJK_RUN = re.compile(f"[{CJK}]+")
_PIECE = re.compile(r"[㐀-鿿]+|[゠-ヿ]+|[가-힯]+")
_TOKEN = re.compile(
    r"(?P<op>===?|!==?|<>|>=|<=|≥|≤|≠|(?<![-=<>])[<>](?![<>]))"
    r"|(?P<unit>[$€£¥₹%]|°[cf]\b)"
    r"|(?P<word>(?:[\w\u0900-\u0963]|(?<!\w)-(?=\d))+(?:[.'’+#/:,-](?<!\d,(?=\d))\w+|(?<=\d),\d{3}(?!\d))*[+#]*)"
    r"|(?P<sentence>[.!?](?=[\s\"'”)\]*_]|$)|[。！？؟।]|\n+)"
    r"|(?P<clause>[,;:—–(]|、|，|；|：|،| - )"
)
_CLAUSE_WORDS = word_set(
    "and but while because or whereas although und aber oder weil et mais ou y pero e ma maar и но ale ve ama"
)
_HARMLESS = re.compile(
    r"\b(?:not only|not just|no matter|no problem|no doubt|if not|why not|whether or not|(?:do not|don't"
    r"|never) (?:forget|hesitate|worry))\b",
    re.I,
)
_NUMBER_SIGN = re.compile(r"\b[Nn]o\.\s?(?=\d)")
_CODE = re.compile(r"`[^`\n]*\s[^`\n]*`")
"""Code of several words: a command, not a statement."""
_NO_MORE = re.compile(r"\b(?:no|not) (?:more|later|longer|larger|higher|greater) than\b", re.I)
_NO_LESS = re.compile(r"\b(?:no|not) (?:less|fewer|sooner|smaller|lower|earlier) than\b", re.I)
_NEGATED_FORM = re.compile(
    r"(?:un|in|im|ir|il|dis|non-?)(" + "|".join(sorted(NEGATED_FORMS, key=len, reverse=True)) + r")(?:ly)?$"
)
_NEGATED_TURKISH = re.compile(r"(?<=\w\w)" + NEGATED_TURKISH + "$")
_HARMLESS_CJK = re.compile("|".join(sorted(NO_NEGATION_IN_CJK, key=len, reverse=True)))
_PART_OF_CJK = re.compile("|".join(PARTS_OF_CJK))
_TURKISH = re.compile(r"[ığşİ]|[iu]yor\b|\b(?:ve|bir|bu|için)\b")


@dataclass(frozen=True, slots=True)
class Pole:
    """A word or phrase that has an opposite."""

    axis: str
    side: int
    near: frozenset[str]
    """The other words of its clause."""
    around: frozenset[str]
    """The other words of its sentence."""


@dataclass(slots=True)
class Clause:
    """Words up to a comma or a conjunction."""

    sentence: int
    words: list[str] = field(default_factory=list)
    """All words, casefolded."""
    raw: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    stems: list[str] = field(default_factory=list)
    """For each word its stem; "" for a word without a meaning of its own."""
    parts: list[tuple[str, ...]] = field(default_factory=list)
    """For each word the parts that are compared."""
    negations: list[int] = field(default_factory=list)
    """Positions of words that negate."""
    marks: list[tuple[int, str, int]] = field(default_factory=list)
    """Words with an opposite: position, axis and pole."""
    negated: bool = False
    """Whether the clause is negated, and no opposite stands for the negation."""
    content: frozenset[str] = frozenset()

    @property
    def denies(self) -> bool:
        """Whether anything in the clause is negated."""
        return self.negated or len(self.negations) > 0


def prepared(text: str) -> str:
    """The text with harmless negations removed, and with spaces around Chinese, Japanese and Korean words."""
    text = text.replace("’", "'")
    if "no" in text or "No" in text or "n't" in text or "never" in text:
        text = _NUMBER_SIGN.sub("number ", text)
        text = _NO_LESS.sub("at least", _NO_MORE.sub("at most", _HARMLESS.sub(" ", text)))
    return _CJK_RUN.sub(lambda run: f" {run.group()} ", text) if _CJK_RUN.search(text) else text


def clauses(text: str) -> list[Clause]:
    """The clauses of a prepared text that have a word."""
    found = [Clause(0)]
    turkish = _TURKISH.search(text) is not None
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "sentence" or kind == "clause":
            found.append(Clause(found[-1].sentence + (kind == "sentence")))
            continue
        raw = match.group()[:LONGEST_WORD]
        word = raw.casefold()
        if word in _CLAUSE_WORDS:
            found.append(Clause(found[-1].sentence))
            continue
        if word in OPENS_A_CLAUSE:
            found.append(Clause(found[-1].sentence))
        clause = found[-1]
        stem, negates, parts, own = _word(word, turkish)
        if negates and not (clause.words and raw[0].isupper() and not raw.isupper()):  # "Mission Impossible" is a name
            clause.negations.append(len(clause.words))
        clause.words.append(word)
        clause.raw.append(raw)
        clause.starts.append(match.start())
        clause.stems.append(stem)
        clause.parts.append(parts)
        for axis, side in own:
            clause.marks.append((len(clause.parts) - 1, axis, side))
    return [clause for clause in found if clause.words][:MOST_CLAUSES]


@lru_cache(1 << 15)
def _word(word: str, turkish: bool) -> tuple[str, bool, tuple[str, ...], tuple[tuple[str, int], ...]]:
    """Of a word, the stem, whether it negates, the parts that are compared, and its poles."""
    stem, negates = _stem(word, turkish)
    pole = pole_of(word)
    own: tuple[tuple[str, int], ...] = (pole,) if pole else ()
    if not own and word[0] >= "぀" and _CJK_RUN.match(word):
        own = tuple(_cjk_poles(word))
    parts = (f"{pole[0]} {pole[1]}",) if pole and stem else _content_of(stem)  # "keep" and "retain" are one word
    return stem, negates, parts, own


def _stem(word: str, turkish: bool) -> tuple[str, bool]:
    """The part of a word that is compared, and whether the word negates."""
    if word in NEGATIONS or word.endswith("n't"):
        return "", True
    if word in STOP_WORDS:
        return "", False
    if _CJK_RUN.match(word):
        negates = _PART_OF_CJK.search(_HARMLESS_CJK.sub("", word)) is not None
        return word, negates or word in ("안", "非")
    if form := _NEGATED_FORM.match(word):
        return form.group(1)[:STEM], True
    if turkish and (end := _NEGATED_TURKISH.search(word)):
        return word[: end.start()][:STEM], True
    if word[0].isdigit():
        return word, False
    if word.startswith("ال"):
        word = word[2:]
    word = word.removesuffix("'s")
    return (word[:4] if "\u0600" <= word[0] <= "\u097f" else word[:STEM]), False


def _content_of(stem: str) -> tuple[str, ...]:
    """The parts of a stem that are compared: for Chinese and Japanese, pairs of characters without grammar."""
    if not stem or not _CJK_RUN.match(stem):
        return (stem,) if stem and stem[0] not in "=<>!≥≤≠" else ()
    parts: list[str] = []
    for piece in _PIECE.findall(_PART_OF_CJK.sub("", stem)):
        if "가" <= piece[0] <= "힯":
            parts.append(piece[:2])
        elif piece[0] >= "㐀" and len(piece) > 2:
            parts += [piece[i : i + 2] for i in range(len(piece) - 1)]
        else:
            parts.append(piece)
    return tuple(parts)


def pole_of(word: str) -> tuple[str, int] | None:
    """Axis and pole of a word."""
    if word in POLE_WORDS:
        return POLE_WORDS[word]
    for end in range(len(word), 2, -1):
        if word[:end] in POLE_STEMS:
            return POLE_STEMS[word[:end]]
    return None


def poles(found: list[Clause], folded: str) -> list[Pole]:
    """The words and phrases that have an opposite. Sets ``content`` and ``negated`` of each clause.

    ``folded`` is the casefolded text, whose places are those of the clauses' words.
    """
    words = frozenset(word for clause in found for word in clause.words)
    here = {axis for axis, needed in PHRASE_WORDS.items() if not words.isdisjoint(needed)}
    starts = {start: (clause, k) for clause in found for k, start in enumerate(clause.starts)} if here else {}
    for axis, expression, side in POLE_PHRASES:
        if axis not in here:
            continue
        for match in expression.finditer(folded):
            first = next((at for at in range(match.start(), match.end()) if at in starts), None)
            if first is not None:
                clause, k = starts[first]
                clause.marks.append((k, axis, side))
    code = [match.span() for match in _CODE.finditer(folded)]
    around: dict[int, set[str]] = {}
    for clause in found:
        if code:
            clause.marks = [m for m in clause.marks if not any(a < clause.starts[m[0]] < b for a, b in code)]
        clause.content = frozenset(part for parts in clause.parts for part in parts)
        around.setdefault(clause.sentence, set()).update(clause.content)
    whole = {sentence: frozenset(parts) for sentence, parts in around.items()}
    return [pole for clause in found for pole in _poles_of(clause, whole[clause.sentence])]


def _cjk_poles(word: str) -> list[tuple[str, int]]:
    result = []
    for axis, sides in CJK_POLES.items():
        parts = sorted(((part, side) for side in (0, 1) for part in sides[side]), key=lambda each: -len(each[0]))
        for part, side in parts:
            if part in word:
                result.append((axis, side))
                word = word.replace(part, " ")
    return result


def _poles_of(clause: Clause, around: frozenset[str]) -> list[Pole]:
    marks = clause.marks[:MOST_POLES]
    if not marks and not clause.negations:
        return []
    binary = [k for k, (_, axis, _) in enumerate(marks) if axis in REVERSED_BY_NOT]
    flipped: set[int] = set()
    used = 0
    for at in clause.negations:
        behind = [k for k in binary if at < marks[k][0] <= at + NEGATION_REACH]
        nearest = min(behind, key=lambda k: marks[k][0], default=None)
        if nearest is None and (clause.words[at] in FOREIGN_NEGATIONS or not clause.words[at].isascii()):
            nearest = min(binary, key=lambda k: abs(marks[k][0] - at), default=None)
        if nearest is not None:
            used += 1
            place = marks[nearest][0]
            flipped ^= {k for k in binary if marks[k][0] == place}
    paired = sum(1 for at in clause.negations if clause.words[at] in PAIRED_NEGATIONS)
    left = len(clause.negations) - used - (paired > 1) * (paired - 1)
    english = all(clause.words[at] not in FOREIGN_NEGATIONS and clause.words[at].isascii() for at in clause.negations)
    clause.negated = left % 2 == 1 if english else left > 0
    result = []
    for k, (at, axis, side) in enumerate(marks):
        if axis not in REVERSED_BY_NOT and any(n < at <= n + NEGATION_REACH for n in clause.negations):
            continue
        same_axis = {part for other, own_axis, _ in marks if own_axis == axis for part in clause.parts[other]}
        result.append(Pole(axis, 1 - side if k in flipped else side, clause.content - same_axis, around - same_axis))
    return result
