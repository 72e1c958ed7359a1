"""The order that a text states: steps, before and after, from and to, and the order of its words."""

import re

from cachewarm_pipeline.answers.clauses import Clause, clauses, prepared

Sequence_ = tuple[frozenset[str], ...]

_BEFORE = frozenset("before prior until bevor avant antes prima voordat przed до перед".split())
_AFTER = frozenset("after once following nachdem après después depois dopo nadat после".split())
_STEP = re.compile(r"(?m)(?:^|(?<=[\s:;.]))\s*(?:step )?\(?\d{1,2}[.):]\s+(?=\S)", re.I)
_MARKER = re.compile(
    r"\b(?:first(?:ly)?|second(?:ly)?|third(?:ly)?|and then|then|next|afterwards?|after that|finally|lastly|subsequently"
    r"|zuerst|danach|anschließend|dann|d'abord|ensuite|puis|primero|luego|primeiro|prima|poi|сначала|затем|потом"
    r"|najpierw|potem|eerst|daarna)\b|首先|然后|最后|まず|次に|먼저|그다음",
    re.I,
)
_OPENS = re.compile(r"\b(?:first(?:ly)?|zuerst|d'abord|primero|primeiro|сначала|najpierw|eerst)\b[,:]?\s|首先|まず|먼저", re.I)
_NOT_A_STEP = re.compile(r"\b(?:the|his|her|its|their|your|my|our|at|was|is|in) (?:very )?(?:first|second|third|next)\b", re.I)
_FROM_TO = re.compile(
    r"\b(?:from|von|vom|de|desde|da|van|из|с)\s+[`'\"]?([\w.+#-]+)[`'\"]?\s+"
    r"(?:(?:up|over|back|down) )?(?:to|into|nach|zu|auf|à|vers|a|para|naar|в|на)\s+[`'\"]?([\w.+#-]*[\w+#])"
)
_INTO = re.compile(r"([㐀-鿿゠-ヿ\w]+)(?:から|부터|에서)\s*([㐀-鿿゠-ヿ\w]+?)(?:へ|に|まで|로|으로)")


def moves_of(folded: str) -> frozenset[tuple[str, str]]:
    """("mysql", "postgres") for "from MySQL to Postgres"."""
    found = _FROM_TO.findall(folded)
    if not folded.isascii():
        found += _INTO.findall(folded)
    return frozenset((origin, target) for origin, target in found if origin != target)


def sequences(text: str, found: list[Clause]) -> list[Sequence_]:
    """Steps in the order in which the text says that they happen, as the stems of their words."""
    result: list[Sequence_] = []
    listed = _STEP.split(text)[1:]
    if len(listed) >= 2:
        result.append(tuple(_stems(part.split("\n")[0]) for part in listed))
    marked = _NOT_A_STEP.sub(" ", text)
    if _OPENS.search(marked):
        parts = [part for part in _MARKER.split(marked) if part.strip(" ,.:;\n")]
        if len(parts) >= 2:
            result.append(tuple(_stems(part) for part in parts))
    elif (
        len(parts := re.split(r"\b(?:and then|then|afterwards|after that|danach|ensuite|puis|luego)\b|然后", marked)) > 1
    ):
        result += [(_last(parts[k]), _stems(parts[k + 1])) for k in range(len(parts) - 1)]
    result += _before_and_after(found)
    return [steps for steps in result if sum(map(bool, steps)) > 1]


def _last(text: str) -> frozenset[str]:
    return _stems(re.split(r"[.!?\n]\s", text.strip())[-1])


def _stems(text: str) -> frozenset[str]:
    own = clauses(prepared(text))
    if not own:
        return frozenset()
    return frozenset(part for each in own if each.sentence == own[0].sentence for parts in each.parts for part in parts)


def _before_and_after(found: list[Clause]) -> list[Sequence_]:
    result = []
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


def another_order(left: list[Sequence_], right: list[Sequence_]) -> bool:
    """Whether two steps of one text are in the opposite order in the other."""
    return any(_inverted(one, other) for one in left for other in right)


def _inverted(left: Sequence_, right: Sequence_) -> bool:
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
                return True
    return False


MOSTLY_SAME = 0.8
"""Likeness of two sentences from which an exchange of two words is no rewording."""
