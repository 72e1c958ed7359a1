"""Whether two responses contradict each other: each claims what the other excludes.

What only one of them says is an addition and no contradiction. The `local` judge never calls two
responses equivalent that contradict each other; the model of the `llm` judge may, but for the few reasons of
``is_hard``. That two responses do not contradict each other does not make them equivalent either.

Measured on 12,076 real answers to open questions: of 11,437 pairs of right answers 96.6% pass, and of 4,039 pairs of a
right and a wrong answer 13% are rejected. A wrong answer mostly has another name, in a place that words do not show.
"""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from cachewarm_pipeline.answers.veto.clauses import Pole
from cachewarm_pipeline.answers.veto.contradiction_words import SEVERAL_POLES
from cachewarm_pipeline.answers.veto.facts import Facts, Name, TextFacts
from cachewarm_pipeline.answers.veto.json_facts import another_value
from cachewarm_pipeline.answers.veto.number_facts import Number
from cachewarm_pipeline.answers.veto.number_words import CONFUSED_UNITS
from cachewarm_pipeline.answers.veto.order_facts import another_order, likeness, swapped

SAME_CLAUSE = 0.6
"""Likeness from which a clause and a negated one say opposite things."""

SAME_PLACE = 0.5
"""Likeness of the words around two opposites from which they stand in the same place."""

ONLY_OPPOSITES = 0.4
"""The same where each text has only one of the two opposites: nothing else can stand in that place."""

SAME_NUMBER_PLACE = 0.5
"""Likeness of the words around two numbers from which they stand in the same place."""

SAME_NAME_PLACE = 0.6
"""Likeness of the words around two names from which they stand in the same place."""

SAME_SPELLING = 0.7
"""Likeness of two words that are spellings of one name: "Cindy", "Cyndi"."""

_WORD = re.compile(r"\w+")

SHORT_ANSWER = 3
"""An answer of at most this many words with a meaning of their own consists mainly of its number or its name."""


def contradict(left: Facts, right: Facts) -> str | None:
    """Why two responses contradict each other, in a few words; None if they do not. The order does not matter."""
    if another_value(left.values, right.values):
        return "another value of a key"
    if reason := _whole_texts(left.whole, right.whole):
        return reason
    for path in left.sentences.keys() & right.sentences.keys():
        if path and (reason := _whole_texts(left.sentences[path], right.sentences[path])):
            return reason
    return None


_HARD = (
    "another value of a key",
    "yes against no",
    "the opposite direction",
    "another comparison",
    "another unit in the same place",
)


def is_hard(reason: str) -> bool:
    """Whether a reason of ``contradict`` decides alone, so that no model is asked.

    Opposites, orders, negations, numbers and names in one place do not: a place is found by words, and of such pairs of
    real answers people call 38 to 86% equivalent ("first aired" against "last aired", of two different things).
    """
    return reason in _HARD


def _whole_texts(left: TextFacts, right: TextFacts) -> str | None:
    """The first reason in either order: a rule may find the place of a word from one side only."""
    return next(_reasons(left, right), None) or next(_reasons(right, left), None)


def _reasons(left: TextFacts, right: TextFacts) -> Iterator[str]:
    if left.folded == right.folded:
        return
    if {left.yes_or_no, right.yes_or_no} == {True, False}:
        yield "yes against no"
    if any((target, origin) in right.moves for origin, target in left.moves):
        yield "the opposite direction"
    if left.numbers and right.numbers and (reason := _another_number(left, right)):
        yield reason
    if (axis := _opposite(left, right)) is not None:
        yield f"{axis}: one pole against another"
    if _other_comparison(left, right):
        yield "another comparison"
    if another_order(left.sequences, right.sequences):
        yield "another order of steps"
    if _negated(left, right) or _negated(right, left):
        yield "negated against not negated"
    if swapped(left.orders, right.orders):
        yield "two words exchanged"
    if left.short_name and right.short_name and not any(_alike(a, b) for a in left.content for b in right.content):
        yield "another short answer"
    if _another_name(left, right):
        yield "another name in the same place"


def _another_number(left: TextFacts, right: TextFacts) -> str | None:
    ours, theirs = _only_in(left.numbers, right.numbers), _only_in(right.numbers, left.numbers)
    for one in ours:
        for other in theirs:
            if one.kind == other.kind and _same_place(one, other, left, right):
                return "another number in the same place"
            if one.written == other.written and _confused(one, other) and _likeness_of(one, other) >= SAME_NUMBER_PLACE:
                return "another unit in the same place"
    return None


def _only_in(some: tuple[Number, ...], others: tuple[Number, ...]) -> list[Number]:
    exact = {(other.value, other.kind) for other in others}
    return [
        number
        for number in some
        if (number.value, number.kind) not in exact and not any(_equal(number, other) for other in others)
    ]


def _equal(left: Number, right: Number) -> bool:
    """Whether a number of one text is mentioned in the other."""
    if _confused(left, right):
        return False
    if left.equals(right):
        return True
    unknown = not left.kind or not right.kind or not (left.measured or right.measured)
    return unknown and left.written == right.written


def _confused(left: Number, right: Number) -> bool:
    return (left.kind, right.kind) in CONFUSED_UNITS


def _same_place(one: Number, other: Number, left: TextFacts, right: TextFacts) -> bool:
    if min(len(left.content), len(right.content)) <= SHORT_ANSWER and len(left.numbers) == len(right.numbers) == 1:
        return True
    return _likeness_of(one, other) >= SAME_NUMBER_PLACE


def _likeness_of(one: Number, other: Number) -> float:
    return max(likeness(one.near, other.near) if one.near or other.near else 0.0, likeness(one.around, other.around))


def _opposite(left: TextFacts, right: TextFacts) -> str | None:
    for axis in sorted(left.poles.keys() & right.poles.keys()):
        ours, theirs = left.poles[axis], right.poles[axis]
        sides = {pole.side for pole in ours}, {pole.side for pole in theirs}
        if sides[0] == sides[1] and len(sides[0]) == 1:
            continue
        alone = not sides[0] & sides[1]
        if axis in SEVERAL_POLES and not alone:
            continue
        for one in ours:
            scores = [(_near(one, other, alone), other.side) for other in theirs]
            against = max((score for score, side in scores if side != one.side), default=0.0)
            along = max((score for score, side in scores if side == one.side), default=-1.0)
            if along < 0 and any(_near(one, other, alone) >= against for other in ours if other.side != one.side):
                continue  # this text names both sides of the place
            if against > along and against >= (ONLY_OPPOSITES if alone else SAME_PLACE):
                return axis
    return None


def _near(left: Pole, right: Pole, alone: bool) -> float:
    """Likeness of two places. In a text that names both opposites, their sentences do not tell the places apart."""
    if not left.near and not right.near:
        return 1.0
    if not alone:
        return likeness(left.near, right.near)
    return max(likeness(left.near, right.near), likeness(left.around, right.around))


def _other_comparison(left: TextFacts, right: TextFacts) -> bool:
    for operand in {operand for operand, _ in left.comparisons} & {operand for operand, _ in right.comparisons}:
        ours, theirs = ({sign for other, sign in side.comparisons if other == operand} for side in (left, right))
        if ours - theirs and theirs - ours:
            return True
    return False


def _negated(left: TextFacts, right: TextFacts) -> bool:
    """Whether ``right`` states a clause that ``left`` negates: the most similar clause of ``right`` is not negated.

    A negation without such a clause is a rewording: "who did not build it", "outsiders".
    """
    for stems, negated, _ in left.clauses:
        if not negated or not stems:
            continue
        scores = [(_same_claim(stems, other), denies, other) for other, _, denies in right.clauses]
        best = max((score for score, _, _ in scores), default=0.0)
        if best < SAME_CLAUSE or any(denies for score, denies, _ in scores if score >= best):
            continue
        nearest = next(other for score, _, other in scores if score == best)
        if not any(not denies and likeness(nearest, other) >= best for other, _, denies in left.clauses):
            return True
    return False


def _same_claim(stems: frozenset[str], other: frozenset[str]) -> float:
    """Likeness of two clauses; a clause that says all that the other one says, and more, is like enough."""
    score = likeness(stems, other)
    return max(score, SAME_CLAUSE) if len(stems) > 1 and stems <= other else score


def _another_name(left: TextFacts, right: TextFacts) -> bool:
    ours = [name for name in left.names if name.text not in right.folded]
    if not ours:
        return False
    theirs = [name for name in right.names if name.text not in left.folded]
    return any(_same_frame(one, other) for one in ours for other in theirs if one.kind == other.kind)


def _same_frame(one: Name, other: Name) -> bool:
    if one.kind == "code" and " " in one.text and " " in other.text:
        head, tail = one.text.split(maxsplit=1)
        other_head, other_tail = other.text.split(maxsplit=1)
        a, b = set(tail.split()), set(other_tail.split())
        return head == other_head and bool(a - b) and bool(b - a)
    if likeness(one.near, other.near) < SAME_NAME_PLACE:
        return False
    ours, theirs = (set(_WORD.findall(name.text)) for name in (one, other))
    if ours <= theirs or theirs <= ours:
        return False
    if one.kind != "code" and any(_alike(x, y) for x in ours for y in theirs):
        return False
    if one.kind == "capital":
        return one.before == other.before and one.after == other.after
    return one.before == other.before or one.after == other.after


def _alike(left: str, right: str) -> bool:
    """Whether one word is another form or another spelling of the other."""
    return left[:4] == right[:4] or SequenceMatcher(None, left, right, autojunk=False).ratio() >= SAME_SPELLING
