"""The order that a text states: steps, before and after, from and to, and the order of its words."""

import re
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TypeAlias

from cachewarm_pipeline.answers.veto.clauses import Clause
from cachewarm_pipeline.answers.veto.words_of import word_set

Steps: TypeAlias = tuple[frozenset[str], ...]
"""The stems of each step, in the order of the steps."""

_BEFORE = word_set("before prior until bevor avant antes prima voordat przed до перед")
_AFTER = word_set("after once following nachdem après después depois dopo nadat после")
_STEP = re.compile(r"(?m)(?:^|(?<=[\s:;.]))(?:step )?\(?\d{1,2}[.):]\s{1,4}(?=\S)", re.I)
_MARKER = re.compile(
    r"\b(?:first(?:ly)?|second(?:ly)?|third(?:ly)?|and then|then|next|afterwards?|after that|finally|lastly"
    r"|subsequently"
    r"|zuerst|danach|anschließend|dann|d'abord|ensuite|puis|primero|luego|primeiro|prima|poi|сначала|затем|потом"
    r"|najpierw|potem|eerst|daarna)\b|首先|然后|最后|まず|次に|먼저|그다음",
    re.I,
)
_OPENS = re.compile(r"\b(?:first(?:ly)?|zuerst|d'abord|primero|primeiro|сначала|najpierw|eerst)\b|首先|まず|먼저", re.I)
_MARKED = word_set("first firstly then afterwards afterward after")
"""English words of which a text with steps has one."""
_THEN = re.compile(
    "and then|then|afterwards?|after that|danach|anschließend|dann|ensuite|puis|luego|然后|次に|그다음", re.I
)
_NOT_A_STEP = re.compile(
    r"\b(?:the|his|her|its|their|your|my|our|at|was|is) (?:very )?(?:first|second|third|next)\b", re.I
)
_FROM_TO = re.compile(
    r"\b(?:from|von|vom|de|desde|da|van|из|с)\s+[`'\"]?([\w.+#-]+)[`'\"]?\s+"
    r"(?:(?:up|over|back|down) )?(?:to|into|nach|zu|auf|à|vers|a|para|naar|в|на)\s+[`'\"]?([\w.+#-]*[\w+#])"
)
_INTO = re.compile(r"(\w{1,20})\s?(?:から|부터|에서)\s?(\w{1,20}?)\s?(?:へ|に|まで|로|으로)")


def moves_of(folded: str) -> frozenset[tuple[str, str]]:
    """("mysql", "postgres") for "from MySQL to Postgres"."""
    found = _FROM_TO.findall(folded)
    if not folded.isascii():
        found += _INTO.findall(folded)
    return frozenset((origin, target) for origin, target in found if origin != target)


def sequences(text: str, found: list[Clause]) -> list[Steps]:
    """Steps in the order in which the text says that they happen, as the stems of their words."""
    result: list[Steps] = []
    words = _Words(found)
    listed = [match.end() for match in _STEP.finditer(text)]
    if len(listed) >= 2:
        result.append(tuple(words.between(a, b) for a, b in pairwise([*listed, len(text)])))
    marked = any(word in _MARKED for clause in found for word in clause.words) or not text.isascii()
    marks = [
        match
        for match in _MARKER.finditer(text if marked else "")
        if not _NOT_A_STEP.search(text, max(0, match.start() - 12), match.end())
    ]
    if marks and any(_OPENS.match(match.group()) for match in marks):
        ends = [(match.end(), match.start()) for match in marks]
        parts = [words.between(a, b) for (a, _), (_, b) in pairwise([(0, 0), *ends, (len(text), len(text))])]
        result.append(tuple(part for part in parts if part))
    else:
        for match in marks:
            if _THEN.match(match.group()):
                result.append((words.between(0, match.start(), last=True), words.between(match.end(), len(text))))
    result += _before_and_after(found)
    return [steps for steps in result if sum(map(bool, steps)) > 1]


class _Words:
    """The stems of a text by place."""

    def __init__(self, found: list[Clause]) -> None:
        self._found = found
        self._starts = [clause.starts[0] for clause in found]

    def between(self, start: int, end: int, last: bool = False) -> frozenset[str]:
        """The stems of the first sentence, or of the last one, that lies between two places of the text."""
        first, stop = max(0, bisect_right(self._starts, start) - 1), bisect_left(self._starts, end)
        some = self._found[first:stop]
        some = [clause for clause in some if clause.starts[-1] >= start]
        if not some:
            return frozenset()
        sentence = some[-1 if last else 0].sentence
        return frozenset(
            part
            for clause in some
            if clause.sentence == sentence
            for at, parts in zip(clause.starts, clause.parts, strict=True)
            if start <= at < end
            for part in parts
        )


def _before_and_after(found: list[Clause]) -> list[Steps]:
    result: list[Steps] = []
    for at, clause in enumerate(found):
        for k, word in enumerate(clause.words):
            if word not in _BEFORE and word not in _AFTER:
                continue
            behind = _joined(clause.parts[k + 1 :])
            ahead = _joined(clause.parts[:k])
            if not ahead:
                other = at + 1 if k == 0 and (at == 0 or found[at - 1].sentence != clause.sentence) else at - 1
                if 0 <= other < len(found) and found[other].sentence == clause.sentence:
                    ahead = _joined(found[other].parts)
            if behind and ahead:
                result.append((ahead, behind) if word in _BEFORE else (behind, ahead))
    return result


def _joined(parts: list[tuple[str, ...]]) -> frozenset[str]:
    return frozenset(part for some in parts for part in some)


def another_order(left: list[Steps], right: list[Steps]) -> bool:
    """Whether two steps of one text are in the opposite order in the other."""
    return any(_inverted(one, other) for one in left for other in right)


def _inverted(left: Steps, right: Steps) -> bool:
    matched = []
    for step in left:
        scores = [likeness(step, other) for other in right]
        best = max(scores)
        if best >= SAME_STEP and scores.count(best) == 1:
            place = scores.index(best)
            back = [likeness(other, right[place]) for other in left]
            if max(back) == best and back.count(best) == 1:
                matched.append(place)
    return matched != sorted(matched)


SAME_STEP = 0.5
"""Likeness from which two steps are the same."""


def likeness(left: frozenset[str], right: frozenset[str]) -> float:
    """Share of common stems: twice their number, divided by the number of both."""
    total = len(left) + len(right)
    return 2 * len(left & right) / total if total else 0.0


def swapped(left: list[tuple[str, ...]], right: list[tuple[str, ...]]) -> bool:
    """Whether two sentences have the same words and two of them changed places, with another word between them."""
    for one in left:
        words = frozenset(one)
        for other in right:
            shared = words.intersection(other)
            if len(shared) < 3 or likeness(words, frozenset(other)) < MOSTLY_SAME or ("by" in one) != ("by" in other):
                continue
            a, b = ([word for word in dict.fromkeys(side) if word in shared and word != "by"] for side in (one, other))
            places = [k for k, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
            if len(places) == 2 and places[1] - places[0] > 1 and a[places[0]] == b[places[1]]:
                moved = a[places[0] : places[1] + 1]
                return all(one.count(word) == other.count(word) == 1 for word in moved)
    return False


MOSTLY_SAME = 0.8
"""Likeness of two sentences from which an exchange of two words is no rewording."""
